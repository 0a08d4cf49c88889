"""How often the paired interval of `r1 eval --against` covers the true difference, and how often its p-value
cries wolf: 10,000 pairs of models of each of the kinds in docs/eval.md.

    python tests/bench/paired.py [PAIRS]

Each problem has a rate under either model, beta-distributed with a + b = 1, so that most problems are nearly
always or nearly never right; a Gaussian copula correlates the two. One model's mean rate is that of the kind,
the other's the same, or higher by 25, 50 or 100 % of it (of 1 less the mean from one half on, lower by 7.5,
15 or 30 % of that). Beside it stands what Student's t alone covers at least. Two minutes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import numpy as np

from stages.evaluation.comparison.paired import Counted, difference
from stages.evaluation.student import quantile

KINDS = [
    (10, 4, 0.1),
    (10, 4, 0.03),
    (30, 16, 0.5),
    (30, 16, 0.1),
    (30, 16, 0.03),
    (100, 4, 0.03),
    (100, 4, 0.8),
]
CORRELATIONS = (0.5, 0.9)
STEPS = (0.0, 0.25, 0.5, 1.0)
TABLE = 200_000  # draws of a distribution, sorted: its quantiles


def apart(mean: float, step: float) -> float:
    """The other model's mean rate."""
    return mean * (1 + step) if mean < 0.5 else mean - 0.3 * step * (1 - mean)


def counts(
    rng: np.random.Generator, shape: tuple[int, int], samples: int, means: tuple[float, float], rho: float
) -> Iterator[list[tuple[Counted, Counted]]]:
    """What both models make of each problem, for so many pairs of models (the first of `shape`)."""
    normal = np.sort(rng.standard_normal(TABLE))
    one = rng.standard_normal(shape)
    other = rho * one + math.sqrt(1 - rho * rho) * rng.standard_normal(shape)
    drawn = []
    for z, mean in zip((one, other), means, strict=True):
        rates = np.sort(rng.beta(mean, 1 - mean, TABLE))
        drawn.append(rng.binomial(samples, rates[np.minimum(np.searchsorted(normal, z), TABLE - 1)]))
    for first, second in zip(*(each.tolist() for each in drawn), strict=True):
        yield [(Counted(samples, a), Counted(samples, b)) for a, b in zip(first, second, strict=True)]


def held(
    rng: np.random.Generator, kind: tuple[int, int, float], rho: float, step: float, pairs: int
) -> tuple[float, float, float]:
    """Shares in which the interval covers, in which Student's alone does, and in which p ≥ 0.05."""
    problems, samples, mean = kind
    other = apart(mean, step)
    covered = plain = quiet = 0
    t = quantile(0.975, problems - 1)
    for each in counts(rng, (pairs, problems), samples, (other, mean), rho):
        found = difference(each)
        assert found.low is not None
        assert found.high is not None
        assert found.p is not None
        assert found.sd is not None
        covered += found.low <= other - mean <= found.high
        plain += abs(found.mean - (other - mean)) <= t * found.sd / math.sqrt(problems)
        quiet += found.p >= 0.05
    return covered / pairs, plain / pairs, quiet / pairs


def main() -> None:
    """Prints the rows of the table in docs/eval.md."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = np.random.default_rng(0)
    print(
        "| P × n | mean rate | correlation | 1 − false positives | coverage, apart by 1/4, 1/2, 1 | t alone |"
    )
    for kind in KINDS:
        for rho in CORRELATIONS:
            found = [held(rng, kind, rho, step, pairs) for step in STEPS]
            shown = [f"{100 * covered:.1f}" for covered, _, _ in found[1:]]
            least = min(plain for _, plain, _ in found)
            print(
                f"| {kind[0]} × {kind[1]} | {kind[2]:.2f} | {rho} | {100 * found[0][2]:.1f} % "
                f"| {', '.join(shown)} % | {100 * least:.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
