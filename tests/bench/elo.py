"""Whether the rating of `r1 rank --by elo` is unbiased, and how often its interval covers: 1,000 contestants.

    python tests/bench/elo.py [CONTESTANTS]

Ratings are drawn evenly from 800 to 2,400 points, problems from 800 to 3,500 in hundreds, as on Codeforces;
each is tried once, or eight times. The last column is how far an independent writing is off at most: Newton's
method on the likelihood in floats, in place of bisection of the sum.
"""

from __future__ import annotations

import math
import random
import statistics
import sys

from stages.ratings.elo import Attempts, expected, rating

NATURAL = math.log(10) / 400


def newton(problems: list[Attempts]) -> float:
    """The rating of greatest likelihood, each problem's share counted once."""
    r = statistics.fmean(each.rating for each in problems)
    for _ in range(200):
        chances = [1 / (1 + math.exp((each.rating - r) * NATURAL)) for each in problems]
        slope = sum(each.solved / each.n - chance for each, chance in zip(problems, chances, strict=True))
        bend = sum(chance * (1 - chance) for chance in chances) * NATURAL
        step = max(-200.0, min(200.0, slope / bend))
        r += step
        if abs(step) < 1e-9:
            break
    return r


def main() -> None:
    """Prints a row of the table in docs/open-answers.md for each number of problems and attempts."""
    contestants = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rng = random.Random(1)
    print(
        "| problems × attempts | bias | its standard error | standard deviation | covered | without | apart |"
    )
    for count, tries in ((20, 1), (40, 1), (100, 1), (100, 8)):
        errors, covered, apart = [], 0, 0.0
        for _ in range(contestants):
            truth = rng.uniform(800, 2400)
            problems = []
            for _ in range(count):
                hard = rng.randrange(800, 3501, 100)
                chance = expected(truth, hard)
                problems.append(Attempts(hard, tries, sum(rng.random() < chance for _ in range(tries))))
            found = rating(problems)
            low, high = found.low, found.high
            covered += (low is None or low <= truth) and (high is None or truth <= high)
            if found.value is not None:
                errors.append(found.value - truth)
                apart = max(apart, abs(newton(problems) - found.value))
        spread = statistics.stdev(errors)
        print(
            f"| {count} × {tries} | {statistics.fmean(errors):+.1f} | {spread / math.sqrt(len(errors)):.1f} "
            f"| {spread:.0f} | {100 * covered / contestants:.1f} % | {contestants - len(errors)} "
            f"| {apart:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
