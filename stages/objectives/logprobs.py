"""Token log-probabilities from hidden states, a chunk of the vocabulary's logits at a time.

The logits of all tokens never exist at once: memory grows with T + constants, not with T x V. The backward
pass takes up the probabilities of the first chunks, as many as `KEPT_ELEMENTS` allows, and computes the
others again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stages.objectives import invariant
from stages.objectives.products import product, wide_product

CHUNK_ELEMENTS = 1 << 24  # logits computed at once: 64 MiB in float32
KEPT_ELEMENTS = 1 << 26  # probabilities kept for the backward pass: 256 MiB in float32
ROWS_ELEMENTS = 1 << 19  # logits that a processor's cache holds: 2 MiB in float32


def token_logprobs(
    hidden: Tensor, head: Tensor, targets: Tensor, *, temperature: float = 1.0, fixed: bool = False
) -> tuple[Tensor, Tensor]:
    """log softmax(hidden @ head.T / temperature) at `targets`, and the entropy of each distribution.

    hidden `[T, H]`, head `[V, H]`, targets `[T]` -> `[T]`, `[T]` in float32, or in float64 where `hidden` is.
    Autocast rounds none of it. The entropy has no gradient; it is a measurement. With `fixed`, on a CPU, a
    log-probability has the same bits whatever the other tokens are (invariant.py).
    """
    learns = torch.is_grad_enabled() and (hidden.requires_grad or head.requires_grad)
    with torch.autocast(hidden.device.type, enabled=False):
        found: tuple[Tensor, Tensor] = _TokenLogprobs.apply(hidden, head, targets, temperature, learns, fixed)
    return found


def _slices(count: int, vocabulary: int, elements: int) -> list[slice]:
    size = max(1, elements // vocabulary)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _distributions(
    hidden: Tensor, head: Tensor, targets: Tensor, temperature: float, packed: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities `[T, V]`, and the log-probability of each target and the entropy, `[T]` each.

    Batch-invariant where the head is `packed` for it.
    """
    if packed is None:
        values = wide_product(hidden, head)
    else:
        values = invariant.product(hidden.to(packed.dtype), packed)
    if temperature != 1.0:
        values /= temperature
    chosen, entropy = values.new_empty(len(values)), values.new_empty(len(values))
    size = ROWS_ELEMENTS if values.device.type == "cpu" else values.numel()
    for part in _slices(len(values), values.shape[1], size):
        logp = torch.log_softmax(values[part], -1)
        chosen[part] = logp.gather(-1, targets[part, None])[:, 0]
        probs = torch.exp(logp, out=values[part])
        entropy[part] = -torch.bmm(probs[:, None], logp[:, :, None])[:, 0, 0]
    return values, chosen, entropy


def _precision(hidden: Tensor) -> torch.dtype:
    return torch.promote_types(hidden.dtype, torch.float32)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        temperature: float,
        learns: bool,
        fixed: bool,
    ) -> tuple[Tensor, Tensor]:
        logp = torch.empty(len(targets), dtype=_precision(hidden), device=hidden.device)
        entropy = torch.empty_like(logp)
        packed = invariant.pack(head, logp.dtype) if fixed else None
        ctx.kept = []
        for part in _slices(len(targets), head.shape[0], CHUNK_ELEMENTS):
            probs, logp[part], entropy[part] = _distributions(
                hidden[part], head, targets[part], temperature, packed
            )
            if learns and part.stop * head.shape[0] <= KEPT_ELEMENTS:
                ctx.kept.append(probs)
        ctx.save_for_backward(hidden, head, targets)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(entropy)
        return logp, entropy

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        hidden, head, targets = ctx.saved_tensors
        need_hidden, need_head = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_head = torch.zeros_like(head, dtype=_precision(hidden)) if need_head else None
        kept, ctx.kept = ctx.kept[::-1], []
        scale = (grad / ctx.temperature)[:, None]
        for part in _slices(len(targets), head.shape[0], CHUNK_ELEMENTS):
            if kept:
                slope = kept.pop()
            else:
                slope, _, _ = _distributions(hidden[part], head, targets[part], ctx.temperature)
            slope.mul_(-scale[part])
            slope.scatter_add_(-1, targets[part, None], scale[part])
            if grad_hidden is not None:
                grad_hidden[part] = product(slope.to(head.dtype), head.T).to(hidden.dtype)
            if grad_head is not None:
                grad_head.addmm_(slope.T, hidden[part].to(slope.dtype))
        return (
            grad_hidden,
            None if grad_head is None else grad_head.to(head.dtype),
            None,
            None,
            None,
            None,
        )
