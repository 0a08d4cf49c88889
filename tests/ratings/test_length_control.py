"""Logistic regression and AlpacaEval's length-controlled rate, against other writings and numbers."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from calibration_table import write
from conftest import R1

from stages.formats.tables import read_rows
from stages.ratings.length_control import calibration, controlled, minimal
from stages.ratings.logistic import fit, loss, sigmoid
from stages.records.record import Record
from stages.runtime.errors import BadInput

# What alpaca_eval 0.6.6 makes of the table of tests/calibration_table.py (tests/bench/open_answers.py prints
# it), and the published win rates.
PEER = {"claude-2.1": (29.9430, 15.734), "gemma-7b-it": (12.8231, 6.937)}


def test_a_share_alone_has_the_coefficient_of_its_odds() -> None:
    beta = fit(np.ones((3, 1)), np.array([0.9, 0.5, 0.7]), np.array([1.0, 1.0, 2.0]))
    assert beta[0] == pytest.approx(math.log(0.7 / 0.3), abs=1e-9)


def test_the_penalty_by_hand() -> None:
    """One column of ones, N rows of share y: N (q − y) + 1/C = 0, so q = y − 1/(C N) where β is above 0."""
    beta = fit(np.ones((10, 1)), np.full(10, 0.8), np.ones(10), c=1.0)
    assert sigmoid(beta)[0] == pytest.approx(0.7, abs=1e-9)
    assert fit(np.ones((10, 1)), np.full(10, 0.55), np.ones(10), c=1.0)[0] == 0, "0.5 of 1 is not worth it"


@pytest.mark.parametrize("c", [0.05, 1.0, math.inf])
def test_no_other_coefficients_have_less_loss(c: float) -> None:
    rng = np.random.default_rng(4)
    x, y, w = rng.normal(size=(200, 3)), rng.random(200), rng.random(200)
    beta = fit(x, y, w, c=c)

    def whole(b: np.ndarray) -> float:
        return loss(x, y, w, b) + np.abs(b).sum() / c

    for _ in range(200):
        assert whole(beta) <= whole(beta + rng.normal(size=3) * 10 ** rng.uniform(-5, 0)) + 1e-12


def test_outcomes_that_a_column_tells_apart_end_all_the_same() -> None:
    beta = fit(np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]), np.ones(2))
    assert sigmoid(beta)[0] > 1 - 1e-6


def test_the_length_is_taken_out() -> None:
    """A judge with half a point for the model, and two for the longer one; the model is always longer."""
    rng = random.Random(2)
    apart = [-rng.uniform(100, 2000) for _ in range(4000)]
    spread = float(np.std(apart, ddof=1))
    shares = [1 / (1 + math.exp(2 * math.tanh(each / spread) + 0.5)) for each in apart]
    assert minimal(shares, apart) == pytest.approx(100 / (1 + math.exp(0.5)), abs=1e-6)


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no number 'instruction_difficulty'"):
        calibration([Record(index=3)])
    with pytest.raises(BadInput, match="no verdicts on the rewrites"):
        calibration([Record(index=3, instruction_difficulty=0.5)])


def test_what_was_not_judged_is_predicted(tmp_path: Path) -> None:
    table = calibration(read_rows(str(write(tmp_path / "t.csv", 50))))
    rng = random.Random(8)
    shares: list[float | None] = [rng.random() for _ in range(50)]
    apart = [rng.gauss(-300, 400) for _ in range(50)]
    hard = [table.difficulty[k] for k in range(50)]
    whole = controlled(shares, apart, hard, table)
    shares[7] = None
    some = controlled(shares, apart, hard, table)
    assert some.win_rate != whole.win_rate
    assert some.win_rate == pytest.approx(whole.win_rate, abs=3)


@pytest.mark.parametrize("name", sorted(PEER))
def test_real_verdicts_give_the_published_win_rate_and_the_packages_control(
    data: Path, tmp_path: Path, r1: R1, name: str
) -> None:
    table = write(tmp_path / "df_gamed.csv")
    done = r1("rank", "--calibration", table, data / "eval" / f"alpaca_{name}.jsonl")
    (line,) = [json.loads(each) for each in done.stdout.splitlines()]
    assert line["length_controlled_win_rate"] == pytest.approx(PEER[name][0], abs=0.02)
    assert line["win_rate"] == pytest.approx(PEER[name][1], abs=1e-3)
    assert line["verdicts"] == 805
