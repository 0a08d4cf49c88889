"""Attention over flat rows: tokens of many sequences side by side, no padding in any linear layer.

A model reads one row `[1, T]`; a layout says what each token sees. `Packed` serves training and prefill:
segments of the row, each seeing itself and, where it continues a shared prompt, that
prompt. `SlotCache` serves decoding: one token for each running sequence, against its keys and values.
Both reach the model through transformers' attention interface, so any architecture that
uses the interface works as it is; `load_model` proves it on a few tokens before anything else runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.data.errors import Unavailable

ATTENTION = "r1_ragged"
FOLDED = 1 << 24  # elements of the largest mask that is repeated for heads that share keys
ALONE = 1024  # a longer segment attends alone, so that a bucket's mask stays small


class Layout(Protocol):
    """Query heads Hq, key heads Hk, head size D; q `[Hq, T, D]`, k and v `[Hk, T, D]`."""

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None
    ) -> Tensor:
        """The attention's output `[Hq, T, D]`."""


class Segment(NamedTuple):
    """Tokens `start:stop` of a row; they also see `prefix_start:prefix_stop`, the prompt they continue."""

    start: int
    stop: int
    prefix_start: int = 0
    prefix_stop: int = 0


class _Bucket(NamedTuple):
    queries: Tensor  # [n, Lq] row positions, padded with 0
    keys: Tensor  # [n, Lk] row positions, padded with 0
    at_query: Tensor  # [n, Lq] their positions in the sequence; a padded query sees the first key
    at_key: Tensor  # [n, Lk] theirs; a padded key lies after everything
    padded: Tensor  # [n * Lq] which query rows are real


class Packed:
    """Segments of a row, attended in buckets of similar length. Every token belongs to one segment."""

    def __init__(self, segments: Sequence[Segment], device: torch.device | str = "cpu") -> None:
        self.length = max(segment.stop for segment in segments)
        self.positions = torch.empty(self.length, dtype=torch.long)
        for s in segments:
            offset = s.prefix_stop - s.prefix_start
            self.positions[s.start : s.stop] = torch.arange(offset, offset + s.stop - s.start)
        self.positions = self.positions.to(device)
        self._buckets = [_bucket(group, device) for group in _by_length(segments)]
        order = torch.cat([b.queries.flatten()[b.padded] for b in self._buckets])
        self._inverse = torch.empty_like(order)
        self._inverse[order] = torch.arange(len(order), device=device)

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None
    ) -> Tensor:
        heads, _, width = q.shape
        shared = heads // k.shape[0]  # query heads that share a key head
        outputs = []
        for bucket in self._buckets:
            n, lq = bucket.queries.shape
            lk = bucket.keys.shape[1]
            queries = q.index_select(1, bucket.queries.flatten()).view(heads, n, lq, width)
            queries = queries.transpose(0, 1)  # n Hq Lq D
            keys = k.index_select(1, bucket.keys.flatten()).view(-1, n, lk, width).transpose(0, 1)
            values = v.index_select(1, bucket.keys.flatten()).view(-1, n, lk, width).transpose(0, 1)
            causal = n == 1 and lq == lk and window is None
            folded = not causal and n * shared * lq * lk <= FOLDED
            if shared > 1 and not folded:
                keys = keys.repeat_interleave(shared, 1)
                values = values.repeat_interleave(shared, 1)
            if causal:
                out = F.scaled_dot_product_attention(
                    queries, keys, values, is_causal=True, scale=scale
                )
            else:
                # Not kept from layer to layer: the masks of long completions would fill the memory.
                gap = bucket.at_query[:, :, None] - bucket.at_key[:, None, :]
                seen = gap >= 0 if window is None else (gap >= 0) & (gap < window)
                if folded:  # heads that share keys stand below each other, so that no key is copied
                    queries = queries.reshape(n, -1, shared * lq, width)
                    seen = seen.repeat(1, shared, 1)
                out = F.scaled_dot_product_attention(
                    queries, keys, values, attn_mask=seen[:, None], scale=scale
                ).reshape(n, heads, lq, width)
            flat = out.transpose(0, 1).reshape(heads, n * lq, width)
            outputs.append(flat if bucket.padded.all() else flat[:, bucket.padded])
        return torch.cat(outputs, 1).index_select(1, self._inverse)


def _by_length(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments in groups whose longest is at most a quarter, or 16 tokens, longer than the shortest."""
    groups: list[list[Segment]] = []
    limit = -1
    for segment in sorted(segments, key=_seen):
        length = _seen(segment)
        if length > limit or length > ALONE:
            groups.append([])
            limit = max(length + length // 4, length + 16)
        groups[-1].append(segment)
    return groups


def _seen(segment: Segment) -> int:
    return segment.stop - segment.start + segment.prefix_stop - segment.prefix_start


def _bucket(group: Sequence[Segment], device: torch.device | str) -> _Bucket:
    lq = max(s.stop - s.start for s in group)
    lk = max(_seen(s) for s in group)
    queries = torch.zeros(len(group), lq, dtype=torch.long)
    keys = torch.zeros(len(group), lk, dtype=torch.long)
    at_query = torch.zeros(len(group), lq, dtype=torch.int32)
    at_key = torch.full((len(group), lk), 1 << 30, dtype=torch.int32)
    real = torch.zeros(len(group), lq, dtype=torch.bool)
    for row, s in enumerate(group):
        prefix, own = s.prefix_stop - s.prefix_start, s.stop - s.start
        queries[row, :own] = torch.arange(s.start, s.stop)
        keys[row, :prefix] = torch.arange(s.prefix_start, s.prefix_stop)
        keys[row, prefix : prefix + own] = torch.arange(s.start, s.stop)
        at_query[row, :own] = torch.arange(prefix, prefix + own, dtype=torch.int32)
        at_key[row, : prefix + own] = torch.arange(prefix + own, dtype=torch.int32)
        real[row, :own] = True
    parts = (queries, keys, at_query, at_key, real.flatten())
    return _Bucket(*(part.to(device) for part in parts))


class SlotCache:
    """Keys and values of running sequences, `[slots, Hk, capacity, D]` for each layer.

    Slots `0..n-1` are in use: the last ones move to where a sequence has ended. Capacity
    grows by half when a sequence outgrows it, so nothing is reallocated from step to step.
    """

    def __init__(self, slots: int, *, fixed_rows: int = 0) -> None:
        self.slots, self.fixed_rows = slots, fixed_rows
        self.capacity = 0
        self.lengths = torch.zeros(slots, dtype=torch.long)
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._rows = slice(0, 0)
        self._mask: Tensor | None = None

    def put(
        self, start: int, stop: int, prompt: Sequence[tuple[Tensor, Tensor]], length: int
    ) -> None:
        """Fills each slot of `start:stop` with a prompt's keys and values, `[Hk, length, D]` for each layer."""
        self._reserve(prompt, length + 1)
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
            self._grow(max(longest, self.capacity + self.capacity // 2))
        self._rows = rows
        device = self._keys[0].device
        self._at = lengths.to(device)
        self._span = min(-(-longest // 64) * 64, self.capacity)
        steps = torch.arange(self._span, device=device)
        self._gap = self._at[:, None] - steps  # [n, span]: how far back each key lies
        self._index = torch.arange(rows.start, rows.stop, device=device)
        return self._at

    def advance(self, rows: slice) -> None:
        """The tokens of the last pass are part of their sequences."""
        self.lengths[rows] += 1

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None
    ) -> Tensor:
        keys, values = self._keys[layer], self._values[layer]
        n = self._rows.stop - self._rows.start
        # Rows past n only fill a fixed shape; they see and change nothing.
        keys[self._index, :, self._at] = k[:, :n].transpose(0, 1)
        values[self._index, :, self._at] = v[:, :n].transpose(0, 1)
        heads, total, width = q.shape
        queries = q[:, :n].transpose(0, 1).reshape(n, keys.shape[1], -1, width)  # n Hk shared D
        seen = self._gap >= 0 if window is None else (self._gap >= 0) & (self._gap < window)
        if self.fixed_rows:
            parts = []
            for row in range(n):
                slot = self._rows.start + row
                span = min(-(-(int(self.lengths[slot]) + 1) // 64) * 64, self.capacity)
                parts.append(
                    F.scaled_dot_product_attention(
                        queries[row : row + 1],
                        keys[slot : slot + 1, :, :span],
                        values[slot : slot + 1, :, :span],
                        attn_mask=seen[row : row + 1, None, None, :span],
                        scale=scale,
                    )
                )
            out = torch.cat(parts)
        else:
            out = F.scaled_dot_product_attention(
                queries,
                keys[self._rows, :, : self._span],
                values[self._rows, :, : self._span],
                attn_mask=seen[:, None, None],
                scale=scale,
            )
        out = out.reshape(n, heads, width).transpose(0, 1)
        return out if total == n else F.pad(out, (0, 0, 0, total - n))

    def _reserve(self, like: Sequence[tuple[Tensor, Tensor]], need: int) -> None:
        if not self._keys:
            self.capacity = -(-need // 64) * 64
            for k, v in like:
                self._keys.append(k.new_zeros(self.slots, k.shape[0], self.capacity, k.shape[2]))
                self._values.append(v.new_zeros(self.slots, v.shape[0], self.capacity, v.shape[2]))
        elif need > self.capacity:
            self._grow(need)

    def _grow(self, need: int) -> None:
        capacity = -(-need // 64) * 64
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                new = old.new_zeros(old.shape[0], old.shape[1], capacity, old.shape[3])
                new[:, :, : self.capacity] = old
                tensors[layer] = new
        self.capacity = capacity


class Capture:
    """A layout that keeps each layer's keys and values while another layout attends: a prefill."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.layers: list[tuple[Tensor, Tensor]] = []

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None
    ) -> Tensor:
        self.layers.append((k, v))
        return self.layout.attend(layer, q, k, v, scale, window)


def register() -> None:
    """Makes the attention known to transformers under the name `ATTENTION`."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attention)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    layout: Layout | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    if layout is None or softcap is not None or s_aux is not None:
        raise Unavailable(
            f"{type(module).__name__} needs an attention that the transformers backend does not have"
        )
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    out = layout.attend(module.layer_idx, query[0], key[0], value[0], scale, sliding_window)
    return out.transpose(0, 1)[None], None
