"""A model while it is checked: windows so short that a few tokens cross them, few layers, in float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from stages.inference.transformers import longrope
from stages.inference.transformers.reference import OUT_OF_MEMORY

WINDOW, BORDER = 5, 12  # as short as windows and the border are made
FEW = 3e8  # weights of a model that is checked whole on a CPU or in half precision; else its first layers
HALVES = (torch.float16, torch.bfloat16)
# How many tokens attention chooses by rank.
RANKED = ("keep_window_size", "index_topk", "indexer_budget")


class Windows:
    """Settings that hold a window or the border: who has them, what they were, what they are."""

    def __init__(self) -> None:
        self.places: list[tuple[dict[str, Any], str, Any, Any]] = []
        self.values: list[int] = []  # what windows were

    def put(self, holder: dict[str, Any], name: str, value: Any) -> None:
        self.places.append((holder, name, holder[name], value))
        holder[name] = value

    @contextlib.contextmanager
    def wide(self) -> Iterator[None]:
        """As they were."""
        self.restore()
        try:
            yield
        finally:
            for holder, name, _, value in self.places:
                holder[name] = value

    def restore(self) -> None:
        for holder, name, before, _ in reversed(self.places):
            holder[name] = before


@contextlib.contextmanager
def narrowed(model: Any) -> Iterator[Windows]:
    """Makes windows and the border so short that the check's tokens cross them."""
    windows = Windows()
    try:
        configs = {id(c): c for c in (model.config, model.config.get_text_config())}
        for config in configs.values():
            held = vars(config)
            for name, value in list(held.items()):
                if _is_window(name, value):
                    windows.values.append(value)
                    windows.put(held, name, WINDOW)
            ropes = getattr(config, "rope_parameters", None) or {}
            if isinstance(ropes, dict) and ropes.get("rope_type") == longrope.NAME:
                for holder in (ropes, held):
                    if longrope.BORDER in holder:
                        windows.put(holder, longrope.BORDER, BORDER)
        for module in model.modules():
            for name, value in list(vars(module).items()):
                if _is_window(name, value) and value in windows.values:
                    windows.put(vars(module), name, WINDOW)
        yield windows
    finally:
        windows.restore()


def _is_window(name: str, value: Any) -> bool:
    named = name.endswith(("sliding_window", "window_size", "attention_window", "attention_chunk_size"))
    return named and name not in RANKED and type(value) is int and value > WINDOW


@contextlib.contextmanager
def few_layers(model: Any, *, always: bool = False) -> Iterator[None]:
    """Of a large model on a CPU, or in half precision, and `always` where that is asked, takes as many first
    layers as it takes to have one of each kind.
    """
    config = model.config.get_text_config()
    layers = getattr(model.base_model, "layers", None)
    count = getattr(config, "num_hidden_layers", 0)
    dear = model.device.type == "cpu" or model.dtype in HALVES
    large = always or (dear and sum(p.numel() for p in model.parameters()) > FEW)
    if not large or not isinstance(layers, torch.nn.ModuleList) or len(layers) != count:
        yield
        return
    kinds = [_kind(config, layer, index, count) for index, layer in enumerate(layers)]
    few = max(kinds.index(kind) for kind in set(kinds)) + 1
    config.num_hidden_layers = few
    model.base_model.layers = layers[:few]
    try:
        yield
    finally:
        config.num_hidden_layers = count
        model.base_model.layers = layers


@contextlib.contextmanager
def in_float32(model: Any) -> Iterator[None]:
    """The weights of a model in half precision in float32, and afterwards as they were; in half precision all
    the same where memory is short.
    """
    held = [t for t in (*model.parameters(), *model.buffers()) if t.dtype in HALVES]
    own = [tensor.data for tensor in held]

    def restore() -> None:
        for tensor, data in zip(held, own, strict=True):
            tensor.data = data

    try:
        for tensor in held:
            tensor.data = tensor.data.float()
    except OUT_OF_MEMORY:
        restore()
    try:
        yield
    finally:
        restore()


def _kind(config: Any, layer: Any, index: int, count: int) -> str:
    """What tells a layer from others: its parts, their settings, and its place in lists of the config."""
    lists = [v[index] for v in vars(config).values() if isinstance(v, list) and len(v) == count]
    parts = [
        (
            type(m).__name__,
            {k: v for k, v in vars(m).items() if k != "layer_idx" and isinstance(v, (int, float, str))},
        )
        for m in layer.modules()
    ]
    return repr((lists, parts))
