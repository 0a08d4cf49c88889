"""`report` reads metrics as training writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages import report
from stages.data.errors import BadInput


def history(folder: Path, *rewards: float) -> Path:
    folder.mkdir()
    lines = [
        {"step": i, "loss": 0.5 / i, "reward": reward, "total_flos": 10**15 * i, "step_time": 2.0}
        | {"completions/mean_length": 10.0 * i}
        for i, reward in enumerate(rewards, 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_run_is_summed_up_from_its_first_step_to_its_last(tmp_path: Path) -> None:
    results = report.run((history(tmp_path / "zero", 0.25, 0.5, 0.75),))
    (record,) = results.records
    assert record["run"] == "zero"
    assert record["steps"] == 3
    assert record["reward"] == [0.25, 0.75]
    assert record["completions/mean_length"] == [10.0, 30.0]
    assert record["total_flos"] == 3 * 10**15
    assert record["seconds"] == 6.0
    assert results.rows == [["zero", "3", "0.1667", "0.25 -> 0.75", "10 -> 30", "3", "6"]]


def test_supervised_runs_have_no_reward(tmp_path: Path) -> None:
    folder = tmp_path / "sft"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step":1,"loss":0.5,"step_time":1.0}\n')
    (row,) = report.run((folder,)).rows
    assert row == ["sft", "1", "0.5000", "", "", "0", "1"]


def test_curves_are_drawn_into_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.png"
    runs = (history(tmp_path / "a", 0.1, 0.2), history(tmp_path / "b", 0.3, 0.4))
    report.run(runs, png=picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_directory_without_metrics_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no metrics\.jsonl"):
        report.run((tmp_path,))


def test_two_runs_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    results = report.run((history(tmp_path / "x/zero", 0.1), history(tmp_path / "y/zero", 0.2)))
    assert [record["run"] for record in results.records] == ["x/zero", "y/zero"]
