"""Whether the rating of `r1 rank --by elo` is unbiased, and how often its interval covers: 1,000 contestants.

    python tests/bench/elo.py [CONTESTANTS]
    python tests/bench/elo.py contests [CONTESTANTS]

Ratings are drawn evenly from 800 to 2,400 points, problems from 800 to 3,500 in hundreds, as on Codeforces;
each is tried once, or eight times. The last column is how far an independent writing is off at most: Newton's
method on the likelihood in floats, in place of bisection of the sum.

Contests have 100 people each, of ratings about 1,500 ± 400, and eight problems from 800 to 2,900 points. Who
takes part has one performance in a contest, spread about the rating as Elo's formula has it; it decides what
is solved, and after how many wrong attempts.
"""

from __future__ import annotations

import math
import random
import statistics
import sys

from stages.ratings import contests
from stages.ratings.elo import Attempts, expected, rating

NATURAL = math.log(10) / 400
HARD = (800, 1100, 1400, 1700, 2000, 2300, 2600, 2900)


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


def newton_of_pairs(held: list[contests.Contest]) -> float:
    """The rating of greatest likelihood of all pairs, each contest counted once."""
    r = 1500.0
    for _ in range(200):
        slope = bend = 0.0
        for contest in held:
            own = (contest.points, -contest.penalty)
            for each in contest.people:
                chance = 1 / (1 + math.exp((each.rating - r) * NATURAL))
                other = (each.points, -each.penalty)
                slope += ((own > other) + (own == other) / 2 - chance) / len(contest.people)
                bend += chance * (1 - chance) * NATURAL / len(contest.people)
        step = max(-200.0, min(200.0, slope / bend))
        r += step
        if abs(step) < 1e-9:
            break
    return r


def performed(rng: random.Random, ability: float) -> tuple[float, float, int]:
    """Points, penalty and solved of one who takes part in a contest."""
    shown = ability - math.log(-math.log(rng.random())) / NATURAL
    made = [
        contests.score(None, int(max(0, min(9, (hard + 300 - shown) // 30))))
        for hard in HARD
        if shown >= hard
    ]
    return sum(each[0] for each in made), sum(each[1] for each in made), len(made)


def in_contests(contestants: int) -> None:
    """Prints a row for each number of contests."""
    rng = random.Random(1)
    print(
        "| contests | bias | its standard error | standard deviation | covered | without | apart | codeelo |"
    )
    for count in (1, 4, 10):
        errors, others, covered, apart = [], [], 0, 0.0
        for number in range(contestants):
            truth, held = rng.uniform(800, 2400), []
            for _ in range(count):
                ratings = [rng.gauss(1500, 400) for _ in range(100)]
                people = [contests.Person(each, *performed(rng, each)[:2]) for each in ratings]
                points, penalty, solved = performed(rng, truth)
                held.append(contests.Contest(people, points, penalty, len(HARD), solved))
            found = contests.rating(held)
            low, high = found.low, found.high
            covered += (low is None or low <= truth) and (high is None or truth <= high)
            if found.value is not None:
                errors.append(found.value - truth)
                others.append(contests.codeelo(held) - truth)
                if number < 50:
                    apart = max(apart, abs(newton_of_pairs(held) - found.value))
        spread = statistics.stdev(errors)
        print(
            f"| {count} | {statistics.fmean(errors):+.1f} | {spread / math.sqrt(len(errors)):.1f} "
            f"| {spread:.0f} | {100 * covered / contestants:.1f} % | {contestants - len(errors)} "
            f"| {apart:.0e} | {statistics.fmean(others):+.1f} |",
            flush=True,
        )


def main() -> None:
    """Prints a row of the table in docs/open-answers.md for each number of problems and attempts."""
    if sys.argv[1:2] == ["contests"]:
        in_contests(int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
        return
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
