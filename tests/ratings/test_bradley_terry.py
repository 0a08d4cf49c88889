"""Bradley-Terry against numbers worked by hand and the classical iteration."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from stages.ratings.bradley_terry import Strengths, strengths
from stages.ratings.style import Style, apart, style_of
from stages.ratings.verdicts import Verdict
from stages.runtime.errors import BadInput


def said(model: str, opponent: str, share: float | None, question: int, **more: object) -> Verdict:
    fields = {"strong": False, "apart": None, "longer": None, "place": "v.jsonl:1", **more}
    return Verdict(model=model, opponent=opponent, share=share, question=str(question), **fields)  # type: ignore


def fitted(verdicts: list[Verdict], **options: object) -> Strengths:
    given = {"rounds": 0, "seed": 0, "strong": 3.0, "control": "nothing", **options}
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
    made = fitted(verdicts, control="length")
    assert made.values[1] == pytest.approx(0.3, abs=1e-9)
    assert made.style["length"] == pytest.approx(2.0 * (1 / math.sqrt(12)), rel=0.02)
    assert fitted(verdicts).values[1] > 0.8
    with pytest.raises(BadInput, match="no lengths to control for"):
        fitted([said("new", "base", 0.5, 0)], control="length")


def test_style_control_is_arena_hards() -> None:
    """Worked out anew as its program does: strong verdicts three times, differences standardised over all."""
    rng = random.Random(4)
    rows: list[list[float]] = []
    outcomes: list[float] = []
    verdicts = []
    for question in range(150):
        for name in ("u", "v"):
            own, other = (
                Style(rng.randint(50, 900), rng.randint(0, 4), rng.randint(0, 20), rng.randint(0, 9))
                for _ in range(2)
            )
            score = rng.choice([0.0, 0.0, 0.5, 1.0, 1.0, 1.0])
            strong = score != 0.5 and rng.random() < 0.3
            longer, *_ = style = apart(own, other)
            fields = {"strong": strong, "longer": longer, "style": style}
            if rng.random() < 0.5:
                verdicts.append(said(name, "base", score, question, **fields))
            else:
                fields["style"] = tuple(-value for value in style)
                verdicts.append(said("base", name, 1 - score, question, **fields))
            density = [[count / each.length for count in each[1:]] for each in (own, other)]
            features = [(own.length - other.length) / (own.length + other.length)]
            features += [(a - b) / (a + b + 1) for a, b in zip(*density, strict=True)]
            for _ in range(3 if strong else 1):
                rows.append([float(name == "u"), float(name == "v"), *features])
                outcomes.append(score)
    x, y = np.array(rows), np.array(outcomes)
    x[:, 2:] = (x[:, 2:] - x[:, 2:].mean(0)) / x[:, 2:].std(0, ddof=1)
    beta = np.zeros(6)
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ beta))
        beta += np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]), x.T @ (y - p))
    made = fitted(verdicts, control="style")
    assert [*made.values[1:], *made.style.values()] == pytest.approx(list(beta), abs=1e-8)
    with pytest.raises(BadInput, match="no style to control for"):
        fitted([said("u", "base", 0.5, 0)], control="style")


def test_styles_are_counted_outside_of_code() -> None:
    text = "# A\n\n## B\n- one\n  * two\n3. three **bold** __too__\n```\n# no\n- no **no**\n```\n#not"
    assert style_of(text) == (len(text), 2, 3, 2)
    assert style_of("-\n- a\n\n\n+ b") == (11, 0, 3, 0)
    assert style_of("") == (0, 0, 0, 0)
