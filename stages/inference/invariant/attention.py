"""Batch-invariant attention over a flat row: the layout that stands before `Packed`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.inference.transformers.ragged import Packed, Segment, seen_by
from stages.objectives.invariant import attend, span


class EachAlone:
    """See `Layout`: the numbers that each token gets when it is decoded alone, at a trainer's speed.

    Its backward pass is that of `packed`: the right gradient, up to rounding.
    """

    def __init__(self, packed: Packed) -> None:
        self.packed = packed

    @property
    def spans(self) -> Tensor:
        """See `Layout`."""
        return self.packed.spans

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        out: Tensor = _Attention.apply(self.packed, layer, q, k, v, scale, window)
        return out


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        packed: Packed,
        layer: int,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        scale: float,
        window: int | None,
    ) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.asked = packed, layer, scale, window
        out = q.new_empty(*q.shape[:2], v.shape[-1])
        for segment in packed.segments:
            out[:, segment.start : segment.stop] = _segment(segment, q, k, v, scale, window)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        packed, layer, scale, window = ctx.asked
        with torch.enable_grad():
            inputs = [each.detach().requires_grad_() for each in ctx.saved_tensors]
            out = packed.attend(layer, *inputs, scale, window)
        return None, None, *torch.autograd.grad(out, inputs, grad), None, None


def _segment(s: Segment, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
    """The output `[Hq, n, D]` of a segment's tokens, those together that look at as many keys."""
    offset = s.prefix_stop - s.prefix_start
    length = offset + s.stop - s.start
    keys, values = (
        F.pad(
            torch.cat([x[:, s.prefix_start : s.prefix_stop], x[:, s.start : s.stop]], 1).float(),
            (0, 0, 0, span(length) - length),
        )
        for x in (k, v)
    )
    asked = q[:, s.start : s.stop].view(len(k), -1, s.stop - s.start, q.shape[-1]).permute(2, 0, 1, 3)
    positions = torch.arange(offset, length)
    parts = []
    start = offset
    while start < length:
        stop = min(span(start + 1), length)
        n, width = stop - start, span(stop)
        distance = positions[start - offset : stop - offset, None] - torch.arange(width)
        parts.append(
            attend(
                asked[start - offset : stop - offset],
                keys[:, :width].expand(n, -1, -1, -1),
                values[:, :width].expand(n, -1, -1, -1),
                seen_by(distance, window)[:, None, None],
                scale,
            )
        )
        start = stop
    return torch.cat(parts).permute(1, 2, 0, 3).reshape(len(q), s.stop - s.start, -1)
