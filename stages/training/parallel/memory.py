"""What training takes in memory, as `--dry-run` says it, for each process.

A weight in float32 takes 4 bytes, its gradient 4, AdamW's two moments 8. DeepSpeed keeps a further copy of
the trained weights, which it updates.
"""

from __future__ import annotations

from typing import Any

import torch

from stages.training.parallel.world import World
from stages.training.policy import Policy

GIB = 2**30
PREFETCHED = 50_000_000  # weights that ZeRO 3 gathers ahead


def needs(policy: Policy, world: World, row_tokens: int, *, models: int = 1, samples: bool = False) -> str:
    """One line; `models` counts the copies held, a reference among them, and a run that `samples` has one
    more where no process has all weights. Raises what `zero.configuration` raises."""
    trained = sum(p.numel() for _, p in policy.parameters())
    every = sum(p.numel() for p in policy.model.parameters())
    largest = max(p.numel() for p in policy.model.parameters())
    here = models * every * 4.0
    there = 0.0
    halved = policy.autocast
    cast = _cast(policy)
    if not world.sharded:
        here += trained * 12 + halved * cast
        how = f"in each of {world.size} processes" if world.size > 1 else ""
    else:
        from stages.training.parallel.configuration import configuration

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
        weights, gradients = float(every * width), float(trained * 4)
        updated = trained * 12 / world.size
        here = (models - 1 + (samples and stage == 3)) * every * float(width)
        halved |= bf16
        if stage == 3:
            here += min(every, largest + PREFETCHED) * width
            weights /= world.size
        if stage >= 2:
            gradients /= world.size
        there += updated if "offload_optimizer" in zero else 0
        there += weights if "offload_param" in zero else 0
        bucket = min(trained, zero["reduce_bucket_size"]) * 4
        here += weights + updated + gradients + bucket - there + (policy.autocast and not bf16) * cast
        # Each process loads the model whole, and ZeRO 1 and 2 lay it out anew.
        here = max(here, every * 4.0 + trained * 4 / world.size + (stage < 3) * every * width)
        how = f"under ZeRO {stage} in each of {world.size} processes"
        how += f", {there / GIB:.2f} GiB beside it in the CPU's memory" if there else ""
    sizes = policy.unwrapped.config.get_text_config()
    # Kept for the backward pass, for each token and layer: 90 bytes a hidden width, measured on a Llama in
    # float32.
    layer, layers = sizes.hidden_size * 90, sizes.num_hidden_layers
    kept = layers * layer
    if world.parallelism.checkpointing:  # the input of each layer, and one layer whole
        kept = layers * sizes.hidden_size * 4 + layer
    kept *= row_tokens / (2 if halved else 1)
    return (
        f"dry run: {every:,} weights, {trained:,} of them trained; about {here / GIB:.2f} GiB for weights, "
        f"gradients and optimiser, and {kept / GIB:.2f} GiB for a row of {row_tokens} tokens"
        + (f", {how}" if how else "")
    )


def _cast(policy: Policy) -> float:
    """Bytes of the layers' weights in bfloat16, which under autocast stand beside them until the backward
    pass.
    """
    layers = (each for each in policy.model.modules() if isinstance(each, torch.nn.Linear))
    return 2.0 * sum(layer.weight.numel() for layer in layers if layer is not policy.head)
