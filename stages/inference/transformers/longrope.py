"""Rotary positions of two ranges: short sequences turn by other factors than long ones (Phi-3, Phi-4).

transformers chooses the factors by the longest position of a call, whatever else is in it. Over flat rows
each token takes those of its own sequence, as it would alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

NAME = "longrope"
BORDER = "original_max_position_embeddings"


def border(model: Any) -> int:
    """The longest sequence that turns by the short factors; 0 where there is one range."""
    found = [_border(module.config) for module in model.modules() if _turns(module)]
    return min(found, default=0)


def adopt(model: Any) -> None:
    """Lets the model's rotary modules choose for each token, where they have two ranges."""
    for module in model.modules():
        kind = type(module)
        if _turns(module) and not issubclass(kind, _EachAlone):
            module.__class__ = type(kind.__name__, (_EachAlone, kind), {})
            module.layout = None
    base = model.base_model
    if border(model) and _tell not in base._forward_pre_hooks.values():
        base.register_forward_pre_hook(_tell, with_kwargs=True)


def _turns(module: Any) -> bool:
    return getattr(module, "rope_type", None) == NAME and hasattr(module, "config")


def _border(config: Any) -> int:
    return int(config.rope_parameters[BORDER])


def _tell(model: Any, _: Any, given: dict[str, Any]) -> None:
    for module in model.modules():
        if isinstance(module, _EachAlone):
            module.layout = given.get("layout")


class _EachAlone(torch.nn.Module):
    """A rotary module that knows the layout of the row it computes."""

    layout: Any
    config: Any

    def forward(self, x: Tensor, position_ids: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        """Cosines and sines of each token, `[1, T, D]`."""
        found: tuple[Tensor, Tensor]
        if self.layout is None:
            found = super().forward(x, position_ids, *rest)
            return found
        edge = _border(self.config)
        long = (self.layout.spans > edge)[None]
        # Each call has positions of one range only; those of the other are computed in vain.
        short_one = super().forward(x, position_ids.masked_fill(long, 0), *rest)
        long_one = super().forward(x, position_ids.masked_fill(~long, edge), *rest)
        chosen = long[..., None]
        cos, sin = (torch.where(chosen, b, a) for a, b in zip(short_one, long_one, strict=True))
        return cos, sin
