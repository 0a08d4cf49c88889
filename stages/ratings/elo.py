"""The rating of who solves problems of known rating, as Codeforces counts it: by maximum likelihood.

A contestant of rating r solves a problem of rating d with probability 1 / (1 + 10^((d − r)/400)). Of each
problem there is the share y of attempts that solved it. The rating is where Σ (y − E(r)) is 0. Its interval
holds every r at which that sum is no farther from 0 than 1.96 of its standard deviations: the score interval,
which has an end even where all is solved, or none. Attempts at one problem are alike to a degree that is
taken from the problems: between as many observations as there are attempts, and one a problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

Z95 = 1.959963984540054
FAR = 10_000.0  # points beyond the hardest and the easiest problem: where a rating has no end


class Attempts(NamedTuple):
    """A problem's rating, the attempts at it, and how many of them solved it; `n` ≥ 1."""

    rating: float
    n: int
    solved: int


class Level(NamedTuple):
    """The problems of one rating: how many, and the sum of their shares solved."""

    rating: float
    problems: float
    shares: float


class Rating(NamedTuple):
    """In points. `value` is None where all was solved or nothing; so is the end that there is none of."""

    value: float | None
    low: float | None
    high: float | None


def expected(rating: float, problem: float) -> float:
    """The chance of solving it."""
    return 1 / (1 + 10 ** (min(max(problem - rating, -FAR), FAR) / 400))


def rating(problems: Sequence[Attempts]) -> Rating:
    """The rating and its 95 % interval. Needs at least one problem."""
    low = min(each.rating for each in problems) - FAR
    high = max(each.rating for each in problems) + FAR
    solved = sum(each.solved for each in problems)
    alike = _by_rating(problems)
    found = None
    if 0 < solved < sum(each.n for each in problems):
        found = root(lambda r: _excess(alike, r), low, high)
    inner = found if found is not None else (high if solved else low)
    spread = _alike(problems, found)

    def short(side: float) -> Callable[[float], float]:
        return lambda r: _excess(alike, r) - side * Z95 * math.sqrt(spread * _information(alike, r))

    return Rating(
        found,
        root(short(1), low, inner) if solved else None,
        root(short(-1), inner, high) if found is not None or not solved else None,
    )


def _by_rating(problems: Sequence[Attempts]) -> list[Level]:
    """The problems of each rating together: they are one term of the sum."""
    levels: dict[float, list[float]] = {}
    for each in problems:
        level = levels.setdefault(each.rating, [0.0, 0.0])
        level[0] += 1
        level[1] += each.solved / each.n
    return [Level(hard, count, shares) for hard, (count, shares) in sorted(levels.items())]


def _excess(levels: Sequence[Level], r: float) -> float:
    """What was solved beyond what is expected, in problems: falls as r rises."""
    return math.fsum(each.shares - each.problems * expected(r, each.rating) for each in levels)


def _information(levels: Sequence[Level], r: float) -> float:
    """The variance of what is solved, one attempt a problem."""
    chances = [(each.problems, expected(r, each.rating)) for each in levels]
    return math.fsum(count * chance * (1 - chance) for count, chance in chances)


def _alike(problems: Sequence[Attempts], found: float | None) -> float:
    """The variance of the shares over that of single attempts: from 1/n, attempts independent, to 1."""
    least = math.fsum(1 / each.n for each in problems) / len(problems)
    if found is None or least == 1:
        return 1.0
    seen = math.fsum((each.solved / each.n - expected(found, each.rating)) ** 2 for each in problems)
    return min(1.0, max(least, seen / _information(_by_rating(problems), found)))


def root(falls: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that is above 0 at `low` and below at `high` passes through it."""
    for _ in range(50):
        middle = (low + high) / 2
        if falls(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
