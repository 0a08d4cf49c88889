"""`report` reads metrics as training writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages import report
from stages.evaluation.seeds import over_seeds
from stages.runtime.errors import BadInput, UsageError
from stages.settings import grpo
from stages.settings.options import recorded


def history(folder: Path, *rewards: float) -> Path:
    folder.mkdir()
    lines = [
        {"step": i, "loss": 0.5 / i, "reward": reward, "total_flos": 10**15 * i, "step_time": 2.0}
        | {"completions/mean_length": 10.0 * i, "rewards/mine/short/mean": reward / 2}
        | ({"eval/sums/pass@1": reward, "eval/sums/pass@1_low": 0.0} if i % 2 else {})
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
    assert results.rows == [["zero", "3", "0.1667", "0.25 -> 0.75", "25.0% -> 75.0%", "10 -> 30", "3", "6"]]


def seeded(
    folder: Path, seed: int, *rewards: float, parent: str = "p", given: str = "d", **options: Any
) -> Path:
    """A finished run of grpo of these options, with its seed, from a model on records of these digests."""
    made = history(folder, *rewards)
    settings = grpo.Settings(model="base", out=folder, seed=seed, workers=seed, **options)
    manifest = {
        "stage": "grpo", "options": recorded(settings), "parent": {"model": "base", "revision": parent},
        "inputs": {"records": 2, "digest": given},
    }  # fmt: skip
    (made / "r1.json").write_text(json.dumps(manifest))
    return made


def test_runs_of_several_seeds_are_a_mean_and_the_band_that_students_t_gives(tmp_path: Path) -> None:
    runs = [seeded(tmp_path / f"zero-{k}", k, 0.25, reward) for k, reward in enumerate((0.5, 0.6, 0.7))]
    runs.append(seeded(tmp_path / "other", 0, 0.25, 0.4, 0.5, steps=7))
    results = report.run(tuple(runs), over_seeds=True)
    zero, other = results.records
    assert (zero["run"], zero["runs"], zero["seeds"]) == ("zero", ["zero-0", "zero-1", "zero-2"], [0, 1, 2])
    assert zero["reward"] == pytest.approx([0.25, 0.6])
    # s = 0.1, t of two degrees of freedom 4.3027: 4.3027 · 0.1 / √3 = 0.2484
    assert zero["reward_low"] == pytest.approx([0.25, 0.6 - 0.24841], abs=1e-5)
    assert zero["reward_high"] == pytest.approx([0.25, 0.6 + 0.24841], abs=1e-5)
    assert zero["rewards/mine/short/mean"] == pytest.approx([0.125, 0.3])
    assert zero["eval/sums/pass@1"] == [0.25, 0.25], "what is measured now and then: the first and the last"
    assert zero["eval/sums/pass@1_low"] == pytest.approx([0.25, 0.25]), "the band, and no run's own interval"
    assert results.rows[0][3] == "0.25 ± 0.00 -> 0.60 ± 0.25"
    assert (other["run"], other["reward"], "reward_low" in other) == ("other", [0.25, 0.5], False)


def test_a_band_is_over_steps_that_all_runs_have(tmp_path: Path) -> None:
    runs = (seeded(tmp_path / "a1", 1, 0.2, 0.4, 0.9), seeded(tmp_path / "a2", 2, 0.4, 0.6))
    (record,) = report.run(runs, over_seeds=True).records
    assert (record["steps"], record["reward"]) == (2, pytest.approx([0.3, 0.5]))


def test_a_set_of_runs_needs_their_options_and_different_seeds(tmp_path: Path) -> None:
    runs = (seeded(tmp_path / "a", 1, 0.2), seeded(tmp_path / "b", 1, 0.4))
    with pytest.raises(BadInput, match="has seed 1, as another of its set"):
        report.run(runs, over_seeds=True)
    with pytest.raises(BadInput, match=r"no r1\.json that says the options"):
        report.run((history(tmp_path / "c", 0.1),), over_seeds=True)


def test_runs_of_another_model_or_other_records_make_a_set_of_their_own(tmp_path: Path) -> None:
    runs = (
        seeded(tmp_path / "a", 1, 0.2),
        seeded(tmp_path / "b", 2, 0.4, parent="q"),
        seeded(tmp_path / "c", 3, 0.6, given="e"),
    )
    records = report.run(runs, over_seeds=True).records
    assert [record["runs"] for record in records] == [["a"], ["b"], ["c"]]


def test_supervised_runs_have_no_reward(tmp_path: Path) -> None:
    folder = tmp_path / "sft"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step":1,"loss":0.5,"step_time":1.0}\n')
    (row,) = report.run((folder,)).rows
    assert row == ["sft", "1", "0.5000", "", "", "0", "1"]


def test_a_run_costs_tokens_seconds_and_money(tmp_path: Path) -> None:
    folder = tmp_path / "sft"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(
        '{"step":1,"loss":0.5,"step_time":1000.0,"num_tokens":900,"total_flos":1e15}\n'
        '{"step":2,"loss":0.5,"step_time":700.0,"time/eval":100.0,"num_tokens":700,"total_flos":2e15}\n'
    )
    found = report.run((folder,), price_hour=2.5)
    (record,) = found.records
    assert (record["num_tokens"], record["seconds"], record["cost"]) == (1600, 1800, 1.25)
    assert found.columns[-4:] == ["tokens", "PFLOP", "seconds", "cost"]
    assert found.rows[0][-4:] == ["1,600", "2", "1800", "1.25"]


def test_curves_are_drawn_into_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.png"
    runs = (seeded(tmp_path / "a1", 1, 0.1, 0.2), seeded(tmp_path / "a2", 2, 0.3, 0.4))
    report.run(runs, png=picture, over_seeds=True)
    assert picture.read_bytes().startswith(b"\x89PNG")
    names = report._curves([report._history(runs[0])])
    wanted = ["reward", "rewards/mine/short/mean", "eval/sums/pass@1", "completions/mean_length"]
    assert names == wanted, "every reward is drawn"
    assert report._title("eval/sums/pass@1") == "held out: sums/pass@1"


def test_a_directory_without_metrics_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no metrics\.jsonl"):
        report.run((tmp_path,))


def test_two_runs_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    results = report.run((history(tmp_path / "x/zero", 0.1), history(tmp_path / "y/zero", 0.2)))
    assert [record["run"] for record in results.records] == ["x/zero", "y/zero"]
    deeper = [tmp_path / name / "x/zero" for name in "ab"]
    for folder in deeper:
        folder.parent.mkdir(parents=True)
    results = report.run(tuple(history(folder, 0.1) for folder in deeper))
    assert [record["run"] for record in results.records] == list(map(str, deeper))
    with pytest.raises(UsageError, match="zero is given twice"):
        report.run((deeper[0], deeper[0]))


def evaluated(folder: Path, *rates: float) -> Path:
    """A run that is measured before its first step and after each, with an interval of 0.1 to either side."""
    made = history(folder, *(0.5 for _ in rates[1:]))
    lines = [{"step": 0}, *map(json.loads, (made / "metrics.jsonl").read_text().splitlines())]
    for line, rate in zip(lines, rates, strict=True):
        ends = {
            f"eval/held/pass@1{end}": rate + by for end, by in (("", 0.0), ("_low", -0.1), ("_high", 0.1))
        }
        line |= {**ends, "time/eval": 1.0}
    (made / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return made


def test_held_out_figures_are_shown_from_before_the_first_step(tmp_path: Path) -> None:
    results = report.run(
        (evaluated(tmp_path / "a", 0.25, 0.4, 0.5), history(tmp_path / "b", 0.5)), png=tmp_path / "c.png"
    )
    measured, plain = results.records
    assert measured["eval/held/pass@1"] == [0.25, 0.5]
    assert measured["eval/held/pass@1_high"] == pytest.approx([0.35, 0.6])
    assert (measured["steps"], measured["seconds"]) == (2, 7.0)
    assert results.columns[4] == "held out: held/pass@1"
    assert [row[4] for row in results.rows] == ["25.0% -> 50.0%", ""]
    assert "eval/held/pass@1" not in plain
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_the_band_over_seeds_is_not_the_interval_of_one_run() -> None:
    lines = [[{"step": 0, "rate": rate, "rate_low": 0.0, "rate_high": 1.0}] for rate in (0.4, 0.5, 0.6)]
    (line,) = over_seeds(lines)
    # s = 0.1, t of two degrees of freedom 4.3027: 4.3027 · 0.1 / √3 = 0.2484
    assert (line["rate_low"], line["rate_high"]) == pytest.approx((0.5 - 0.24841, 0.5 + 0.24841), abs=1e-5)
    assert set(line) == {"step", "rate", "rate_low", "rate_high"}
