"""The loss of a reward model against numbers worked by hand, an independent writing, and TRL's own."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stages.objectives.preference import Preference, preference


def of_pairs(chosen: list[float], rejected: list[float], margin: list[float], center: float) -> Preference:
    """The pairs' texts one after the other, chosen first."""
    rewards = [value for pair in zip(chosen, rejected, strict=True) for value in pair]
    signs = torch.tensor([1.0, -1.0] * len(chosen))
    of = torch.arange(len(chosen)).repeat_interleave(2)
    return preference(torch.tensor(rewards, dtype=torch.float64), signs, of, torch.tensor(margin), center)


def test_numbers_worked_by_hand() -> None:
    """σ(ln 3) = 3/4, and the gradient of −log σ(d) is σ(d) − 1."""
    found = of_pairs([math.log(3), 0.0], [0.0, 0.0], [0.0, 0.0], 0.0)
    assert found.loss.tolist() == pytest.approx([math.log(4 / 3), math.log(2)], abs=1e-12)
    assert found.difference.tolist() == pytest.approx([math.log(3), 0.0])
    assert found.gradient.tolist() == pytest.approx([-1 / 8, 1 / 8, -1 / 4, 1 / 4], abs=1e-12)
    with_margin = of_pairs([math.log(3) + 1], [0.0], [1.0], 0.0)
    assert with_margin.loss.tolist() == pytest.approx([math.log(4 / 3)], abs=1e-6)
    centred = of_pairs([1.0], [0.5], [0.0], 0.1)  # 0.1 × 1.5², and twice 0.1 × 1.5 for each reward
    plain = of_pairs([1.0], [0.5], [0.0], 0.0)
    assert float(centred.loss - plain.loss) == pytest.approx(0.225)
    assert (centred.gradient - plain.gradient).tolist() == pytest.approx([0.3, 0.3])


def test_a_label_is_the_binary_cross_entropy_of_its_logit() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    (gradient,) = torch.autograd.grad(wanted.mean(), logits)
    found = preference(logits, 2 * labels - 1, torch.arange(3), torch.zeros(3))
    torch.testing.assert_close(found.loss, wanted.detach(), atol=1e-12, rtol=0)
    torch.testing.assert_close(found.gradient, gradient, atol=1e-12, rtol=0)


@pytest.mark.parametrize("center", [0.0, 0.01])
def test_loss_and_gradient_are_those_of_an_independent_writing(center: float) -> None:
    """In plain Python with float64, the gradient by central differences."""
    drawn = random.Random(0)
    chosen, rejected, margin = ([drawn.gauss(0, 2) for _ in range(7)] for _ in range(3))

    def loss(values: list[float]) -> float:
        each = [
            math.log1p(math.exp(-(values[2 * k] - values[2 * k + 1] - margin[k])))
            + center * (values[2 * k] + values[2 * k + 1]) ** 2
            for k in range(7)
        ]
        return sum(each) / 7

    rewards = [value for pair in zip(chosen, rejected, strict=True) for value in pair]
    signs, of = torch.tensor([1.0, -1.0] * 7), torch.arange(7).repeat_interleave(2)
    margins = torch.tensor(margin, dtype=torch.float64)
    found = preference(torch.tensor(rewards, dtype=torch.float64), signs, of, margins, center)
    assert float(found.loss.mean()) == pytest.approx(loss(rewards), abs=1e-12)
    for k in range(14):
        up, down = ([*rewards[:k], rewards[k] + e, *rewards[k + 1 :]] for e in (1e-5, -1e-5))
        assert float(found.gradient[k]) == pytest.approx((loss(up) - loss(down)) / 2e-5, abs=1e-8)


def test_neither_the_order_of_a_pair_nor_that_of_the_pairs_matters() -> None:
    rewards, margin = torch.tensor([0.3, -1.0, 2.0, 0.7]), torch.tensor([0.0, 0.5])
    signs, of = torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([0, 0, 1, 1])
    found = preference(rewards, signs, of, margin, 0.1)
    turned = torch.tensor([3, 0, 2, 1])
    other = preference(rewards[turned], signs[turned], of[turned], margin, 0.1)
    assert torch.equal(found.loss, other.loss)
    assert torch.equal(found.gradient[turned], other.gradient)


def test_large_differences_stay_finite() -> None:
    found = of_pairs([1e4, -1e4], [-1e4, 1e4], [0.0, 0.0], 0.0)
    assert found.loss.tolist() == [0.0, 2e4]
    assert found.gradient.tolist() == [0.0, 0.0, -0.5, 0.5]


@pytest.mark.full
def test_it_is_the_loss_of_trl() -> None:
    trainer = pytest.importorskip("trl.trainer.reward_trainer").RewardTrainer
    chosen, rejected, margin = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    rewards = torch.cat([chosen, rejected]).requires_grad_()

    def model(**_: Any) -> Any:
        return SimpleNamespace(logits=rewards[:, None])

    own = SimpleNamespace(
        args=SimpleNamespace(center_rewards_coefficient=0.05),
        accelerator=SimpleNamespace(gather_for_metrics=lambda value: value, gather=lambda value: value),
        model=SimpleNamespace(training=False),
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
    )
    inputs = {
        "input_ids": torch.zeros(10, 1, dtype=torch.long),
        "attention_mask": torch.ones(10, 1, dtype=torch.long),
        "margin": margin,
    }
    wanted = trainer.compute_loss(own, model, inputs)
    (gradient,) = torch.autograd.grad(wanted, rewards)
    signs, of = torch.tensor([1.0] * 5 + [-1.0] * 5), torch.arange(5).repeat(2)
    found = preference(rewards, signs, of, margin, 0.05)
    assert float(found.loss.mean()) == pytest.approx(float(wanted), abs=1e-6)
    torch.testing.assert_close(found.gradient.float(), gradient, atol=1e-6, rtol=0)
