"""Bradley-Terry: a strength for each model, so that the chance to be preferred is σ of their difference.

Fitted by maximum likelihood to verdicts on pairs, a tie being half a win for either (Bradley and Terry 1952).
Elo's scale has 400/ln 10 points to a unit of strength. With control for length, being the longer one has a
coefficient of its own: what a model wins by length is not its strength. Control for style does so as
Arena-Hard does: with headers, lists and bold text besides, each less its mean over the verdicts, in which the
baseline comes second. So strengths are those at the style that there is and not at equal style. The bootstrap
draws questions with all their verdicts, since those of one question are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stages.ratings.logistic import fit
from stages.ratings.style import FEATURES
from stages.ratings.verdicts import Verdict
from stages.runtime.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Control = Literal["nothing", "length", "style"]
TINY = 1e-12  # a spread below it is rounding: all differences are alike
POINTS = 400 / math.log(10)  # of Elo's scale, to a unit of strength


@dataclass(frozen=True)
class Strengths:
    """Of each model its strength, the first one's, the baseline's, being 0; `style` the coefficients of it.

    `rounds` has the strengths in each round of the bootstrap; those in which no strengths fit best are left
    out.
    """

    models: list[str]
    values: list[float]
    style: dict[str, float]
    rounds: list[list[float]]


@dataclass(frozen=True)
class Design:
    """Rows of the regression: a pair of models, or with control for style a verdict.

    Columns are the models but the first, then those of style. `row_N` is the row of each of N verdicts.
    """

    x_RK: Array
    first_R: list[int]
    second_R: list[int]
    row_N: NDArray[np.int64]
    won_N: Array
    weight_N: Array


def strengths(
    verdicts: Sequence[Verdict], baseline: str, *, rounds: int, seed: int, strong: float, control: Control
) -> Strengths:
    """Raises BadInput where no strengths fit best: a model that always wins, or always loses, against the
    rest, or was not compared with it.
    """
    import numpy as np

    known = [each if each.model != baseline else _turned(each) for each in verdicts if each.share is not None]
    if not known:
        raise BadInput("no verdict up to here is one", place=verdicts[-1].place, remedy="null is none")
    models = [baseline, *sorted({name for v in known for name in (v.model, v.opponent)} - {baseline})]
    design = _design(known, models, strong, control)
    ones_N = np.ones(len(known))
    unfit = _unfit(design, ones_N, len(models))
    if unfit:
        names = ", ".join(models[k] for k in sorted(unfit)[:3])
        raise BadInput(
            f"no strengths fit best: {names} and {baseline} are not joined by wins both ways",
            place=known[-1].place,
            remedy="leave out what never won or never lost, or add verdicts",
        )
    whole_K = _fit(design, ones_N)
    questions = {question: k for k, question in enumerate(dict.fromkeys(each.question for each in known))}
    of_N = np.array([questions[each.question] for each in known])
    draw, count = np.random.default_rng(seed), len(questions)
    found = []
    for _ in range(rounds):
        times_N = np.bincount(draw.integers(count, size=count), minlength=count)[of_N].astype(np.float64)
        if not _unfit(design, times_N, len(models)):
            found.append([0.0, *_fit(design, times_N).tolist()[: len(models) - 1]])
    values = [0.0, *whole_K.tolist()]
    style = dict(zip(FEATURES, values[len(models) :], strict=False))
    return Strengths(models, values[: len(models)], style, found)


def _design(known: Sequence[Verdict], models: Sequence[str], strong: float, control: Control) -> Design:
    import numpy as np

    place = {name: k for k, name in enumerate(models)}
    pairs = [(place[each.model], place[each.opponent]) for each in known]
    rows = list(dict.fromkeys(pairs)) if control == "nothing" else pairs
    number = {pair: k for k, pair in enumerate(rows)}
    x_RK = np.zeros((len(rows), len(models)))
    for row_K, (first, second) in zip(x_RK, rows, strict=True):
        row_K[first], row_K[second] = 1, -1
    x_RK = x_RK[:, 1:]
    weight_N = np.array([strong if each.strong else 1.0 for each in known])
    if control == "length":
        length_N = np.array([_longer(each) for each in known])
        x_RK = np.concatenate([x_RK, (length_N / (length_N.std() or 1.0))[:, None]], axis=1)
    elif control == "style":
        x_RK = np.concatenate([x_RK, _standard([_style(each) for each in known], weight_N)], axis=1)
    return Design(
        x_RK,
        [first for first, _ in rows],
        [second for _, second in rows],
        np.array([number[pair] for pair in pairs] if control == "nothing" else range(len(known)), np.int64),
        np.array([each.share for each in known], np.float64),
        weight_N,
    )


def _turned(each: Verdict) -> Verdict:
    """The verdict seen from the other side: as if the opponent were the model."""
    return each._replace(
        model=each.opponent,
        opponent=each.model,
        share=None if each.share is None else 1 - each.share,
        apart=None if each.apart is None else -each.apart,
        longer=None if each.longer is None else -each.longer,
        style=None if each.style is None else tuple(-value for value in each.style),
    )


def _style(each: Verdict) -> tuple[float, ...]:
    if each.style is None:
        raise BadInput(
            "no style to control for",
            place=each.place,
            remedy="give completions scored by arena_hard, or add style_model and style_baseline",
        )
    return each.style


def _standard(style: Sequence[Sequence[float]], weight_N: Array) -> Array:
    """The differences less their means, over their standard deviations, a verdict as often as it weighs."""
    import numpy as np

    style_NF, total = np.array(style), weight_N.sum()
    apart_NF = style_NF - weight_N @ style_NF / total
    spread_F = np.sqrt(weight_N @ apart_NF**2 / max(total - 1, 1.0))
    return np.asarray(apart_NF / np.where(spread_F > TINY, spread_F, 1.0), np.float64)


def _longer(each: Verdict) -> float:
    if each.longer is None:
        raise BadInput(
            "no lengths to control for",
            place=each.place,
            remedy="add length_model and length_baseline, or length_a and length_b",
        )
    return each.longer


def _sums(design: Design, times_N: Array) -> tuple[Array, Array]:
    """Of each row the weight of its verdicts, and the part of it that the first model won."""
    import numpy as np

    weight_N = design.weight_N * times_N
    size = len(design.first_R)
    return (
        np.asarray(np.bincount(design.row_N, weight_N, size), np.float64),
        np.asarray(np.bincount(design.row_N, weight_N * design.won_N, size), np.float64),
    )


def _fit(design: Design, times_N: Array) -> Array:
    import numpy as np

    weight_R, won_R = _sums(design, times_N)
    some = weight_R > 0
    return np.asarray(fit(design.x_RK[some], won_R[some] / weight_R[some], weight_R[some]))


def _unfit(design: Design, times_N: Array, models: int) -> set[int]:
    """The models from which no chain of wins leads to the first one, or none back: Hunter 2004, assumption 1.

    Where there are any, the likelihood has no largest value.
    """
    over: list[set[int]] = [set() for _ in range(models)]
    under: list[set[int]] = [set() for _ in range(models)]
    weight_R, won_R = (each.tolist() for each in _sums(design, times_N))
    for first, second, weight, won in zip(design.first_R, design.second_R, weight_R, won_R, strict=True):
        if won > 0:
            over[first].add(second)
            under[second].add(first)
        if won < weight:
            over[second].add(first)
            under[first].add(second)
    return set(range(models)) - (_reached(over) & _reached(under))


def _reached(arrows: Sequence[set[int]]) -> set[int]:
    found, ahead = {0}, [0]
    while ahead:
        new = arrows[ahead.pop()] - found
        found |= new
        ahead.extend(new)
    return found
