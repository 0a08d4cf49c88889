"""Sequences computed by a model's own code in transformers, with its own cache.

Only those of one length go through it together, the completions of one prompt, so that there is no padding
and each gets the numbers it gets alone. It is for what cannot be computed over flat rows: recurrent layers,
attention that transformers' interface does not know, capped or with sinks.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stages.inference.transformers.execution import Execution
from stages.inference.transformers.flat import Computed, Text

STATES = ("past_key_values", "cache_params", "state", "mems")  # what models call their cache


def call(model: Any, ids: Tensor, **wished: Any) -> Any:
    """What the model gives for `ids [n, T]`; of the arguments its `forward` gets those that it names."""
    known = _arguments(type(model).forward)
    # XLM counts what is not its pad otherwise, which is a token like others where it was drawn.
    if "lengths" in known:
        wished["lengths"] = torch.full((len(ids),), ids.shape[1], device=ids.device)
    return model(input_ids=ids, **{name: value for name, value in wished.items() if name in known})


@functools.cache
def _arguments(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)


def native_logits(model: Any, ids: Tensor, keep: Tensor | int = 0) -> Tensor:
    """Logits `[T, V]` of one sequence `[T]` alone, or `[n, V]` at the places `keep [n]`."""
    takes = "logits_to_keep" in _arguments(type(model).forward)
    logits: Tensor = call(model, ids[None], use_cache=False, logits_to_keep=keep).logits[0]
    return logits[keep] if isinstance(keep, Tensor) and not takes else logits


@dataclass(eq=False)
class _Group:
    """Sequences of one length; row i of the state is that of `slots[i]`, which is -1 where it has ended."""

    slots: list[int]
    state: Any = None
    name: str = ""


class NativeSlots:
    """See `flat.Slots`."""

    def __init__(self, model: Any, execution: Execution, *, alone: bool = False, half: bool = False) -> None:
        """`alone` computes each sequence by itself, so that rounding does not depend on others.

        With `half` it computes in bfloat16 what is kept in float32.
        """
        self.model, self.execution, self.alone, self.half = model, execution, alone, half
        self.groups: list[_Group] = []

    def prefill(self, prompts: Sequence[list[int]]) -> list[Computed]:
        """Nothing yet: a state belongs to the sequences that go on from it."""
        return [Computed(ids) for ids in prompts]

    def put(self, start: int, stop: int, prompt: Computed) -> Tensor:
        self._leave(range(start, stop))
        width = 1 if self.alone else stop - start
        parts = []
        for first in range(start, stop, width):
            group = _Group(list(range(first, min(first + width, stop))))
            self.groups.append(group)
            parts.append(self._whole(group, [prompt.ids] * len(group.slots)))
        return torch.cat(parts)

    def move(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        self._leave(targets)
        goes = dict(zip(sources, targets, strict=True))
        for group in self.groups:
            group.slots = [goes.get(slot, slot) for slot in group.slots]

    def truncate(self, slot: int, length: int) -> None:
        """A state cannot go back: the sequence is computed anew."""
        self._leave([slot])
        self.groups.append(_Group([slot]))

    def decode(self, texts: Sequence[Text]) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for group in list(self.groups):
            if not self._drop(group, len(texts)):
                self.groups.remove(group)
                continue
            rows = [texts[slot] for slot in group.slots]
            length = len(rows[0].prompt_ids) + len(rows[0].ids)
            if group.state is None or (self.execution.border and length == self.execution.border + 1):
                logits = self._whole(group, [text.prompt_ids + text.ids for text in rows])
            else:
                logits = self._next(group, [text.ids[-1] for text in rows], length - 1)
            found |= dict(zip(group.slots, logits[:, None], strict=True))
        return [found[slot] for slot in range(len(texts))]

    def _leave(self, slots: Sequence[int]) -> None:
        gone = set(slots)
        for group in self.groups:
            group.slots = [-1 if slot in gone else slot for slot in group.slots]

    def _drop(self, group: _Group, running: int) -> bool:
        """Takes rows that have ended out of the group's state; whether any are left."""
        kept = [row for row, slot in enumerate(group.slots) if 0 <= slot < running]
        if kept and len(kept) < len(group.slots) and group.state is not None:
            index = torch.tensor(kept, device=self.model.device)
            if hasattr(group.state, "reorder_cache"):
                group.state.reorder_cache(index)
            else:
                group.state = [part.index_select(0, index) for part in group.state]
        group.slots = [group.slots[row] for row in kept]
        return bool(kept)

    def _whole(self, group: _Group, texts: list[list[int]]) -> Tensor:
        ids = torch.tensor(texts, device=self.model.device)
        out = self._call(ids, use_cache=self.execution.cached)
        if self.execution.cached:
            group.name = next((name for name in STATES if out.get(name) is not None), "")
            group.state = out[group.name] if group.name else None
        logits: Tensor = out.logits[:, -1]
        return logits

    def _next(self, group: _Group, tokens: list[int], position: int) -> Tensor:
        device = self.model.device
        where: dict[str, Any] = {group.name: group.state}
        if self.execution.positions:
            where["position_ids"] = torch.full((len(tokens), 1), position, device=device)
        ids = torch.tensor(tokens, device=device)[:, None]
        out = self._call(ids, use_cache=True, **where)
        group.state = out[group.name]
        logits: Tensor = out.logits[:, -1]
        return logits

    def _call(self, ids: Tensor, **wished: Any) -> Any:
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.half):
            return call(self.model, ids, logits_to_keep=1, **wished)
