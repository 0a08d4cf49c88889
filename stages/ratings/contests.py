"""The rating of who takes part in contests, from the ratings of the people in their standings.

A contestant of rating r is placed above one of rating d with probability 1 / (1 + 10^((d − r)/400)), so that
r makes an expected rank of each contest. The rating is where the shares of people that were left behind are,
summed over contests, those that are expected: the equation of the greatest likelihood of all pairs, each
contest counted once. Its interval holds every r at which that sum is no farther from what is expected than
1.96 of its standard deviations, those of contests in which each has one performance for all pairs; where
contests are spread more widely than that, their own spread counts.

`codeelo` is the figure of CodeElo (arXiv 2501.01257): the mean over contests of the rating whose expected
rank is that of the contest.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from stages.ratings.elo import FAR, Z95, Rating, expected, root

WRONG = 50.0  # points that an attempt costs which was not accepted, where problems have points
LEAST = 0.3  # the share of a problem's points that remains, however many there were
MINUTES = 10.0  # penalty of it where they have none
STEP = 25.0  # points
BEYOND = 100.0  # points above the best of a contest, where CodeElo ends


class Person(NamedTuple):
    """Of a contest's standings, with the rating from before it."""

    rating: float
    points: float
    penalty: float


class Contest(NamedTuple):
    """`people` in any order; where the contestant stands among them; `tried` problems, `solved` of them."""

    people: Sequence[Person]
    points: float
    penalty: float
    tried: int
    solved: int

    @property
    def behind(self) -> float:
        """The share of people that it was placed above; who is level counts half."""
        own = (self.points, -self.penalty)
        others = [(each.points, -each.penalty) for each in self.people]
        return (sum(each < own for each in others) + sum(each == own for each in others) / 2) / len(others)


def score(points: float | None, wrong: int) -> tuple[float, float]:
    """Points and penalty of a problem that was solved after `wrong` attempts, as at the contest's start.

    `points` are the problem's, None where each counts 1 and wrong attempts cost minutes.
    """
    if points is None:
        return 1.0, MINUTES * wrong
    return max(LEAST * points, points - WRONG * wrong), 0.0


def rating(contests: Sequence[Contest]) -> Rating:
    """The rating and its 95 % interval. Needs at least one contest, each with people."""
    import numpy as np

    crowds = [np.array([each.rating for each in contest.people]) for contest in contests]
    behind = [contest.behind for contest in contests]
    low, high = min(crowd.min() for crowd in crowds) - FAR, max(crowd.max() for crowd in crowds) + FAR
    levels = [_levels(crowd) for crowd in crowds]

    def apart(r: float) -> list[float]:
        pairs = zip(behind, crowds, strict=True)
        return [float(share - (1 / (1 + 10 ** ((crowd - r) / 400))).mean()) for share, crowd in pairs]

    def excess(r: float) -> float:
        return math.fsum(apart(r))

    found = None
    if any(behind) and not all(share == 1 for share in behind):
        found = root(excess, low, high)
    inner = found if found is not None else (high if any(behind) else low)
    spread = 1.0
    if found is not None:
        seen = math.fsum(each**2 for each in apart(found))
        spread = max(1.0, seen / math.fsum(_variance(each, found) for each in levels))

    def short(side: float) -> Callable[[float], float]:
        def beyond(r: float) -> float:
            variance = spread * math.fsum(_variance(each, r) for each in levels)
            return excess(r) - side * Z95 * math.sqrt(variance)

        return beyond

    return Rating(
        found,
        root(short(1), low, inner) if any(behind) else None,
        root(short(-1), inner, high) if found is not None or not any(behind) else None,
    )


def _levels(crowd: Any) -> tuple[Any, Any]:
    """Ratings in steps of `STEP` points, and the share of people at each."""
    import numpy as np

    steps, counts = np.unique(np.round(crowd / STEP), return_counts=True)
    return steps * STEP, counts / len(crowd)


def _variance(levels: tuple[Any, Any], r: float) -> float:
    """Of the share of one contest: the two of a pair of people are left behind together with 1/(1 + a + b).

    a and b are 10^((d − r)/400) of their ratings: whoever has the best of three has it in that proportion.
    """
    ratings, shares = levels
    odds = 10 ** ((ratings - r) / 400)
    both = 1 / (1 + odds[:, None] + odds)
    alone = shares @ (1 / (1 + odds))
    return max(0.0, float(shares @ both @ shares - alone * alone))


def codeelo(contests: Sequence[Contest]) -> float:
    """The mean of the contests' ratings, each from 0 to a little above its best; ranks count from 0 there."""
    return statistics.fmean(map(_alone, contests))


def _alone(contest: Contest) -> float:
    own = (contest.points, -contest.penalty)
    rank = sum((each.points, -each.penalty) >= own for each in contest.people)
    ratings = [each.rating for each in contest.people]

    def excess(r: float) -> float:
        return 1 + math.fsum(expected(each, r) for each in ratings) - rank

    return root(excess, 0.0, max(ratings) + BEYOND)


def percentile(value: float, people: Sequence[float]) -> float:
    """The share of `people`, sorted, whose rating is below `value`, in percent."""
    return 100 * bisect_left(people, value) / len(people)
