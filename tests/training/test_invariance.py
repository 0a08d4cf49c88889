"""`grpo --batch-invariant`: sampler and trainer agree in every bit, or the run stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from models import KINDS
from models import tiny as model_of
from test_training import CPU, SHORT, StopAt, Stopped, assert_same_run, metrics, reinforced

from stages.runtime.errors import R1Error, Unavailable, UsageError
from stages.settings.groups import Engine, Lora, Objective, Parallelism, Saving
from stages.training.grpo import invariance
from stages.training.policy import Policy

HALF = replace(CPU, dtype="bfloat16")
PRECISIONS = pytest.mark.parametrize("engine", [CPU, HALF], ids=["float32", "bfloat16"])


def exact(model: Path, out: Path, reward: str, **options: Any) -> list[float]:
    """The largest gap of each step."""
    reinforced(model, out, reward, batch_invariant=True, **options)
    lines = metrics(out)
    assert all(line["sampling/logp_gap_mean"] == 0 for line in lines)
    return [line["sampling/logp_gap_max"] for line in lines]


@PRECISIONS
def test_the_gap_is_zero_where_it_was_not(engine: Engine, tiny: Path, tmp_path: Path, reward: str) -> None:
    """Completions of several lengths, shared prompts, several rows, mini-batches and a reference."""
    options = {
        "engine": engine,
        "samples": 6,
        "sampling": replace(SHORT, max_tokens=40, temperature=0.8),
        "objective": Objective(beta=0.01, minibatches=2),
        "row_tokens": 150,
    }
    assert exact(tiny, tmp_path / "exact", reward, **options) == [0.0] * 4
    reinforced(tiny, tmp_path / "usual", reward, **options)
    assert max(line["sampling/logp_gap_max"] for line in metrics(tmp_path / "usual")) > 0


@PRECISIONS
def test_it_goes_with_adapters_a_few_slots_and_activations_computed_again(
    engine: Engine, tiny: Path, tmp_path: Path, reward: str
) -> None:
    gaps = exact(
        tiny,
        tmp_path / "out",
        reward,
        steps=2,
        engine=replace(engine, batch_size=5, deterministic=True),
        lora=Lora(lora=4),
        parallelism=Parallelism(checkpointing=True),
    )
    assert gaps == [0.0, 0.0]


def test_a_stopped_run_goes_on_to_the_same_bits(tiny: Path, tmp_path: Path, reward: str) -> None:
    saving = Saving(save_every=1)
    exact(tiny, tmp_path / "whole", reward, saving=saving)
    with pytest.raises(Stopped):
        exact(tiny, tmp_path / "parts", reward, saving=saving, report=StopAt(2))
    assert exact(tiny, tmp_path / "parts", reward, saving=saving, resume=True) == [0.0] * 4
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_it_learns_what_the_usual_code_learns(tiny: Path, tmp_path: Path, reward: str) -> None:
    exact(tiny, tmp_path / "exact", reward, steps=1)
    reinforced(tiny, tmp_path / "usual", reward, steps=1)
    one, other = metrics(tmp_path / "exact")[0], metrics(tmp_path / "usual")[0]
    assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)
    assert one["loss"] == pytest.approx(other["loss"], abs=1e-6)


@PRECISIONS
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_proved_for_each_kind_of_model(kind: str, engine: Engine, tmp_path: Path) -> None:
    model_of(kind).save_pretrained(tmp_path / kind)
    policy = Policy(str(tmp_path / kind), engine, Lora())
    invariance.begin(policy, SHORT, ranks=1, planned=False)


def test_several_processes_and_a_model_of_other_products_are_refused(tmp_path: Path) -> None:
    """Those of GPT-2 are no linear layers."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=67, n_positions=128, n_embd=64, n_layer=2, n_head=4, initializer_range=0.2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    policy = Policy(str(tmp_path / "gpt2"), CPU, Lora())
    with pytest.raises(UsageError, match="one process samples and learns, and here are 2"):
        invariance.begin(policy, SHORT, ranks=2, planned=False)
    with pytest.raises(Unavailable, match=r"GPT2LMHeadModel: .*c_attn is a Conv1D, no linear layer"):
        invariance.begin(policy, SHORT, ranks=1, planned=False)


def test_a_gap_stops_the_run(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = invariance.begin

    def then_off(policy: Policy, *arguments: Any, **options: Any) -> None:
        begin(policy, *arguments, **options)
        usual = policy.compute
        monkeypatch.setattr(policy, "compute", lambda row, t: (usual(row, t)[0] + 1e-7, usual(row, t)[1]))

    monkeypatch.setattr(invariance, "begin", then_off)
    with pytest.raises(R1Error, match=r"--batch-invariant: .* of \d+ of \d+ tokens are not .* to the bit"):
        exact(tiny, tmp_path / "out", reward)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"engine": Engine(backend="vllm")}, "--backend vllm"),
        ({"engine": Engine(device="cuda")}, "--device cuda"),
        ({"one_step_off": True}, "--one-step-off"),
        ({"staleness": 2}, "--staleness 2"),
        ({"rollouts": True}, "--rollouts"),
        ({"parallelism": Parallelism(zero=1)}, "--zero 1"),
    ],
)
def test_what_cannot_be_exact_is_refused_by_name(
    options: dict[str, Any], why: str, tiny: Path, tmp_path: Path, reward: str
) -> None:
    with pytest.raises(UsageError, match=f"--batch-invariant: not with {why}"):
        reinforced(tiny, tmp_path / "out", reward, batch_invariant=True, **options)
    assert not any(tmp_path.iterdir())


@pytest.mark.full
@PRECISIONS
def test_the_gap_stays_zero_over_many_steps(engine: Engine, tiny: Path, tmp_path: Path, reward: str) -> None:
    options = {"steps": 12, "engine": engine, "sampling": replace(SHORT, max_tokens=24)}
    assert exact(tiny, tmp_path / "out", reward, **options) == [0.0] * 12
