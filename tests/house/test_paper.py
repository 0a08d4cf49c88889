"""The scripts of the paper's claims: their statistics by hand, their last lines, and that they resume.

Whether a claim holds is what `just paper` finds out; here each script runs at a size that shows nothing.
"""

from __future__ import annotations

import json
import math
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "docs" / "recipes" / "paper"
CLAIMS = sorted(int(path.stem.removeprefix("claim-")) for path in PAPER.glob("claim-*.sh"))
SIZES = {"DOCUMENTS": "4800", "STEPS": "1", "TESTED": "4", "SAMPLES": "2"}
SIZES |= {"PAIRS": "16", "EARLY": "1", "TALKS": "16", "COLD": "16", "PRIMED": "16", "MODELS": "2"}
SIZES |= {"LEARNED": "64", "STEPPED": "4", "DEPTH": "2", "ROUNDS": "2"}
LAST = re.compile(
    r"claim (\d+): (held|not held), (-?[\d.]+|-), (-?[\d.]+|-) to (-?[\d.]+|-), p (< 0\.0001|[\d.]+|-)"
)
t_test = runpy.run_path(str(PAPER / "t_test.py"))
tree_search = runpy.run_path(str(PAPER / "tree_search.py"))


def run(script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PAPER / script), *words],
        env={**os.environ, **SIZES, "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_mean_of_four_values_by_hand() -> None:
    """1, 2, 3, 6: mean 3, sum of squares 14, standard error sqrt(14 / 3 / 4); t of 3 degrees at 0.975.

    P(|T| >= t) with 3 degrees is 1 - 2/pi (x / (1 + x^2) + atan x) at x = t / sqrt 3, here sqrt(18 / 7).
    """
    effect, low, high, p, units = t_test["t_test"]([1.0, 2.0, 3.0, 6.0])
    half = 3.182446305284263 * math.sqrt(14 / 12)
    assert (effect, units) == (3.0, 4)
    assert (low, high) == pytest.approx((3 - half, 3 + half), rel=1e-9)
    x = math.sqrt(18 / 7)
    assert p == pytest.approx(1 - 2 / math.pi * (x / (1 + x * x) + math.atan(x)), rel=1e-9)


def test_values_that_do_not_differ_have_the_sign_test_and_no_interval() -> None:
    assert t_test["t_test"]([2.0, 2.0, 2.0]) == (2.0, None, None, 0.25, 3)
    assert t_test["t_test"]([0.0, 0.0]) == (0.0, None, None, 1.0, 2)
    assert t_test["t_test"]([4.0]) == (4.0, None, None, None, 1)


def test_a_ratio_is_that_of_paired_units_and_values_of_a_unit_are_averaged(tmp_path: Path) -> None:
    for name, values in {"a": {"x": [1, 3], "y": [8], "z": [1]}, "b": {"x": [1], "y": [2]}}.items():
        lines = [{"unit": unit, "value": v} for unit, each in values.items() for v in each]
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = t_test["means"](tmp_path / "a"), t_test["means"](tmp_path / "b")
    assert t_test["compared"](first, second, ratio=True).effect == pytest.approx(math.sqrt(8))
    assert t_test["compared"](first, second, ratio=False).effect == pytest.approx((1 + 6) / 2)
    assert t_test["compared"](first, None, ratio=False).units == 3


def test_a_slope_by_hand() -> None:
    """x 0, 1, 2, 3 and y 1, 2, 2, 4: slope 4.5 / 5, residuals 0.1, 0.2, -0.7, 0.4, standard error
    sqrt(0.7 / 2 / 5); of 2 degrees P(|T| >= t) is 1 - t / sqrt(2 + t^2).
    """
    effect, low, high, p, units = t_test["slope"]([(1.0, 0.0), (2.0, 1.0), (2.0, 2.0), (4.0, 3.0)])
    error = math.sqrt(0.07)
    half = 4.302652729911275 * error
    assert (effect, low, high) == pytest.approx((0.9, 0.9 - half, 0.9 + half), rel=1e-9)
    assert p == pytest.approx(1 - 0.9 / error / math.sqrt(2 + 0.81 / 0.07), rel=1e-9)
    assert units == 4
    assert t_test["slope"]([(1.0, 2.0), (3.0, 2.0), (4.0, 2.0)]).effect is None
    assert t_test["slope"]([(1.0, 0.0), (3.0, 1.0)]) == (2.0, None, None, None, 2)


def test_a_line_without_a_value_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"unit": "a", "value": 1}\n{"unit": "a"}\n')
    done = subprocess.run(
        [sys.executable, str(PAPER / "t_test.py"), str(tmp_path / "bad.jsonl")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 65
    assert f"{tmp_path / 'bad.jsonl'}:2: " in done.stderr
    assert not done.stdout


def test_units_of_one_file_alone_are_counted(tmp_path: Path) -> None:
    for name, units in {"a": "xyz", "b": "wxy"}.items():
        lines = [json.dumps({"unit": unit, "value": ord(unit) ** 2}) for unit in units]
        (tmp_path / name).write_text("\n".join(lines))
    done = subprocess.run(
        [sys.executable, str(PAPER / "t_test.py"), str(tmp_path / "a"), str(tmp_path / "b")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "t_test: 2 of 4 units, as w, are in one file alone\n"
    assert json.loads(done.stdout)["units"] == 2


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_threshold_stands_in_the_head(claim: int) -> None:
    head = (PAPER / f"claim-{claim}.sh").read_text("utf-8").partition("set -euo pipefail")[0]
    assert re.search(rf"^# Claim {claim}: ", head, re.MULTILINE)
    assert re.search(r"^# Statistics?: |^# Statistics?, ", head, re.MULTILINE)
    assert re.search(r"^# Thresholds?: ", head, re.MULTILINE)


def test_a_claim_without_a_script_is_refused() -> None:
    done = run("run.sh", "99", "0")
    assert done.returncode == 2
    assert "no script for claim 99" in done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the claims share what they make."""
    return tmp_path_factory.mktemp("paper")


@pytest.mark.full
@pytest.mark.timeout(1300)
@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_ends_in_its_verdict_and_goes_on_where_it_was(claim: int, made: Path, path: str) -> None:
    done = run("run.sh", str(claim), "0", OUT=str(made), PATH=path)
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    found = LAST.fullmatch(line.removeprefix("seed 0, "))
    assert found, line
    assert found[1] == str(claim)
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*") if "claim-" not in path.name}
    assert run("run.sh", str(claim), "0", OUT=str(made), PATH=path).stdout == done.stdout
    after = {path: path.stat().st_mtime_ns for path in made.rglob("*") if "claim-" not in path.name}
    assert after == before


@pytest.mark.full
def test_reward_models_are_measured_on_what_they_have_not_seen(made: Path, path: str) -> None:
    done = run("judges.sh", OUT=str(made), SEED="0", PATH=path)
    assert done.returncode == 0, done.stderr[-3000:]
    helpful, harmless = map(json.loads, done.stdout.splitlines())
    assert (helpful["name"], harmless["name"]) == ("judge-helpful", "judge-harmless")
    for found in (helpful, harmless):
        assert 0 <= found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"] <= 1
        assert found["tokens"] > 0


def drawn(node: int, begun: str, reward: float, *, ended: bool = False) -> dict[str, object]:
    return {"problem": "p", "node": node, "begun": begun, "reward": reward, "ended": ended}


def test_a_tree_grows_where_worth_and_few_visits_say_and_closes_where_all_has_ended() -> None:
    """After two steps of worth 0.9 and 0.1 the root has 3 visits: the bounds are 0.9 and 0.1 plus as much."""
    grown, chosen = tree_search["grown"], tree_search["chosen"]
    tree = tree_search["begin"]({"id": "p", "prompt": "?"})
    assert chosen(tree["nodes"]) == 0
    tree = grown(tree, [drawn(0, "a", 0.9), drawn(0, "b", 0.1)])
    assert chosen(tree["nodes"]) == 1
    assert tree_search["opened"](tree)["prompt"] == "?a"
    # Node 1 has 0.9, 0 and 0 in 3 visits, bound 0.3 + 0.5 sqrt(log 5 / 3) = 0.67; node 2 has
    # 0.1 + 0.5 sqrt(log 5) = 0.73.
    tree = grown(tree, [drawn(1, "aa", 0.0), drawn(1, "ab", 0.0)])
    assert [node["visits"] for node in tree["nodes"]] == [5, 3, 1, 1, 1]
    assert chosen(tree["nodes"]) == 2
    tree = grown(tree, [drawn(2, "b!", 0.2, ended=True), drawn(2, "b!", 0.2, ended=True)])
    assert tree["nodes"][5]["visits"] == 2
    assert chosen(tree["nodes"]) in (3, 4), "below 2 all has ended"
    tree = grown(tree, [drawn(3, "aa!", 0.4, ended=True)])
    tree = grown(tree, [drawn(4, "ab!", 0.3, ended=True)])
    assert chosen(tree["nodes"]) is None
    assert tree_search["opened"](tree) is None
    assert tree_search["answered"](tree)["completion"] == "aa!"
