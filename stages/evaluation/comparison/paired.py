"""Two models on the same problems: how far apart they are, how sure that is, and what would make it surer.

The unit is the problem, as in statistics.py: of each there is the difference d of the two models' rates, and
the mean of d has Student's interval. Where few problems differ, those that were not asked may differ more:
the limit on the far side of the difference from 0 is then too near. It is set with the sum of squares
raised by 2/n, which hardly shows where many problems differ. The limit that lies towards 0, and with it the
p-value, is Student's. docs/eval.md has how often both hold in simulation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple

from stages.evaluation.student import quantile, two_sided_p

LEVEL = 0.05
POWER = 0.8  # the chance that a difference of the size asked for is found
ROUNDING = 1e-9  # rates are ratios of small numbers: what is nearer than this is equal
Z_LEVEL, Z_POWER = NormalDist().inv_cdf(1 - LEVEL / 2), NormalDist().inv_cdf(POWER)


class Counted(NamedTuple):
    """Completions of one problem by one model, and how many of them are correct; `n` ≥ 1."""

    n: int
    correct: int

    @property
    def rate(self) -> float:
        return self.correct / self.n


class Difference(NamedTuple):
    """The mean difference with its 95 % interval and two-sided p-value; `sd` is that of one problem's.

    With a single problem, `low`, `high`, `p` and `sd` are None: nothing says how problems vary.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    sd: float | None


def difference(pairs: Sequence[tuple[Counted, Counted]]) -> Difference:
    """Of the first model's pass@1 less that of the second, over P ≥ 1 problems that both were asked.

    Where all problems differ by the same c, they say nothing of their spread: the near limit then leaves room
    for a share t²/(P + t²) of problems that lie at the other end, which is p = P(|T| ≥ √(P|c|)).
    """
    found = [first.rate - second.rate for first, second in pairs]
    problems, mean = len(found), fmean(found)
    if problems == 1:
        return Difference(mean, None, None, None, None)
    squares = math.fsum((d - mean) ** 2 for d in found)
    raised = squares + fmean([1 / first.n + 1 / second.n for first, second in pairs])
    t = quantile(1 - LEVEL / 2, problems - 1)
    per_mean = (problems - 1) * problems
    far = t * math.sqrt(raised / per_mean)
    if max(found) - min(found) > ROUNDING:
        error = math.sqrt(squares / per_mean)
        near, p = t * error, two_sided_p(mean / error, problems - 1)
    else:
        near = (1 + abs(mean)) * t * t / (problems + t * t)
        p = two_sided_p(math.sqrt(problems * abs(mean)), problems - 1)
    low = mean - (near if mean > 0 else far)
    high = mean + (near if mean < 0 else far)
    return Difference(mean, max(-1.0, low), min(1.0, high), p, math.sqrt(squares / (problems - 1)))


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for there being several: the chance of one false alarm among all stays at the level.

    Holm 1979: the i-th smallest of m times m − i + 1, at least what a smaller one came to, at most 1.
    """
    adjusted = [0.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def problems_needed(size: float, sd: float) -> int | None:
    """Problems that show a true difference of `size` with 80 % power at the 5 % level, two-sided.

    `sd` is the standard deviation of one problem's difference. ((z₀.₉₇₅ + z₀.₈) sd / size)² + z₀.₉₇₅²/2, the
    last for Student's t (Guenther 1981), at least 2. None where sd is 0, which says nothing.
    """
    if sd == 0:
        return None
    return max(2, math.ceil(((Z_LEVEL + Z_POWER) * sd / size) ** 2 + Z_LEVEL**2 / 2))


def detectable(problems: int, sd: float) -> float | None:
    """The true difference that so many problems show with 80 % power: `problems_needed` the other way round.

    None where sd is 0, where there are too few problems for any, or where it would be more than 1.
    """
    left = problems - Z_LEVEL**2 / 2
    if sd == 0 or left <= 0:
        return None
    size = (Z_LEVEL + Z_POWER) * sd / math.sqrt(left)
    return size if size <= 1 else None
