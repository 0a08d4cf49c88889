"""A fault planted in each place where a run could go wrong in silence: each is caught in the step in which it
happens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import STEADY, metrics, reinforced

from stages.inference.fingerprint import fingerprint
from stages.inference.transformers.backend import TransformersBackend
from stages.objectives import products
from stages.records.record import Record
from stages.runtime.errors import R1Error
from stages.settings.groups import Saving
from stages.training import rows
from stages.training.grpo import step
from stages.training.grpo.learner import Learner
from stages.training.grpo.sampler import OnPolicy
from stages.training.loop.run import Run
from stages.training.parallel.world import World

pytestmark = pytest.mark.usefixtures("small_layers_too")
STALE = "does not hold the weights that are trained"
APART = "did not sample from the weights that are trained"


def steps_logged(out: Path) -> int:
    work = out.with_name(out.name + ".partial")
    return len(metrics(work)) if work.exists() else 0  # a run that learned nothing leaves nothing


def test_without_a_fault_nothing_is_caught(tiny: Path, tmp_path: Path, reward: str) -> None:
    reinforced(tiny, tmp_path / "out", reward, steps=3)
    for line in metrics(tmp_path / "out"):
        assert 0 <= line["sampling/logp_gap_mean"] <= line["sampling/logp_gap_max"] < 1e-4


def test_a_sampler_with_packed_weights_of_an_earlier_step_is_stopped(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are packed once and then kept: after one update of a rate of 1e-6 the next step stops."""
    kept: dict[int, torch.Tensor] = {}
    pack = products.pack

    def stale(weight: torch.Tensor, rows: int, dtype: torch.dtype) -> torch.Tensor:
        return kept.setdefault(id(weight), pack(weight, rows, dtype))

    monkeypatch.setattr(products, "pack", stale)
    with pytest.raises(R1Error, match=STALE):
        reinforced(tiny, tmp_path / "out", reward, optimizer=replace(STEADY, lr=1e-6))
    assert steps_logged(tmp_path / "out") == 1


def test_a_sampler_that_got_no_weights_is_stopped(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step off policy, the copy that samples is not brought up to date: the second step learned, it would
    sample the third's completions with the parent's weights."""

    def forgets(self: Run, backend: TransformersBackend, *world: World) -> None:
        backend.expected = fingerprint(self.policy.unwrapped.parameters())

    monkeypatch.setattr(Run, "sync", forgets)
    with pytest.raises(R1Error, match=STALE):
        reinforced(tiny, tmp_path / "out", reward, one_step_off=True)
    assert steps_logged(tmp_path / "out") == 2


def test_swapped_token_ids_are_stopped(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = OnPolicy.collect

    def swapped(self: OnPolicy, problems: Sequence[Record], step: int) -> list[Record]:
        made = collect(self, problems, step)
        if step == 2:
            for record in made:
                record["completion_ids"] = record["completion_ids"][::-1]
        return made

    monkeypatch.setattr(OnPolicy, "collect", swapped)
    with pytest.raises(R1Error, match=APART):
        reinforced(tiny, tmp_path / "out", reward)
    assert steps_logged(tmp_path / "out") == 1


def test_a_shifted_mask_is_stopped(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The places whose next token is learned are one token off."""
    row = rows._row

    def shifted(*arguments: Any) -> rows.Row:
        made = row(*arguments)
        made.predict = (made.predict - 1).clamp_min(0)
        return made

    monkeypatch.setattr(rows, "_row", shifted)
    with pytest.raises(R1Error, match=APART):
        reinforced(tiny, tmp_path / "out", reward)
    assert steps_logged(tmp_path / "out") == 0


@pytest.mark.parametrize("place", ["weight", "gradient"])
def test_what_is_no_number_stops_the_step_and_leaves_its_samples(
    place: str, tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = step.learn

    def broken(run: Run, learner: Learner, rollouts: Sequence[Record]) -> Any:
        if run.step == 2:
            weight = learner.policy.model.model.layers[0].mlp.down_proj.weight
            if place == "weight":
                with torch.no_grad():
                    weight[0, 0] = math.nan
            else:
                weight.register_hook(lambda gradient: gradient * math.nan)
        return learn(run, learner, rollouts)

    monkeypatch.setattr(step, "learn", broken)
    said = "the loss is nan" if place == "weight" else "gradient's norm is nan"
    with pytest.raises(R1Error, match=rf"step 2: .*{said}"):
        reinforced(tiny, tmp_path / "out", reward)
    assert steps_logged(tmp_path / "out") == 1
    offending = (tmp_path / "out.partial" / "offending.jsonl").read_text().splitlines()
    assert offending
    assert all(json.loads(line)["completion_ids"] for line in offending)


def test_a_null_reward_is_counted_and_teaches_nothing(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever such a completion says, its group learns what it would learn without it."""
    collect = OnPolicy.collect

    def run(out: Path, first: list[int]) -> None:
        def unjudged(self: OnPolicy, problems: Sequence[Record], step: int) -> list[Record]:
            made = collect(self, problems, step)
            made[0]["reward"] = made[0]["rewards"]["early"] = None
            made[0]["completion_ids"] = first
            made[0]["logprobs"] = [-1.0] * len(first)
            return made

        monkeypatch.setattr(OnPolicy, "collect", unjudged)
        reinforced(tiny, out, reward, steps=1)

    run(tmp_path / "one", [5, 6, 7])
    run(tmp_path / "other", [9, 8])
    (one,), (other,) = metrics(tmp_path / "one"), metrics(tmp_path / "other")
    assert one["completions/unjudged"] == 1
    for name in ("loss", "grad_norm", "reward", "reward_std"):
        assert one[name] == other[name]
    assert one["grad_norm"] > 0


def test_a_checksum_sees_one_bit_and_no_layout() -> None:
    weight = torch.randn(64, 48, generator=torch.Generator().manual_seed(0))
    moved = weight.clone()
    moved[3, 5] = torch.nextafter(moved[3, 5], torch.tensor(9.0))
    assert fingerprint([weight]) != fingerprint([moved])
    padded = torch.nn.functional.pad(weight.T.contiguous(), (0, 8))
    assert fingerprint([weight]) == fingerprint(weight.split(7)) == fingerprint([padded])
    assert fingerprint([weight.bfloat16()]) == fingerprint([weight.bfloat16().flip(0)])


def test_a_run_that_learned_nothing_is_in_nobodys_way(tiny: Path, tmp_path: Path, reward: str) -> None:
    """A reward that fails in step 1 and a tracker: the mended command runs, and so it does after a kill."""
    (tmp_path / "bad.py").write_text("def bad(record):\n    return 1 / 0\n")
    out, saving = tmp_path / "out", Saving(track="tensorboard")
    once = {"steps": 1, "problems": 1, "samples": 2, "saving": saving}
    with pytest.raises(R1Error, match=r"ZeroDivisionError.*; mend it$"):
        reinforced(tiny, out, f"{tmp_path}/bad.py:bad", **once)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.py"]
    work = tmp_path / "out.partial"
    (work / "tensorboard").mkdir(parents=True)
    (work / "tensorboard" / "events").write_text("of a run that was killed in its first step")
    reinforced(tiny, out, reward, **{**once, "saving": Saving()})
    assert out.is_dir()
    assert not work.exists()
    assert not (out / "tensorboard").exists()
