"""Bradley-Terry against numbers worked by hand and the classical iteration."""

from __future__ import annotations

import math
import random

import pytest

from stages.ratings.bradley_terry import Strengths, strengths
from stages.ratings.verdicts import Verdict
from stages.runtime.errors import BadInput


def said(model: str, opponent: str, share: float | None, question: int, **more: object) -> Verdict:
    fields = {"strong": False, "apart": None, "longer": None, "place": "v.jsonl:1", **more}
    return Verdict(model=model, opponent=opponent, share=share, question=str(question), **fields)  # type: ignore


def fitted(verdicts: list[Verdict], **options: object) -> Strengths:
    given = {"rounds": 0, "seed": 0, "strong": 3.0, "control": False, **options}
    return strengths(verdicts, "base", **given)  # type: ignore[arg-type]


def test_two_models_by_hand() -> None:
    """3 wins, a tie and 1 loss: 3.5 to 1.5. What was not judged says nothing."""
    shares = [1.0, 1.0, 1.0, 0.5, 0.0, None]
    made = fitted([said("new", "base", share, k) for k, share in enumerate(shares)])
    assert made.models == ["base", "new"]
    assert made.values == pytest.approx([0, math.log(3.5 / 1.5)], abs=1e-12)


def test_a_strong_verdict_counts_as_often_as_is_said() -> None:
    verdicts = [said("new", "base", 1.0, 0, strong=True), said("new", "base", 0.0, 1)]
    assert fitted(verdicts).values[1] == pytest.approx(math.log(3))
    assert fitted(verdicts, strong=1.0).values[1] == pytest.approx(0)


def test_three_models_are_as_the_classical_iteration_has_them() -> None:
    """Zermelo 1929: p_i = wins_i / Σ games_ij / (p_i + p_j)."""
    rng = random.Random(6)
    names = ["base", "x", "y"]
    verdicts = [said(*rng.sample(names, 2), rng.choice([0.0, 0.5, 1.0]), question) for question in range(80)]
    p = dict.fromkeys(names, 1.0)
    for _ in range(3000):
        new = {}
        for name in names:
            won = sum(
                v.share if v.model == name else 1 - v.share
                for v in verdicts
                if name in v[:2] and v.share is not None
            )
            new[name] = won / sum(1 / (p[v.model] + p[v.opponent]) for v in verdicts if name in v[:2])
        p = {name: value / new["base"] for name, value in new.items()}
    made = fitted(verdicts)
    assert made.values == pytest.approx([math.log(p[name]) for name in made.models], abs=1e-9)


def test_a_model_that_never_lost_has_no_strength() -> None:
    with pytest.raises(BadInput, match="no strengths fit best: new and base are not joined"):
        fitted([said("new", "base", 1.0, 0)])
    with pytest.raises(BadInput, match="no verdict up to here is one"):
        fitted([said("new", "base", None, 0)])
    with pytest.raises(BadInput, match="u, v and base"):
        fitted([said("u", "v", 0.5, 0), said("base", "w", 0.5, 1)])


def test_the_bootstrap_draws_questions_and_is_that_of_its_seed() -> None:
    """Both orders of a question say the same here, so the interval is that of half as many verdicts."""
    rng = random.Random(9)
    shares = [float(rng.random() < 0.7) for _ in range(100)]
    once = [said("new", "base", share, k) for k, share in enumerate(shares)]
    twice = [*once, *once]
    rounds = [fitted(each, rounds=400).rounds for each in (once, twice)]
    spread, other = (sorted(each[1] for each in found) for found in rounds)
    assert spread == pytest.approx(other)
    share = sum(shares) / 100
    error = 1 / math.sqrt(100 * share * (1 - share))
    assert (spread[389] - spread[10]) / (2 * 1.96 * error) == pytest.approx(1, abs=0.15)
    assert fitted(once, rounds=5, seed=1).rounds != fitted(once, rounds=5).rounds


def test_what_a_model_wins_by_length_is_not_its_strength() -> None:
    rng = random.Random(3)
    verdicts = []
    for question in range(3000):
        longer = rng.uniform(-0.2, 0.8)
        share = 1 / (1 + math.exp(-(0.3 + 2.0 * longer)))
        verdicts.append(said("new", "base", share, question, longer=longer))
    made = fitted(verdicts, control=True)
    assert made.values[1] == pytest.approx(0.3, abs=1e-9)
    assert made.length == pytest.approx(2.0 * (1 / math.sqrt(12)), rel=0.02)
    assert fitted(verdicts).values[1] > 0.8
    with pytest.raises(BadInput, match="no lengths to control for"):
        fitted([said("new", "base", 0.5, 0)], control=True)
