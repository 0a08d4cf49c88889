"""What training takes in memory, as `--dry-run` says it, for each process.

A weight in float32 takes 4 bytes, its gradient 4, AdamW's two moments 8. DeepSpeed keeps a further copy of
the trained weights, which it updates, and lays its share of the gradients side by side for that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from stages.training.parallel.configuration import BUCKET, configuration
from stages.training.parallel.world import World
from stages.training.policy import Policy

GIB = 2**30
SENT = 3  # buckets of gradients beside the one that fills, as gloo sends them: measured
GROUP = 1_000_000_000  # weights that DeepSpeed updates at once


class Plan(NamedTuple):
    """Bytes that each process needs at most: for weights, gradients and optimiser; of them `beside` it in the
    CPU's memory; for a row; and for the program itself, where it computes on a CPU.
    """

    held: float
    beside: float
    row: float
    program: int

    @property
    def total(self) -> float:
        return self.held + self.beside + self.row + self.program


def needs(policy: Policy, world: World, row_tokens: int, *, models: int = 1, samples: bool = False) -> str:
    """What `plan` counts, in one line."""
    found = plan(policy, world, row_tokens, models=models, samples=samples)
    every = sum(p.numel() for p in policy.model.parameters())
    trained = sum(p.numel() for _, p in policy.parameters())
    how = f", in each of {world.size} processes" if world.size > 1 else ""
    if world.sharded:
        how = f", under ZeRO {world.stage} in each of {world.size} processes"
        how += f", {found.beside / GIB:.2f} GiB beside it in the CPU's memory" if found.beside else ""
    program = f", and {found.program / GIB:.2f} GiB for the program itself" if found.program else ""
    return (
        f"dry run: {every:,} weights, {trained:,} of them trained; about {found.held / GIB:.2f} GiB for "
        f"weights, gradients and optimiser, and {found.row / GIB:.2f} GiB for a row of {row_tokens} tokens"
        f"{how}{program}"
    )


def plan(policy: Policy, world: World, row_tokens: int, *, models: int = 1, samples: bool = False) -> Plan:
    """`models` counts the copies held, a reference among them, and a run that `samples` has one more where no
    process has all weights. Raises what `configuration` raises."""
    trained = sum(p.numel() for _, p in policy.parameters())
    every = sum(p.numel() for p in policy.model.parameters())
    largest = max(p.numel() for p in policy.model.parameters())
    beside = 0.0
    halved = policy.autocast
    cast = _cast(policy)
    gloo = world.size > 1 and policy.device.type == "cpu"
    if not world.sharded:
        held = models * every * 4.0 + trained * 12 + halved * cast + gloo * 8 * largest
    else:
        config = configuration(
            world.parallelism,
            clip=0.0,
            dtype=policy.dtype,
            device=policy.device.type,
            half=policy.autocast,
            lora=policy.lora,
        )
        zero: dict[str, Any] = config["zero_optimization"]
        stage = zero["stage"]
        bf16 = config["bf16"]["enabled"]
        width = 2 if bf16 else 4
        share = trained / world.size
        weights = every * float(width)
        gradients = 4.0 * (trained if stage == 1 else share) + 4 * min(share, GROUP)
        updated = share * 12
        held = (models - 1 + (samples and stage == 3)) * every * float(width)
        halved |= bf16
        bucket = min(trained, zero["reduce_bucket_size"]) * 4 * (1 + gloo * SENT)
        if stage == 3:
            weights /= world.size
            ahead = zero.get("stage3_prefetch_bucket_size", BUCKET)
            held += min(every, largest + ahead + zero["stage3_max_reuse_distance"]) * width
        beside += updated if "offload_optimizer" in zero else 0
        beside += weights if "offload_param" in zero else 0
        held += weights + updated + gradients + bucket - beside + (policy.autocast and not bf16) * cast
        loading = every * 4.0  # as the model is loaded, before it is laid out anew
        if stage == 3:
            loading = every * 4.0 if policy.loads_whole else 8.0 * largest + weights
        held = max(held, loading + weights + 4 * share)
    sizes = policy.unwrapped.config.get_text_config()
    # Kept for the backward pass, for each token and layer: 90 bytes a hidden width, measured on a Llama in
    # float32.
    layer, layers = sizes.hidden_size * 90, sizes.num_hidden_layers
    kept = layers * layer
    if world.parallelism.checkpointing:  # the input of each layer, and one layer whole
        kept = layers * sizes.hidden_size * 4 + layer
    kept *= row_tokens / (2 if halved else 1)
    return Plan(held, beside, kept, _resident() if policy.device.type == "cpu" else 0)


def _resident() -> int:
    """Bytes of this process that are in memory, where the kernel says so: its libraries, without weights."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _cast(policy: Policy) -> float:
    """Bytes of the layers' weights in bfloat16, which under autocast stand beside them until the backward
    pass.
    """
    layers = (each for each in policy.model.modules() if isinstance(each, torch.nn.Linear))
    return 2.0 * sum(layer.weight.numel() for layer in layers if layer is not policy.head)
