"""Token log-probabilities from hidden states, a chunk of the vocabulary's logits at a time.

The logits of all tokens never exist at once: memory grows with T + chunk x V, not with T x V. The backward
pass computes each chunk's logits again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_ELEMENTS = 1 << 24  # logits held at once: 64 MiB in float32


def token_logprobs(
    hidden: Tensor, head: Tensor, targets: Tensor, *, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """log softmax(hidden @ head.T / temperature) at `targets`, and the entropy of each distribution.

    hidden `[T, H]`, head `[V, H]`, targets `[T]` -> `[T]`, `[T]` in float32, or in float64 where `hidden` is.
    The entropy has no gradient; it is a measurement.
    """
    found: tuple[Tensor, Tensor] = _TokenLogprobs.apply(hidden, head, targets, temperature)
    return found


def _chunks(count: int, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_ELEMENTS // vocabulary)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _logits(hidden: Tensor, head: Tensor, temperature: float) -> Tensor:
    # Outside any autocast, which would round logits to bfloat16 forwards and not backwards.
    with torch.autocast(hidden.device.type, enabled=False):
        logits = hidden @ head.T.to(hidden.dtype)
    logits = logits.to(_precision(hidden))
    return logits if temperature == 1.0 else logits / temperature


def _precision(hidden: Tensor) -> torch.dtype:
    return torch.promote_types(hidden.dtype, torch.float32)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        logp = torch.empty(len(targets), dtype=_precision(hidden), device=hidden.device)
        entropy = torch.empty_like(logp)
        for part in _chunks(len(targets), head.shape[0]):
            logits = _logits(hidden[part], head, temperature)
            norm = logits.logsumexp(-1)
            logp[part] = logits.gather(-1, targets[part, None])[:, 0] - norm
            probs = logits.sub(norm[:, None]).exp_()
            entropy[part] = norm - (probs * logits).sum(-1)
        ctx.save_for_backward(hidden, head, targets)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(entropy)
        return logp, entropy

    @staticmethod
    def backward(
        ctx: Any, grad: Tensor, _: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden, head, targets = ctx.saved_tensors
        need_hidden, need_head = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_head = torch.zeros_like(head, dtype=_precision(hidden)) if need_head else None
        for part in _chunks(len(targets), head.shape[0]):
            slope = torch.softmax(_logits(hidden[part], head, ctx.temperature), -1).neg_()
            slope.scatter_add_(-1, targets[part, None], torch.ones_like(slope[:, :1]))
            slope.mul_(grad[part, None] / ctx.temperature)
            if grad_hidden is not None:
                grad_hidden[part] = (slope.to(head.dtype) @ head).to(hidden.dtype)
            if grad_head is not None:
                grad_head.addmm_(slope.T, hidden[part].to(slope.dtype))
        return grad_hidden, None if grad_head is None else grad_head.to(head.dtype), None, None
