"""Sequences that run side by side over flat rows: prompts in one row, then a token of each in a pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from stages.inference.invariant.model import is_invariant, layout_for
from stages.inference.transformers.ragged import Capture, Layout, Packed, Segment
from stages.inference.transformers.slot_cache import SlotCache

Layers = list[tuple[Tensor, Tensor]]


class Text(Protocol):
    """A running sequence: the tokens of its prompt and those after it."""

    prompt_ids: list[int]
    ids: list[int]


@dataclass(eq=False)
class Computed:
    """A prompt that may be `put` into slots."""

    ids: list[int]
    logits: Tensor = field(default_factory=lambda: torch.empty(0))  # [V] after its last token
    layers: Layers = field(default_factory=list)


class Slots(Protocol):
    """Sequences that run, numbered from 0 without gaps."""

    def prefill(self, prompts: Sequence[list[int]]) -> list[Computed]:
        """Computes prompts."""

    def put(self, start: int, stop: int, prompt: Computed) -> Tensor:
        """A prompt in each slot of `start:stop`; logits `[n, V]` after it."""

    def move(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        """Sequences go to slots whose own have ended."""

    def truncate(self, slot: int, length: int) -> None:
        """Forgets what follows the first `length` tokens of a slot."""

    def decode(self, texts: Sequence[Text]) -> list[Tensor]:
        """Logits `[n, V]`, in parts, after the last token of each, which is new since the last pass."""


def flat_logits(
    model: Any,
    row: Tensor,
    layout: Layout,
    positions: Tensor,
    keep: Tensor | None = None,
    *,
    half: bool = False,
) -> Tensor:
    """Logits `[T, V]` of a flat row of tokens `[T]`, or `[n, V]` at the places `keep [n]`.

    With `half` it computes in bfloat16 what is kept in float32, as training does.
    """
    with torch.autocast(row.device.type, torch.bfloat16) if half else nullcontext():
        out = model(
            input_ids=row[None],
            position_ids=positions[None],
            use_cache=False,
            logits_to_keep=0 if keep is None else keep,
            layout=layout,
        )
    logits: Tensor = out.logits[0]
    return logits


class FlatSlots:
    """See `Slots`. Under `fixed_rows` each prompt has a row of its own, and a pass that many.

    With `half` it computes in bfloat16 what is kept in float32.
    """

    def __init__(
        self, model: Any, slots: int, *, fixed_rows: int = 0, border: int = 0, half: bool = False
    ) -> None:
        self.model, self.fixed_rows, self.border = model, fixed_rows, border
        self.half = half
        self.cache = SlotCache(slots, fixed_rows=fixed_rows, invariant=is_invariant(model))
        self._stale: set[int] = set()  # slots that went back over the border

    def prefill(self, prompts: Sequence[list[int]]) -> list[Computed]:
        rows = [[ids] for ids in prompts] if self.fixed_rows else ([prompts] if prompts else [])
        return [made for row in rows for made in self._row(row)]

    def _row(self, prompts: Sequence[list[int]]) -> list[Computed]:
        device = self.model.device
        segments, stop = [], 0
        for ids in prompts:
            segments.append(Segment(stop, stop + len(ids)))
            stop += len(ids)
        layout = Packed(segments, device)
        capture = Capture(layout_for(self.model, layout))
        row = torch.tensor([token for ids in prompts for token in ids], device=device)
        last = torch.tensor([segment.stop for segment in segments], device=device) - 1
        logits = flat_logits(self.model, row, capture, layout.positions, last, half=self.half)
        made = []
        for index, (ids, s) in enumerate(zip(prompts, segments, strict=True)):
            layers = [(k[:, s.start : s.stop], v[:, s.start : s.stop]) for k, v in capture.layers]
            made.append(Computed(ids, logits[index], layers))
        return made

    def put(self, start: int, stop: int, prompt: Computed) -> Tensor:
        self.cache.put(start, stop, prompt.layers, len(prompt.ids))
        self._stale.difference_update(range(start, stop))
        return prompt.logits.expand(stop - start, -1)

    def move(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        self.cache.move(sources, targets)
        goes = dict(zip(sources, targets, strict=True))
        self._stale = {goes.get(slot, slot) for slot in self._stale - set(targets)}

    def truncate(self, slot: int, length: int) -> None:
        if length <= self.border < int(self.cache.lengths[slot]):
            self._stale.add(slot)
        self.cache.truncate(slot, length)

    def decode(self, texts: Sequence[Text]) -> list[Tensor]:
        if self.border:
            self._turn(texts)
        tokens = torch.tensor([text.ids[-1] for text in texts], device=self.model.device)
        width = self.fixed_rows or len(texts)
        parts = []
        for start in range(0, len(texts), width):
            rows = slice(start, min(start + width, len(texts)))
            positions = self.cache.step(rows)
            row = tokens[rows]
            if self.fixed_rows:
                missing = width - len(row)
                row = torch.nn.functional.pad(row, (0, missing))
                positions = torch.nn.functional.pad(positions, (0, missing))
            logits = flat_logits(self.model, row, self.cache, positions, half=self.half)
            self.cache.advance(rows)
            parts.append(logits[: rows.stop - rows.start])
        return parts

    def _turn(self, texts: Sequence[Text]) -> None:
        """Computes anew what is cached of a sequence that has just come over the border, or gone back."""
        for slot, text in enumerate(texts):
            whole = text.prompt_ids + text.ids
            if len(whole) == self.border + 1 or slot in self._stale:
                # With its last token, which decides the factors; the pass that follows writes that one again.
                [again] = self._row([whole])
                self.cache.put(slot, slot + 1, again.layers, len(whole))
                self.cache.truncate(slot, len(whole) - 1)
        self._stale.clear()
