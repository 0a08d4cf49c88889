"""Matrix products: in float32 on a CPU through oneDNN, and those of an output layer in float32 everywhere.

torch takes MKL for float32, which leaves much of a processor unused that is not Intel's, and of any with few
rows: a decoding step at 32 sequences runs at a third of the rate it reaches with oneDNN and weights
laid out for it (tests/bench/limit.py).

Logits are float32 whatever a model computes in: near 20, numbers in bfloat16 lie 0.125 apart, and a sampler
and a trainer that round them differently do not agree on what was drawn (ScaleRL, 2510.13786).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from stages.objectives import invariant

SMALLEST = 1 << 17  # elements of a weight for which the detour pays


def product(x: Tensor, weight: Tensor, packed: Tensor | None = None) -> Tensor:
    """`x [..., K]` times the transpose of `weight [N, K]`, as torch.nn.functional.linear; no gradient.

    `packed` is what `pack` made of the weight, in its type. Under autograd see `Linear`.
    """
    if not _serves(x, weight):
        return torch.nn.functional.linear(x, weight)
    return _by_packed(x, weight if packed is None else packed)


def wide_product(x: Tensor, weight: Tensor, packed: Tensor | None = None) -> Tensor:
    """As `product`, in float32, or in float64 where `x` is; neither autocast nor a shorter type rounds it."""
    wide = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        if x.is_cuda and x.dtype == weight.dtype != wide:
            found: Tensor = torch.mm(x.flatten(0, -2), weight.T, out_dtype=wide)
            return found.view(*x.shape[:-1], len(weight))
        if packed is not None and packed.dtype == wide and x.numel():
            return _by_packed(x.to(wide), packed)
        return product(x.to(wide), weight.to(wide))


def pack(weight: Tensor, rows: int, dtype: torch.dtype) -> Tensor:
    """A copy of `weight` in `dtype`, on a CPU laid out for products with about `rows` rows."""
    copy = weight.detach().to(dtype)
    if copy.device.type != "cpu" or not _is_right(dtype):
        return copy
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(copy, rows)
    return packed


def _by_packed(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if weight.is_mkldnn or (x.device.type == "cpu" and x.dtype == torch.float32):
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")
        return found
    return torch.nn.functional.linear(x, weight, bias)


def _serves(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and weight.numel() >= SMALLEST
        and x.numel() > 0
        and x.shape[-1] == weight.shape[-1]  # else torch says what does not fit; oneDNN does not
        and not torch.is_autocast_enabled("cpu")
    )


class Linear(torch.nn.Linear):
    """torch.nn.Linear over `product`. A model's layers become it by `adopt`."""

    packed: Tensor | None = None
    invariant = False  # whether a row's result has the same bits whatever the others are

    def forward(self, x: Tensor) -> Tensor:
        if self.invariant and x.numel():
            return self._invariant(x)
        if self.packed is not None and self.packed.dtype == torch.bfloat16 and x.numel():
            bias = None if self.bias is None else self.bias.to(torch.bfloat16)
            with torch.autocast(x.device.type, enabled=False):
                return _by_packed(x.to(torch.bfloat16), self.packed, bias)
        if not _serves(x, self.weight):
            return super().forward(x)
        if self._learns(x):
            out: Tensor = _Product.apply(x, self.weight, False)
        else:
            out = product(x, self.weight, self.packed)
        return out if self.bias is None else out + self.bias

    def _invariant(self, x: Tensor) -> Tensor:
        device = x.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.weight.dtype
        x = x.to(kind)
        if self._learns(x):
            out: Tensor = _Product.apply(x, self.weight.to(kind), True)
        else:
            packed = self.packed
            if packed is None or packed.dtype != kind:
                packed = invariant.pack(self.weight, kind)
            out = invariant.product(x, packed)
        return out if self.bias is None else out + self.bias.to(kind)

    def copied_in(self, *, half: bool) -> torch.dtype | None:
        """The type of the copy that samples are drawn with; None where none is faster."""
        if self.invariant:
            return torch.bfloat16 if half else self.weight.dtype
        if self.weight.numel() < SMALLEST or not (half or self.weight.device.type == "cpu"):
            return None
        return torch.bfloat16 if half else self.weight.dtype

    def _learns(self, x: Tensor) -> bool:
        return torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)


class OutputLayer(Linear):
    """A layer that gives logits: in float32 whatever the model computes in. See `widen`."""

    def copied_in(self, *, half: bool) -> torch.dtype | None:
        """See `Linear`."""
        return torch.float32 if super().copied_in(half=False) else None

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            if self.weight.dtype == wide:
                return super().forward(x.to(wide))
            if self._learns(x):
                out = torch.nn.functional.linear(x.to(wide), self.weight.to(wide))
            else:
                out = wide_product(x, self.weight, self.packed)
        return out if self.bias is None else out + self.bias


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, fixed: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        if fixed:
            return invariant.product(x, invariant.pack(weight, weight.dtype))
        return product(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, _ = ctx.needs_input_grad
        for_x = product(grad, weight.T) if need_x else None
        # MKL is as fast where both sides are long.
        for_weight = grad.flatten(0, -2).T @ x.flatten(0, -2) if need_weight else None
        return for_x, for_weight, None


def adopt(model: torch.nn.Module) -> None:
    """Turns the linear layers of a model in float32 or bfloat16 into `Linear`; on a CPU where oneDNN is there
    and right.
    """
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            kind, on_cpu = module.weight.dtype, module.weight.device.type == "cpu"
            if kind in (torch.float32, torch.bfloat16) and (not on_cpu or _is_right(kind)):
                module.__class__ = Linear


def widen(model: Any) -> None:
    """Lets a causal language model's output layer give its logits in float32, where it is a linear one."""
    head = model.get_output_embeddings()
    if type(head) in (torch.nn.Linear, Linear):
        head.__class__ = OutputLayer


@functools.cache
def _is_right(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there for `dtype` and computes what torch computes."""
    weight = torch.linspace(-1, 1, max(SMALLEST, 64 * 256)).view(-1, 256).to(dtype)
    x, close = weight[:5], 1e-4 if dtype == torch.float32 else 1.0  # of sums near 100
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, 5)
        found = product(x, weight), _by_packed(x, packed)
        return all(torch.allclose(each, x @ weight.T, atol=close) for each in found)
    except (RuntimeError, AttributeError):  # this build of torch has none, or this processor
        return False


def weights_in_use(model: torch.nn.Module) -> Iterator[Tensor]:
    """The weights that the model computes with at present, each once: where there is a packed copy in the
    weight's own type, that copy.
    """
    copies = {
        id(layer.weight): layer.packed
        for layer in model.modules()
        if isinstance(layer, Linear) and layer.packed is not None and layer.packed.dtype == layer.weight.dtype
    }
    for weight in model.parameters():
        copy = copies.get(id(weight))
        if copy is None:
            yield weight
        else:
            yield copy.to_dense() if copy.is_mkldnn else copy


@contextlib.contextmanager
def packed(model: torch.nn.Module, rows: int, *, half: bool) -> Iterator[None]:
    """Within it, products take packed weights, in bfloat16 where `half`; logits stay in float32.

    There is no gradient, and the weights must not change meanwhile.
    """
    layers = [module for module in model.modules() if isinstance(module, Linear)]
    try:
        for layer in layers:
            if (dtype := layer.copied_in(half=half)) is not None:
                layer.packed = pack(layer.weight, invariant.ROWS if layer.invariant else rows, dtype)
        yield
    finally:
        for layer in layers:
            layer.packed = None
