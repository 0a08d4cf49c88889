"""Whether a processor multiplies a model's matrices faster in bfloat16, which some do sixfold.

On a CPU `--dtype auto` stays float32 all the same: what a clock decides may come out otherwise at the next
call, and the same command and seed must give the same bytes. So the run says what it measured, and the user
decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from stages.objectives.products import product
from stages.settings.groups import Engine

SMALL = 20_000_000  # weights of a model that is fast enough in any type
MEASURED = 20_000_000  # weights whose products are timed
ROWS = 64  # of each product: as many as sequences are decoded at once
WORTH = 1.5  # times as fast, to be worth a word
UNITS = ("avx512_bf16", "amx_bf16")  # that a processor multiplies bfloat16 with


def note_faster(model: Any, engine: Engine, note: Callable[[str], None]) -> None:
    """A note where a large model's matrices would be multiplied faster in bfloat16 than they are."""
    if engine.dtype != "auto" or model.device.type != "cpu" or not has_units():
        return
    if sum(weight.numel() for weight in model.parameters()) < SMALL:
        return
    weights = _first(each.weight for each in model.modules() if isinstance(each, torch.nn.Linear))
    times = faster(weights)
    if times >= WORTH:
        note(
            "computes in float32, as on every CPU; this one multiplies the model's matrices "
            f"{times:.1f} times as fast in bfloat16 (--dtype bfloat16)"
        )


def has_units() -> bool:
    """Whether this processor has units for bfloat16."""
    return any(torch.cpu.get_capabilities().get(name) for name in UNITS)


@torch.no_grad()
def faster(weights: list[Tensor]) -> float:
    """How many times as fast rows are multiplied with `weights` in bfloat16 as in float32; 0 without any."""
    spent = {}
    for dtype in (torch.float32, torch.bfloat16):
        pairs = [
            (weight.new_ones(ROWS, weight.shape[1], dtype=dtype), weight.to(dtype).contiguous())
            for weight in weights
        ]
        spent[dtype] = min(_seconds(pairs) for _ in range(3))
    return spent[torch.float32] / spent[torch.bfloat16] if weights else 0.0


def _seconds(pairs: list[tuple[Tensor, Tensor]]) -> float:
    begun = time.perf_counter()
    for x, weight in pairs:
        product(x, weight)
    return time.perf_counter() - begun


def _first(weights: Iterable[Tensor]) -> list[Tensor]:
    """As many as it takes to have `MEASURED` weights."""
    found: list[Tensor] = []
    for weight in weights:
        if sum(each.numel() for each in found) >= MEASURED:
            break
        if weight.device.type == "cpu":
            found.append(weight.detach())
    return found
