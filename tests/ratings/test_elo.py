"""The rating by problems solved, against numbers worked by hand, another writing, and simulation."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from stages.ratings.elo import Attempts, expected, rating


def test_the_chance_by_hand() -> None:
    assert expected(1600, 1600) == 0.5
    assert expected(2000, 1600) == pytest.approx(10 / 11)


def test_one_problem_half_solved_is_ones_rating() -> None:
    assert rating([Attempts(1500, 4, 2)]).value == pytest.approx(1500, abs=1e-6)


def test_equal_problems_by_hand() -> None:
    """9 of 10 problems of 1200: 1200 + 400 log10 9. The interval is Wilson's, in points."""
    found = rating([Attempts(1200, 1, 1)] * 9 + [Attempts(1200, 1, 0)])
    assert found.value == pytest.approx(1200 + 400 * math.log10(9), abs=1e-6)
    z = 1.959963984540054
    middle, half = (
        (0.9 + z * z / 20) / (1 + z * z / 10),
        z * math.sqrt(0.09 / 10 + z * z / 400) / (1 + z * z / 10),
    )
    for end, share in ((found.low, middle - half), (found.high, middle + half)):
        assert end == pytest.approx(1200 + 400 * math.log10(share / (1 - share)), abs=1e-6)


def test_all_solved_or_nothing_leaves_one_end_open() -> None:
    every = rating([Attempts(1500, 1, 1)] * 10)
    assert (every.value, every.high) == (None, None)
    share = 10 / (10 + 1.959963984540054**2)
    assert every.low == pytest.approx(1500 + 400 * math.log10(share / (1 - share)), abs=1e-6)
    none = rating([Attempts(1500, 2, 0)] * 10)
    assert (none.value, none.low) == (None, None)
    assert none.high == pytest.approx(3000 - every.low, abs=1e-6)


def test_attempts_that_always_agree_count_once() -> None:
    once = rating([Attempts(1000 + 50 * k, 1, int(k < 12)) for k in range(20)])
    often = rating([Attempts(1000 + 50 * k, 16, 16 * int(k < 12)) for k in range(20)])
    assert often.value == pytest.approx(once.value)
    assert often.high - often.low > 0.5 * (once.high - once.low)


def newton(problems: list[Attempts]) -> float:
    """Another writing: the likelihood's largest value by Newton's method, in natural units."""
    unit = math.log(10) / 400
    r = statistics.fmean(each.rating for each in problems)
    for _ in range(25):
        chances = [1 / (1 + math.exp((each.rating - r) * unit)) for each in problems]
        slope = sum(each.solved / each.n - q for each, q in zip(problems, chances, strict=True))
        r += max(-200.0, min(200.0, slope / (unit * sum(q * (1 - q) for q in chances))))
    return r


def test_contestants_get_their_rating_back() -> None:
    """150 of them, 60 problems each: unbiased, covered in 95 %, and as the other writing has it."""
    rng = random.Random(12)
    errors, covered = [], 0
    for _ in range(150):
        truth = rng.uniform(1000, 2200)
        problems = []
        for _ in range(60):
            hard = rng.randrange(800, 3501, 100)
            problems.append(Attempts(hard, 1, int(rng.random() < 1 / (1 + 10 ** ((hard - truth) / 400)))))
        found = rating(problems)
        assert found.value is not None
        assert found.value == pytest.approx(newton(problems), abs=1e-6)
        errors.append(found.value - truth)
        covered += found.low <= truth <= found.high
    assert abs(statistics.fmean(errors)) < 3 * statistics.stdev(errors) / math.sqrt(150)
    assert 0.9 < covered / 150 < 0.99
