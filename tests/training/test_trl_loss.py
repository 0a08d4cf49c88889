"""The same rollouts through our update and through TRL's own loss: equal losses, equal gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_learner import CPU, SAMPLING, G, alone, distance, gradient, learner, nudged, run_of

from stages import generate
from stages.objectives.advantage import advantages
from stages.records.record import Record
from stages.settings.groups import Lora, Objective
from stages.training.grpo.step import learn
from stages.training.policy import Policy

pytestmark = pytest.mark.full
# TRL 1.16 multiplies the KL by the ratio unless told otherwise.
# CISPO's bound is 1 + high here, and high itself in TRL, which has no lower one: 1 - 1 bounds nothing.
LOSSES: dict[str, tuple[Objective, dict[str, Any]]] = {
    "grpo": (Objective(), {"loss_type": "grpo"}),
    "grpo with KL": (Objective(beta=0.3), {"loss_type": "grpo", "beta": 0.3,
    "use_bias_correction_kl": False}),
    "grpo with delta": (
        Objective(dual_clip=1.3),
        {"loss_type": "grpo", "delta": 1.3},
    ),
    "grpo by batch": (
        Objective(scale="batch"),
        {"loss_type": "grpo", "scale_rewards": "batch"},
    ),
    "dr_grpo": (
        Objective(scale="none", aggregate="constant"),
        {"loss_type": "dr_grpo", "scale_rewards": "none"},
    ),
    "dapo": (
        Objective(aggregate="token", clip_high=0.28),
        {"loss_type": "dapo", "epsilon_high": 0.28},
    ),
    "bnpo": (Objective(aggregate="local"), {"loss_type": "bnpo"}),
    "cispo": (
        Objective(surrogate="cispo", aggregate="token", clip_low=1.0, clip_high=0.1),
        {"loss_type": "cispo", "epsilon_high": 1.1},
    ),
    "gspo": (
        Objective(ratio="sequence", clip_low=0.01, clip_high=0.02),
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.01, "epsilon_high": 0.02},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def rollouts(tiny: Path) -> list[Record]:
    """Three groups of four whose stored log-probabilities are off the policy's by up to 0.3."""
    problems = [Record(id=f"p{i}", prompt="1+2" + "x" * i + "=") for i in range(3)]
    made = generate.run(
        problems,
        generate.Settings(
            model=str(tiny), samples=G, template="none", tokens=True, sampling=SAMPLING, engine=CPU
        ),
    )
    rewards = [1, 0, 0, 0.5, 0.25, 1, 1, 0, 0, 2, 0, -1]
    spread = torch.Generator().manual_seed(5)
    scored = []
    for record, reward in zip(made, rewards, strict=True):
        off = 0.6 * torch.rand(len(record["logprobs"]), generator=spread) - 0.3
        moved = [p + d for p, d in zip(record["logprobs"], off.tolist(), strict=True)]
        scored.append(record.adding(reward=reward, rewards={"given": reward}, logprobs=moved))
    return scored


def trainer(model: Path, out: Path, options: dict[str, Any]) -> Any:
    """TRL's trainer on the same weights, as if inside a step without gradient accumulation."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    made = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(
            output_dir=str(out), use_cpu=True, bf16=False, report_to="none", gradient_checkpointing=False,
            per_device_train_batch_size=3 * G, num_generations=G, temperature=SAMPLING.temperature,
            max_completion_length=SAMPLING.max_tokens, **{"epsilon": 0.2, "beta": 0.0, **options},
        ),
        train_dataset=Dataset.from_list([{"prompt": "1"}]),
        processing_class=AutoTokenizer.from_pretrained(model),
    )  # fmt: skip
    made.current_gradient_accumulation_steps = 1
    made.model.train()
    return made


def padded(rollouts: list[Record], gains: torch.Tensor, anchor: Policy | None) -> dict[str, Any]:
    """The inputs of TRL's loss: prompts padded on the left, completions on the right."""
    before = max(len(r["prompt_ids"]) for r in rollouts)
    after = max(len(r["completion_ids"]) for r in rollouts)

    def left(values: list[float]) -> list[float]:
        return [0] * (before - len(values)) + values

    def right(values: list[float]) -> list[float]:
        return values + [0] * (after - len(values))

    inputs = {
        "prompt_ids": torch.tensor([left(r["prompt_ids"]) for r in rollouts]),
        "prompt_mask": torch.tensor([left([1] * len(r["prompt_ids"])) for r in rollouts]),
        "completion_ids": torch.tensor([right(r["completion_ids"]) for r in rollouts]),
        "completion_mask": torch.tensor([right([1] * len(r["completion_ids"])) for r in rollouts]),
        "old_per_token_logps": torch.tensor([right(r["logprobs"]) for r in rollouts]),
        "advantages": gains.float(),
    }
    inputs["num_items_in_batch"] = inputs["completion_mask"].sum()
    if anchor is not None:
        with torch.no_grad():
            inputs["ref_per_token_logps"] = torch.tensor([right(alone(anchor, r).tolist()) for r in rollouts])
    return inputs


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_those_of_trl(
    name: str, rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trl")
    objective, options = LOSSES[name]
    made = learner(tiny, objective)
    anchor = None
    if objective.beta:
        anchor = Policy(str(nudged(tiny, tmp_path / "anchor", 0.02)), CPU, Lora())
        made.reference = anchor.model
    rewards = torch.tensor([r["reward"] for r in rollouts], dtype=torch.float64)
    groups = torch.arange(3).repeat_interleave(G)
    gains = advantages(rewards, groups, scale=objective.scale)

    theirs = trainer(tiny, tmp_path / "trl", options)
    loss = theirs._compute_loss(theirs.model, padded(rollouts, gains, anchor))
    loss.backward()
    wanted = {n: p.grad for n, p in theirs.model.named_parameters() if p.grad is not None}

    metrics, _ = learn(run_of(made, tmp_path / "out"), made, rollouts)
    assert metrics["loss"] == pytest.approx(loss.item(), abs=1e-5)
    assert distance(gradient(made.policy), wanted) < 1e-5
