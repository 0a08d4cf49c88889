"""Who holds the policy's weights, gradients and optimiser: each process all of them, or DeepSpeed a share in
each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from stages.checkpoints.shards import Piece
from stages.checkpoints.shares import Share, Stored
from stages.settings.groups import Optimizer
from stages.training.parallel.world import World
from stages.training.policy import Policy

STEP = "step"  # how often a weight was updated: one number
MOMENTS = (STEP, "exp_avg", "exp_avg_sq")  # what AdamW keeps for a weight


class Strategy(Protocol):
    """All ranks call each method together, and the gradients of their losses are summed, not averaged."""

    def begin(self) -> None:
        """An update begins: there is no gradient yet."""

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Adds a loss's gradient; `last` says that the update has no further one."""

    def step(self, rate: float) -> float:
        """One step of the optimiser on the clipped gradient. Returns the norm before clipping.

        Where that is 0 or no finite number, no weight changes.
        """

    def state(self) -> Iterator[Share]:
        """This rank's share of what a run resumes from: `weight.NAME` in float32, and each of `MOMENTS` as
        `exp_avg.NAME`. The shares of all ranks are the whole.
        """

    def restore(self, stored: Stored) -> None:
        """Takes over what the ranks of another world, or of this one, wrote of their `state`."""

    def weights(self) -> Iterator[Piece] | None:
        """All weights of the model in float32 for a checkpoint, each gathered as it is made; None where the
        model holds them.
        """


class Replicas:
    """Every process has everything; of several, each adds up the gradients of all."""

    def __init__(self, policy: Policy, optimizer: Optimizer, world: World) -> None:
        self.named, self.world = dict(policy.parameters()), world
        self.limit = optimizer.clip if optimizer.clip > 0 else math.inf
        self.decays = bool(optimizer.weight_decay)
        self.adamw = torch.optim.AdamW(**adamw(policy, optimizer))

    def begin(self) -> None:
        self.adamw.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor, *, last: bool) -> None:
        loss.backward()

    def step(self, rate: float) -> float:
        if self.world.size > 1:
            import torch.distributed as dist

            for weight in self.named.values():
                if weight.grad is not None:
                    dist.all_reduce(weight.grad)
        norm = float(torch.nn.utils.clip_grad_norm_(self.named.values(), self.limit))
        for group in self.adamw.param_groups:
            group["lr"] = rate
        if math.isfinite(norm) and (norm > 0 or self.decays):
            self.adamw.step()
        return norm

    def state(self) -> Iterator[Share]:
        for name, weight in self.named.items():
            size = weight.numel()
            start, stop = (size * rank // self.world.size for rank in (self.world.rank, self.world.rank + 1))
            for key, value in {"weight": weight, **self.adamw.state.get(weight, {})}.items():
                if key != STEP:
                    yield Share(f"{key}.{name}", start, value.detach().reshape(-1)[start:stop])
                elif start == 0:
                    yield Share(f"{key}.{name}", 0, torch.as_tensor(value).reshape(1))

    @torch.no_grad()
    def restore(self, stored: Stored) -> None:
        for name, weight in self.named.items():
            weight.copy_(stored.whole(f"weight.{name}", weight))
            for key in MOMENTS:
                if f"{key}.{name}" in stored:
                    like = torch.tensor(0.0) if key == STEP else weight
                    value = stored.whole(f"{key}.{name}", like)
                    self.adamw.state[weight][key] = value.to(weight.device)

    def weights(self) -> None:
        self.adamw.zero_grad(set_to_none=True)  # their memory is what weights of another type are made in


def adamw(policy: Policy, optimizer: Optimizer) -> dict[str, Any]:
    """Arguments of torch's AdamW: matrices decay, vectors do not."""
    named = [p for _, p in policy.parameters()]
    return {
        "params": [
            {
                "params": [p for p in named if p.ndim > 1],
                "weight_decay": optimizer.weight_decay,
            },
            {"params": [p for p in named if p.ndim <= 1], "weight_decay": 0.0},
        ],
        "lr": optimizer.peak,
        "betas": (optimizer.beta1, optimizer.beta2),
        "fused": True,
    }
