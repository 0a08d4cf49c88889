"""Logistic regression on shares: outcomes between 0 and 1, weights, and a penalty where one is asked for.

Axes: `N` rows, `K` columns. The loss is C·Σ w (−y log q − (1 − y) log(1 − q)) + ‖β‖₁ with q = σ(Xβ), as in
liblinear, or without the norm where C is infinite.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ROUNDS = 200  # of Newton's method; it takes about ten
ENOUGH = 1e-10  # change of a coefficient at which it has converged
FARTHEST = 5.0  # steps of a coefficient are no longer: where outcomes are all of one kind, none would end


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ), without overflow."""
    import numpy as np

    return np.asarray(np.exp(-np.logaddexp(0, -x)), np.float64)


def loss(x_NK: Array, y_N: Array, w_N: Array, beta_K: Array) -> float:
    """Σ w (−y log q − (1 − y) log(1 − q))."""
    import numpy as np

    z_N = x_NK @ beta_K
    return float(w_N @ (np.logaddexp(0, z_N) - y_N * z_N))


def fit(x_NK: Array, y_N: Array, w_N: Array, *, c: float = math.inf) -> Array:
    """The coefficients of least loss, by Newton's method."""
    import numpy as np

    beta_K = np.zeros(x_NK.shape[1])
    penalty = 0.0 if math.isinf(c) else 1 / c
    for _ in range(ROUNDS):
        q_N = sigmoid(x_NK @ beta_K)
        slope_K = x_NK.T @ (w_N * (q_N - y_N))
        bend_KK = x_NK.T @ (x_NK * (w_N * q_N * (1 - q_N))[:, None])
        step_K = _step(slope_K, bend_KK, beta_K, penalty)
        scale = min(1.0, FARTHEST / max(float(np.abs(step_K).max()), FARTHEST))
        before = loss(x_NK, y_N, w_N, beta_K) + penalty * float(np.abs(beta_K).sum())
        while scale > 1e-8:
            tried_K = beta_K + scale * step_K
            if loss(x_NK, y_N, w_N, tried_K) + penalty * float(np.abs(tried_K).sum()) <= before + 1e-12:
                break
            scale /= 2
        beta_K = beta_K + scale * step_K
        if float(np.abs(scale * step_K).max()) < ENOUGH:
            break
    return beta_K


def _step(slope_K: Array, bend_KK: Array, beta_K: Array, penalty: float) -> Array:
    """What minimises slope·s + s·bend·s / 2 + penalty ‖β + s‖₁, coordinate after coordinate."""
    import numpy as np

    if not penalty:
        return np.asarray(np.linalg.lstsq(bend_KK, -slope_K)[0], np.float64)
    step_K = np.zeros_like(beta_K)
    for _ in range(1000):
        largest = 0.0
        for k in range(len(beta_K)):
            bend = bend_KK[k, k]
            if bend <= 0:
                continue
            there = beta_K[k] + step_K[k]
            aim = there - (slope_K[k] + bend_KK[k] @ step_K) / bend
            new = math.copysign(max(abs(aim) - penalty / bend, 0.0), aim)
            largest = max(largest, abs(new - there))
            step_K[k] += new - there
        if largest < ENOUGH / 10:
            break
    return step_K
