"""Student's t: how likely a value so far out is, and how far out a value of this likelihood is."""

from __future__ import annotations

import functools
import math

ENOUGH = 1e-15  # relative change at which a fraction has converged


def two_sided_p(t: float, df: int) -> float:
    """P(|T| ≥ |t|) of Student's t with `df` ≥ 1 degrees of freedom: I_x(df/2, 1/2) at x = df / (df + t²).

    Relative error about 1e-12, also far out (Abramowitz and Stegun 26.5.27).
    """
    if math.isinf(t):
        return 0.0
    x = df / (df + t * t)
    return _incomplete_beta(x, t * t / (df + t * t), df / 2, 0.5)


@functools.lru_cache(maxsize=256)
def quantile(share: float, df: int) -> float:
    """The point below which `share` of Student's t lies; `share` above one half, below 1."""
    wanted = 2 * (1 - share)
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > wanted:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if two_sided_p(middle, df) > wanted:
            low = middle
        else:
            high = middle
    return high


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """I_x(a, b) with `rest` = 1 − x, which x near 1 could not give exactly."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b) by Lentz's method (Abramowitz and Stegun 26.5.8)."""
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    value = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            value *= c * d
        if abs(c * d - 1) < ENOUGH:
            break
    return value
