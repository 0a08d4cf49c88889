"""The switch: a model's linear layers, activations and attention become batch-invariant."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stages.inference.invariant.attention import EachAlone
from stages.inference.transformers.ragged import Layout, Packed
from stages.objectives.invariant import elementwise
from stages.objectives.products import Linear, adopt
from stages.runtime.errors import Unavailable


class Elementwise(torch.nn.Module):
    """An activation as it is, by code without a rest."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return elementwise(self.inner, x)


def make_invariant(model: Any) -> None:
    """From here on rows through `model` have the same bits whatever is beside them, if it has no other parts.

    Raises Unavailable for products of other modules than linear layers, and where this build of torch has no
    oneDNN for those, or this processor.
    """
    adopt(model)
    for name, module in model.named_modules():
        matrices = any(weight.ndim > 1 for weight in module.parameters(recurse=False))
        if matrices and not isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
            raise Unavailable(
                f"--batch-invariant is not for {type(model).__name__}: {name} is a {type(module).__name__}, "
                "no linear layer; leave it out"
            )
        if type(module) is torch.nn.Linear:
            raise Unavailable(
                f"--batch-invariant needs oneDNN for {name}, in {module.weight.dtype}, which is not there or "
                "not right on this machine; leave it out"
            )
        if isinstance(module, Linear):
            module.invariant = True
    kinds = _activations()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            # One with weights would get another name in the checkpoint.
            if isinstance(child, kinds) and not [*child.parameters()] and not isinstance(parent, Elementwise):
                setattr(parent, name, Elementwise(child))
    model.r1_invariant = True


def is_invariant(model: Any) -> bool:
    """Whether `make_invariant` was called for it."""
    return bool(getattr(model, "r1_invariant", False))


def layout_for(model: Any, packed: Packed) -> Layout:
    """A row's layout as `model` computes it."""
    return EachAlone(packed) if is_invariant(model) else packed


def _activations() -> tuple[type[torch.nn.Module], ...]:
    """The classes of what transformers takes for an activation."""
    from transformers.activations import ACT2CLS

    named: list[Any] = list(ACT2CLS.values())  # a class, or a class and its arguments
    return tuple({each[0] if isinstance(each, tuple) else each for each in named})
