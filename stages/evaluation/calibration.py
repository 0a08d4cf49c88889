"""How often a model's preference is right, and whether it is as sure as it is right.

Of each example there is a difference d: of a pair the reward of the better text less that of the worse, of a
labelled text its logit, negated where the label is bad. The model gives the side that it prefers the
probability σ(|d|), which is its confidence, and is right where d is above 0; at 0 it is half right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from stages.evaluation.statistics import clustered_interval

BINS = 10  # of confidence, from one half to 1, equally wide


def agreement(differences: Sequence[float], problems: Sequence[str]) -> dict[str, Any]:
    """Accuracy with its 95 % interval, mean confidence, calibration error and a table of reliability.

    The unit of the interval is the problem. `ece` is the expected calibration error: the mean distance of
    accuracy and confidence in a bin (Guo et al. 2017, arXiv 1706.04599). A row of `reliability` has a bin's
    lower end, how many fall into it, their mean confidence and their accuracy.
    """
    right = [1.0 if d > 0 else 0.5 if d == 0 else 0.0 for d in differences]
    counts: dict[str, tuple[int, int]] = {}
    for name, value in zip(problems, right, strict=True):
        n, c = counts.get(name, (0, 0))
        counts[name] = (n + 2, c + int(2 * value))  # in halves
    interval = clustered_interval([*counts.values()])
    sure = [1 / (1 + math.exp(-abs(d))) for d in differences]
    table = list(_bins(sure, right))
    return {
        "accuracy": fmean(right),
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "confidence": fmean(sure),
        "ece": math.fsum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in table)
        / len(sure),
        "reliability": table,
    }


def _bins(sure: Sequence[float], right: Sequence[float]) -> Iterable[dict[str, Any]]:
    held: dict[int, list[tuple[float, float]]] = {}
    for pair in zip(sure, right, strict=True):
        held.setdefault(min(int((2 * pair[0] - 1) * BINS), BINS - 1), []).append(pair)
    for number, pairs in sorted(held.items()):
        yield {
            "from": 0.5 + number / BINS / 2,
            "count": len(pairs),
            "confidence": fmean([p for p, _ in pairs]),
            "accuracy": fmean([c for _, c in pairs]),
        }
