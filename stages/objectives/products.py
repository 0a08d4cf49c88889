"""Matrix products in float32 on a CPU through oneDNN.

torch takes MKL for them, which leaves much of a processor unused that is not Intel's, and of any with few
rows: a decoding step at 32 sequences runs at a third of the rate it reaches with oneDNN and weights
laid out for it (tests/bench/limit.py).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

SMALLEST = 1 << 17  # elements of a weight for which the detour pays


def product(x: Tensor, weight: Tensor, packed: Tensor | None = None) -> Tensor:
    """`x [..., K]` times the transpose of `weight [N, K]`, as torch.nn.functional.linear; no gradient.

    `packed` is what `pack` made of the weight. Under autograd see `Linear`.
    """
    if not _serves(x, weight):
        return torch.nn.functional.linear(x, weight)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(
        x.contiguous(), weight if packed is None else packed, None, "none", [], ""
    )
    return found


def pack(weight: Tensor, rows: int) -> Tensor:
    """A copy of `weight` laid out for products with about `rows` rows."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
    return packed


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

    def forward(self, x: Tensor) -> Tensor:
        if not _serves(x, self.weight):
            return super().forward(x)
        if torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad):
            out: Tensor = _Product.apply(x, self.weight)
        else:
            out = product(x, self.weight, self.packed)
        return out if self.bias is None else out + self.bias


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        need_x, need_weight = ctx.needs_input_grad
        for_x = product(grad, weight.T) if need_x else None
        # MKL is as fast where both sides are long.
        for_weight = grad.flatten(0, -2).T @ x.flatten(0, -2) if need_weight else None
        return for_x, for_weight


def adopt(model: torch.nn.Module) -> None:
    """Turns the linear layers of a float32 model on a CPU into `Linear`, where oneDNN is there and right."""
    for module in model.modules() if _is_right() else ():
        if type(module) is torch.nn.Linear:
            module.__class__ = Linear


@functools.cache
def _is_right() -> bool:
    """Whether oneDNN is there and computes what torch computes."""
    weight = torch.linspace(-1, 1, max(SMALLEST, 64 * 256)).view(-1, 256)
    x = weight[:5]
    try:
        right = torch.allclose(product(x, weight), x @ weight.T, atol=1e-4)
        return right and torch.allclose(product(x, weight, pack(weight, 5)), x @ weight.T, atol=1e-4)
    except (RuntimeError, AttributeError):  # this build of torch has none
        return False


def weights_in_use(model: torch.nn.Module) -> Iterator[Tensor]:
    """The weights that the model computes with at present, each once: where there is a packed copy, that
    copy.
    """
    layers = [module for module in model.modules() if isinstance(module, Linear)]
    copies = {id(layer.weight): layer.packed for layer in layers if layer.packed is not None}
    for weight in model.parameters():
        copy = copies.get(id(weight))
        yield weight if copy is None else copy.to_dense()


@contextlib.contextmanager
def packed(model: torch.nn.Module, rows: int) -> Iterator[None]:
    """Within it, products without gradient take packed weights. The weights must not change meanwhile."""
    layers = [module for module in model.modules() if isinstance(module, Linear)]
    try:
        for layer in layers:
            if layer.weight.numel() >= SMALLEST:
                layer.packed = pack(layer.weight, rows)
        yield
    finally:
        for layer in layers:
            layer.packed = None
