"""AlpacaEval's length-controlled win rate: what a judge would prefer if answers were as long as the other's.

Dubois et al. 2024 (arXiv 2404.04475): the preference of each instruction x is a logistic regression on three
terms, tanh((l_b − l_m) / s) of the lengths with s their differences' standard deviation, the instruction's
difficulty γ_x, and 1 for the model. The rate is the mean prediction with the first term 0. The fit leans on
two rewrites of the baseline, one told to be verbose, one to be concise: their verdicts come in with weight
0.1 each and without the last term, so that a model whose lengths hardly vary has a weight for length at all.
γ_x and those verdicts are a table of AlpacaEval's data set, `df_gamed.csv`; nothing here replaces it.

The strength of the L1 penalty is one of ten, by five-fold cross-validation, as scikit-learn would choose it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from stages.ratings.logistic import fit, loss, sigmoid
from stages.records.record import Record, bad_record
from stages.runtime.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FOLDS = 5
STRENGTHS = 10  # from 1e-4 to 1e4, evenly in their logarithm
GAMED = 0.1  # weight of a verdict on one of the two rewrites of the baseline
SOURCE = "df_gamed.csv of the data set tatsu-lab/alpaca_eval"


class Weights(NamedTuple):
    """Coefficients of the length's term, the instruction's difficulty, and the model."""

    length: float
    difficulty: float
    model: float


class Controlled(NamedTuple):
    """The length-controlled win rate, in percent, and what it is made of."""

    win_rate: float
    weights: Weights


@dataclass(frozen=True)
class Calibration:
    """The table: difficulty by instruction, and of each verdict on a rewrite its share, length and γ."""

    difficulty: Mapping[int, float]
    preferences: Sequence[float]
    lengths: Sequence[float]
    difficulties: Sequence[float]


def calibration(rows: Iterable[Record]) -> Calibration:
    """Reads the table. Raises BadInput where a row lacks a column, or holds no number in it."""
    difficulty: dict[int, float] = {}
    columns: tuple[list[float], list[float], list[float]] = ([], [], [])
    place = SOURCE
    for row in rows:
        place = row.place.rpartition(":")[0] or place
        hard = _number(row, "instruction_difficulty")
        difficulty.setdefault(int(_number(row, "index")), hard)
        if row.get("preference") not in (None, ""):
            found = (_number(row, "preference"), _number(row, "std_delta_len"), hard)
            for column, value in zip(columns, found, strict=True):
                column.append(value)
    if not columns[0]:
        raise BadInput("no verdicts on the rewrites of the baseline", place=place, remedy=f"give {SOURCE}")
    return Calibration(difficulty, *columns)


def _number(row: Record, name: str) -> float:
    try:
        value = float(row[name])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise bad_record(row, f"no number {name!r}", f"give {SOURCE}")
    return value


def controlled(
    shares: Sequence[float | None], apart: Sequence[float], hard: Sequence[float], table: Calibration
) -> Controlled:
    """Of a model: its share of each verdict (0 the baseline's, 1 its own, None not judged), the baseline's
    length less its own, and the instruction's γ. Needs two different lengths.
    """
    import numpy as np

    apart_P = np.asarray(apart, np.float64)
    terms_P3 = np.stack(
        [np.tanh(apart_P / apart_P.std(ddof=1)), np.asarray(hard), np.ones(len(apart_P))], axis=1
    )
    judged = np.array([share is not None for share in shares])
    gamed_G3 = np.stack(
        [np.tanh(table.lengths), np.asarray(table.difficulties), np.zeros(len(table.lengths))], axis=1
    )
    own = np.array([share for share in shares if share is not None], np.float64)
    x_N3 = np.concatenate([gamed_G3, terms_P3[judged]])
    y_N = np.concatenate([np.asarray(table.preferences, np.float64), own])
    w_N = np.concatenate([np.full(len(gamed_G3), GAMED), np.ones(len(own))])
    beta_3 = fit(x_N3, y_N, w_N, c=_strength(x_N3, y_N, w_N))
    alike_P = sigmoid(terms_P3[:, 1:] @ beta_3[1:])
    return Controlled(100 * float(alike_P.mean()), Weights(*map(float, beta_3)))


def minimal(shares: Sequence[float | None], apart: Sequence[float]) -> float:
    """The same with the terms of length and model alone, in percent: for instructions without a table.

    It is another figure: nothing holds the weight of length of a model that is nearly always the longer one.
    """
    import numpy as np

    apart_P = np.asarray(apart, np.float64)
    judged = np.array([share is not None for share in shares])
    x_P2 = np.stack([np.tanh(apart_P / apart_P.std(ddof=1)), np.ones(len(apart_P))], axis=1)[judged]
    y_P = np.array([share for share in shares if share is not None], np.float64)
    beta_2 = fit(x_P2, y_P, np.ones(len(y_P)))
    return 100 * float(sigmoid(beta_2[1:])[0])


def _strength(x_N3: Array, y_N: Array, w_N: Array) -> float:
    """The C of the least loss on rows that were left out: every fifth, from the last one backwards."""
    import numpy as np

    folds_N = (len(y_N) - 1 - np.arange(len(y_N))) % FOLDS
    best, least = 0.0, np.inf
    for c in np.logspace(-4, 4, STRENGTHS):
        lost = 0.0
        for fold in range(FOLDS):
            out = folds_N == fold
            beta_3 = fit(x_N3[~out], y_N[~out], w_N[~out], c=float(c))
            lost += loss(x_N3[out], y_N[out], w_N[out], beta_3) / int(out.sum())
        if lost < least:
            best, least = float(c), lost
    return best
