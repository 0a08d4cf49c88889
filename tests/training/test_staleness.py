"""Sampling ahead of what is learned: how old completions may be, that none is lost, and how it all ends."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_training import CPU, OFTEN, StopAt, Stopped, assert_same_run, metrics, problems, reinforced

from stages.records import jsonl
from stages.runtime.errors import R1Error, UsageError
from stages.runtime.report import Silent
from stages.settings.evaluation import Evaluation
from stages.settings.groups import Objective, Parallelism
from stages.training.grpo.sampler import Batch, OnPolicy


class Slow(Silent):
    """Makes each step take so long, that the sampler gets ahead."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def advance(self, steps: int = 1, **fields: float | str) -> None:
        time.sleep(self.seconds)


def rollouts(out: Path) -> list[list[dict[str, Any]]]:
    """The records of each step."""
    found = []
    for path in sorted((out / "rollouts").iterdir()):
        with jsonl.open_input(path) as stream:
            found.append(list(jsonl.read_lines(stream, path.name)))
    return found


def test_staleness_1_is_one_step_off(tiny: Path, tmp_path: Path, reward: str) -> None:
    reinforced(tiny, tmp_path / "a", reward, one_step_off=True)
    reinforced(tiny, tmp_path / "b", reward, staleness=1)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    lines = metrics(tmp_path / "b")
    assert [line["sampling/staleness"] for line in lines] == [0, 1, 1, 1]
    assert [line["sampling/stale_tokens"] for line in lines] == [0, 1, 1, 1]


@pytest.mark.parametrize("staleness", [2, 4])
def test_a_trainer_that_lags_gets_completions_of_that_age_and_no_older(
    tiny: Path, tmp_path: Path, reward: str, staleness: int
) -> None:
    steps = staleness + 4
    options = {"steps": steps, "staleness": staleness, "order": "given"}
    reinforced(tiny, tmp_path / "out", reward, report=Slow(0.4), **options)
    lines = metrics(tmp_path / "out")
    assert max(line["sampling/staleness"] for line in lines) == staleness
    made = rollouts(tmp_path / "out")
    for step, (line, records) in enumerate(zip(lines, made, strict=True), 1):
        assert {record["meta"]["grpo"]["policy_step"] for record in records} == {
            step - 1 - line["sampling/staleness"]
        }
        assert line["sampling/stale_tokens"] == (line["sampling/staleness"] > 0)
        # Weights that have not changed give the same log-probabilities; others do not.
        assert (line["sampling/logp_gap_mean"] < 1e-5) == (line["sampling/staleness"] == 0)
    taken = [group for records in made for group in dict.fromkeys(each["group"] for each in records)]
    assert taken == [each["id"] for each in problems(8) * 4][: 3 * steps]


def test_a_sampler_that_lags_gives_fresh_completions(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = OnPolicy.sample

    def slow(self: OnPolicy, step: int) -> Batch:
        time.sleep(0.5)
        return right(self, step)

    monkeypatch.setattr(OnPolicy, "sample", slow)
    reinforced(tiny, tmp_path / "out", reward, staleness=4)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert all(line["sampling/staleness"] <= 1 for line in lines)
    assert all(line["time/sample"] > 0.5 for line in lines)
    assert all(line["time/sampler_idle"] < 0.5 for line in lines)


@pytest.mark.parametrize("more", [{}, {"objective": Objective(dynamic_sampling=2, minibatches=2)}])
def test_what_is_finished_is_not_lost_by_a_kill(
    tiny: Path, tmp_path: Path, reward: str, more: dict[str, Any]
) -> None:
    """Each problem is learned once and in its order, also those that were begun as the run was killed."""
    options = {"steps": 8, "staleness": 3, "order": "given", "saving": OFTEN, **more}
    out = tmp_path / "out"
    held = []
    for step in (3, 2):
        with pytest.raises(Stopped):
            reinforced(tiny, out, reward, report=StopAt(step), resume=True, **options)
        (state,) = Path(f"{out}.partial").glob("state/step_*/state.json")
        extra = json.loads(state.read_text())["extra"]
        held.append([[record["completion_ids"] for record in batch[0]] for batch in extra["ahead"]])
    reinforced(tiny, out, reward, resume=True, **options)
    made = rollouts(out)
    assert len(made) == 8
    learned = [[record["completion_ids"] for record in records] for records in made]
    assert held[0] == learned[2 : 2 + len(held[0])]
    assert held[1] == learned[3 : 3 + len(held[1])]
    if not more:
        taken = [group for records in made for group in dict.fromkeys(each["group"] for each in records)]
        assert taken == [each["id"] for each in problems(8) * 3]
    assert not any(thread.name == "sampler" for thread in threading.enumerate())


def test_held_out_problems_are_answered_by_the_newest_weights(
    tiny: Path, tmp_path: Path, reward: str
) -> None:
    held = tmp_path / "held.jsonl"
    jsonl.write(held, problems(12)[8:])
    measured = Evaluation(eval=(str(held),), eval_every=1, eval_reward=(reward,), eval_max_tokens=8)
    one, other = tmp_path / "one", tmp_path / "other"
    reinforced(tiny, one, reward, staleness=3, evaluation=measured, steps=5)
    assert [line["step"] for line in metrics(one)] == [0, 1, 2, 3, 4, 5]
    assert max(line["sampling/staleness"] for line in metrics(one)[1:]) <= 3
    reinforced(one, other, reward, evaluation=measured, steps=1)
    last, first = (out / "eval" / f"step_00000{n}" / "held.jsonl" for out, n in ((one, 5), (other, 0)))
    said = [[each["completion"] for each in jsonl.read_lines(path.open("rb"), "")] for path in (last, first)]
    assert said[0] == said[1]


def test_what_ends_the_sampler_ends_the_run(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = OnPolicy.sample

    def breaks(self: OnPolicy, step: int) -> Batch:
        if step == 4:
            raise R1Error("planted")
        return right(self, step)

    monkeypatch.setattr(OnPolicy, "sample", breaks)
    with pytest.raises(R1Error, match="planted"):
        reinforced(tiny, tmp_path / "out", reward, staleness=2, steps=6)
    assert len((Path(f"{tmp_path / 'out'}.partial") / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"one_step_off": True, "staleness": 2}, "--one-step-off is --staleness 1"),
        ({"staleness": 2, "parallelism": Parallelism(zero=3)}, "under ZeRO 3 the weights are gathered"),
        (
            {"staleness": 2, "engine": replace(CPU, deterministic=True)},
            "depends on time, and --deterministic",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    tiny: Path, tmp_path: Path, reward: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        reinforced(tiny, tmp_path / "out", reward, **options)
