"""Attention over flat rows: tokens of many sequences side by side, no padding in any linear layer.

A model reads one row `[1, T]`; a layout says what each token sees. `Packed` serves training and prefill:
segments of the row, each seeing itself and, where it continues a shared prompt, that prompt. `SlotCache`
(slot_cache.py) serves decoding. Both reach the model through transformers' attention interface, so any
architecture that uses the interface works as it is; proof.py tries it on a few tokens before it is used.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.runtime.errors import Unavailable

ATTENTION = "r1_ragged"
FOLDED = 1 << 24  # elements of the largest mask that is repeated for heads that share keys
ALONE = 1024  # a longer segment attends alone, so that a bucket's mask stays small


class Layout(Protocol):
    """Query heads Hq, key heads Hk, head sizes D and Dv; q `[Hq, T, D]`, k `[Hk, T, D]`, v `[Hk, T, Dv]`.

    `spans [T]` says how many tokens the sequence of each token has in all.
    """

    @property
    def spans(self) -> Tensor: ...

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        """The attention's output `[Hq, T, Dv]`."""


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
    real: Tensor | None  # which of the n * Lq query rows are no padding; None where all are


class Packed:
    """Segments of a row, attended in buckets of similar length. Every token belongs to one segment."""

    def __init__(self, segments: Sequence[Segment], device: torch.device | str = "cpu") -> None:
        self.length = max(segment.stop for segment in segments)
        self.positions = torch.empty(self.length, dtype=torch.long)
        for s in segments:
            offset = s.prefix_stop - s.prefix_start
            self.positions[s.start : s.stop] = torch.arange(offset, offset + s.stop - s.start)
        self.positions = self.positions.to(device)
        self.segments = segments
        self._buckets = [_bucket(group, device) for group in _by_length(segments)]
        order = torch.cat([_kept(b.queries.flatten(), b) for b in self._buckets])
        self._inverse = torch.empty_like(order)
        self._inverse[order] = torch.arange(len(order), device=device)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        heads, _, width = q.shape
        wide = v.shape[-1]
        shared = heads // k.shape[0]  # query heads that share a key head
        outputs = []
        for bucket in self._buckets:
            n, lq = bucket.queries.shape
            lk = bucket.keys.shape[1]
            # Past a prompt no longer than itself, one computes the prompt's queries too, and needs no mask.
            past = ALONE < lk <= 2 * lq
            causal = n == 1 and window is None and (lq == lk or past)
            asked = bucket.keys if causal else bucket.queries
            queries = q.index_select(1, asked.flatten()).view(heads, n, -1, width)
            queries = queries.transpose(0, 1)  # n Hq Lq D
            keys = k.index_select(1, bucket.keys.flatten()).view(-1, n, lk, width).transpose(0, 1)
            values = v.index_select(1, bucket.keys.flatten()).view(-1, n, lk, wide).transpose(0, 1)
            folded = not causal and n * shared * lq * lk <= FOLDED
            if shared > 1 and not folded:
                keys = keys.repeat_interleave(shared, 1)
                values = values.repeat_interleave(shared, 1)
            if causal:
                out = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, scale=scale)
                out = out[:, :, lk - lq :]
            else:
                # Not kept from layer to layer: the masks of long completions would fill the memory.
                seen = seen_by(bucket.at_query[:, :, None] - bucket.at_key[:, None, :], window)
                if folded:  # heads that share keys stand below each other, so that no key is copied
                    queries = queries.reshape(n, -1, shared * lq, width)
                    seen = seen.repeat(1, shared, 1)
                out = F.scaled_dot_product_attention(
                    queries, keys, values, attn_mask=seen[:, None], scale=scale
                ).reshape(n, heads, lq, wide)
            outputs.append(_kept(out.transpose(0, 1).reshape(heads, n * lq, wide), bucket, 1))
        return torch.cat(outputs, 1).index_select(1, self._inverse)

    @functools.cached_property
    def spans(self) -> Tensor:
        """See `Layout`; a prompt's is that of its longest continuation."""
        found = torch.zeros(self.length, dtype=torch.long)
        for s in self.segments:
            whole = _seen(s)
            found[s.start : s.stop] = found[s.start : s.stop].clamp_min(whole)
            found[s.prefix_start : s.prefix_stop] = found[s.prefix_start : s.prefix_stop].clamp_min(whole)
        return found.to(self.positions.device)


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
    places = None if real.all() else real.flatten().nonzero()[:, 0].to(device)
    return _Bucket(queries.to(device), keys.to(device), at_query.to(device), at_key.to(device), places)


def _kept(values: Tensor, bucket: _Bucket, dim: int = 0) -> Tensor:
    """`values` of a bucket's query rows without those that are padding."""
    return values if bucket.real is None else values.index_select(dim, bucket.real)


class Capture:
    """A layout that keeps each layer's keys and values while another layout attends: a prefill."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.layers: list[tuple[Tensor, Tensor]] = []

    @property
    def spans(self) -> Tensor:
        """See `Layout`."""
        return self.layout.spans

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
        self.layers.append((k, v))
        return self.layout.attend(layer, q, k, v, scale, window)


def seen_by(distance: Tensor, window: int | None) -> Tensor:
    """Whether a token sees the one so many places before it."""
    return distance >= 0 if window is None else (distance >= 0) & (distance < window)


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
    layout: Layout | None = None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    if layout is None or more.get("softcap") is not None or more.get("s_aux") is not None:
        raise Unavailable(
            f"{type(module).__name__} needs an attention that the transformers backend does not have"
        )
    if torch.is_autocast_enabled(query.device.type):  # as it rounds them for the product: half the cache
        narrow = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(narrow), key.to(narrow), value.to(narrow)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    window = more.get("sliding_window")
    out = layout.attend(module.layer_idx, query[0], key[0], value[0], scale, window)
    return out.transpose(0, 1)[None], None
