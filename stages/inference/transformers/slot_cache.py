"""Keys and values of sequences that are decoded side by side, one token of each in a pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.inference.transformers.ragged import seen_by
from stages.objectives.invariant import attend, span


class SlotCache:
    """Keys and values of running sequences, `[slots, Hk, capacity, D]` for each layer.

    Slots `0..n-1` are in use: the last ones move to where a sequence has ended. Capacity grows by half when a
    sequence outgrows it, and places for slots are doubled up to `slots`, so nothing is reallocated from step
    to step, and few sequences do not take the memory of many. An `invariant` one gives a token the bits that
    `EachAlone` gives it.
    """

    def __init__(self, slots: int, *, fixed_rows: int = 0, invariant: bool = False) -> None:
        self.slots, self.fixed_rows, self.invariant = slots, fixed_rows, invariant
        self.capacity = self.places = 0
        self.lengths = torch.zeros(slots, dtype=torch.long)
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._rows = slice(0, 0)

    def put(self, start: int, stop: int, prompt: Sequence[tuple[Tensor, Tensor]], length: int) -> None:
        """Fills each slot of `start:stop` with a prompt's keys and values, `[Hk, length, D]` a layer."""
        self._reserve(prompt, stop, length + 1)
        for layer, (k, v) in enumerate(prompt):
            self._keys[layer][start:stop, :, :length] = k
            self._values[layer][start:stop, :, :length] = v
        self.lengths[start:stop] = length

    def move(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        """Copies slots over others, none of which is copied itself."""
        if not sources:
            return
        length = int(self.lengths[sources].max())
        for tensor in (*self._keys, *self._values):
            tensor[targets, :, :length] = tensor[sources, :, :length]
        self.lengths[targets] = self.lengths[sources]

    def truncate(self, slot: int, length: int) -> None:
        """Forgets what follows the first `length` tokens of a slot."""
        self.lengths[slot] = length

    def step(self, rows: slice) -> Tensor:
        """Prepares one token for each of `rows`; returns their positions. `advance` follows the pass."""
        lengths = self.lengths[rows]
        longest = int(lengths.max()) + 1
        if longest > self.capacity:
            self._grow(max(longest, self.capacity + self.capacity // 2), self.places)
        self._rows = rows
        device = self._keys[0].device
        self._at = lengths.to(device)
        self._span = self._room(longest)
        steps = torch.arange(self._span, device=device)
        self._distance = self._at[:, None] - steps  # [n, span]: how far back each key lies
        self._index = torch.arange(rows.start, rows.stop, device=device)
        return self._at

    @property
    def spans(self) -> Tensor:
        """See `Layout`."""
        return F.pad(self._at + 1, (0, max(self.fixed_rows - len(self._at), 0)))

    def advance(self, rows: slice) -> None:
        """The tokens of the last pass are part of their sequences."""
        self.lengths[rows] += 1

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        keys, values = self._keys[layer], self._values[layer]
        first, n = self._rows.start, self._rows.stop - self._rows.start
        # Rows past n only fill a fixed shape; they see and change nothing.
        keys[self._index, :, self._at] = k[:, :n].transpose(0, 1)
        values[self._index, :, self._at] = v[:, :n].transpose(0, 1)
        heads, total, _ = q.shape
        queries = q[:, :n].transpose(0, 1).reshape(n, keys.shape[1], -1, q.shape[2])  # n Hk shared D
        seen = seen_by(self._distance, window)[:, None, None]
        groups = [(0, n, self._span)]
        if self.fixed_rows:  # each attends by itself, so that its span depends on no other
            groups = [(row, row + 1, self._room(int(self.lengths[first + row]) + 1)) for row in range(n)]
        elif self.invariant:
            groups = list(self._of_one_span(first, n))
        how = attend if self.invariant else F.scaled_dot_product_attention
        parts = [
            how(
                queries[start:stop],
                keys[first + start : first + stop, :, :room],
                values[first + start : first + stop, :, :room],
                seen[start:stop, ..., :room],
                scale=scale,
            )
            for start, stop, room in groups
        ]
        out = parts[0] if len(parts) == 1 else torch.cat(parts)
        out = out.reshape(n, heads, -1).transpose(0, 1).to(q.dtype)
        return out if total == n else F.pad(out, (0, 0, 0, total - n))

    def _of_one_span(self, first: int, n: int) -> Iterator[tuple[int, int, int]]:
        """Rows `start:stop` of the pass that look at as many places, and how many."""
        rooms = [self._room(length + 1) for length in self.lengths[first : first + n].tolist()]
        for room, rows in groupby(range(n), key=rooms.__getitem__):
            start, *others = rows
            yield start, start + 1 + len(others), room

    def _room(self, length: int) -> int:
        """As many places as are looked at for a sequence of `length`."""
        return min(span(length), self.capacity)

    def _reserve(self, like: Sequence[tuple[Tensor, Tensor]], slots: int, need: int) -> None:
        if not self._keys:
            self.places, self.capacity = slots, span(need)
            for k, v in like:
                self._keys.append(k.new_zeros(slots, k.shape[0], self.capacity, k.shape[2]))
                self._values.append(v.new_zeros(slots, v.shape[0], self.capacity, v.shape[2]))
        elif slots > self.places or need > self.capacity:
            places = self.places if slots <= self.places else min(max(slots, 2 * self.places), self.slots)
            self._grow(max(need, self.capacity), places)

    def _grow(self, need: int, places: int) -> None:
        capacity = span(need)
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                new = old.new_zeros(places, old.shape[1], capacity, old.shape[3])
                new[: self.places, :, : self.capacity] = old
                tensors[layer] = new
        self.places, self.capacity = places, capacity
