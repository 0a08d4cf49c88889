"""What a set of scored completions says: estimates and their uncertainty, from counts alone.

Axes: `P` problems, `n` completions of a problem, `c` of them correct. Problems are a sample of all the
problems that a benchmark could have asked, completions a sample of what the model could have answered; an
interval must hold both, so the problem, not the completion, is the unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from stages.evaluation.student import quantile

Z95 = 1.959963984540054


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


def pass_at_1(counts: Sequence[tuple[int, int]]) -> float:
    """Mean over problems of c / n; `counts` are (n, c), n ≥ 1.

    Each problem weighs the same, so the value does not depend on n: twice the samples is the same
    figure, only surer. arXiv 2501.12948, section on evaluation.
    """
    return fmean([c / n for n, c in counts])


def pass_at_k(counts: Sequence[tuple[int, int]], k: int) -> float:
    """Mean over problems of 1 − C(n−c, k) / C(n, k): the unbiased estimate. Needs n ≥ k everywhere.

    arXiv 2107.03374, equation 1. Raises ValueError for n < k.
    """
    return fmean([_pass_at_k(n, c, k) for n, c in counts])


def _pass_at_k(n: int, c: int, k: int) -> float:
    if n < k:
        raise ValueError(f"pass@{k} needs {k} completions of each problem, one has {n}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def clustered_interval(counts: Sequence[tuple[int, int]]) -> Interval:
    """95 % interval of `pass_at_1` for completions that are alike within a problem.

    Wilson's interval at the effective sample size m = p(1−p)/s², with s² the variance of the mean of the
    problems' rates (n−1 in the denominator). m lies between P − 1, where a problem's completions all
    agree, and Σn, where problems do not differ; at p = 0 or 1, and with a single problem, m = P. Unlike
    p ± 1.96 s it stays within [0, 1] and does not shrink to nothing where all answers are wrong.
    Student's t with P − 1 degrees of freedom takes the place of 1.96, as s is itself estimated.
    """
    rates = [c / n for n, c in counts]
    problems, completions = len(rates), sum(n for n, _ in counts)
    p = fmean(rates)
    effective = float(problems)
    z = Z95
    if problems > 1 and 0.0 < p < 1.0:
        variance = math.fsum((rate - p) ** 2 for rate in rates) / (problems - 1) / problems
        largest = float(max(completions, problems))
        effective = min(p * (1 - p) / variance, largest) if variance > 0 else largest
        z = quantile(0.975, problems - 1)
    return wilson(p, effective, z)


def wilson(p: float, n: float, z: float = Z95) -> Interval:
    """Wilson's score interval of a proportion `p` seen in `n` trials; `n` need not be whole."""
    shrunk = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrunk
    half = z / shrunk * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def majority(votes: Mapping[str, Sequence[int]]) -> float:
    """The chance that the most frequent answer is right; `votes` are answer → (votes, of them correct).

    Answers that tie for first share it evenly, as if a fair coin chose: the expected value, which does
    not depend on the order of the completions. No vote at all is 0: nothing was answered.
    """
    if not votes:
        return 0.0
    most = max(count for count, _ in votes.values())
    return fmean([correct / count for count, correct in votes.values() if count == most])
