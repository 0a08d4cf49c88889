"""Samples side by side in flat rows: a group's prompt once, then its completions, and no padding.

A completion sees its prompt and itself; positions go on from the prompt. So packing changes no
gradient beyond rounding, whatever shares a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from stages.inference.transformers.execution import Packing
from stages.inference.transformers.ragged import Packed, Segment


@dataclass(eq=False)
class Sample:
    """One completion to learn from. Lists have one entry for each completion token.

    `weight` is the token's weight in the loss of the whole update; 0 leaves it out. `old_logp` is the
    sampler's, `ref_logp` the reference model's, `own_logp` that of the policy before the step's first update.
    `place` is the number of its completion in the step.
    """

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    weight: Sequence[float]
    advantage: float = 0.0
    old_logp: Sequence[float] = field(default_factory=list)
    ref_logp: Sequence[float] = field(default_factory=list)
    own_logp: Sequence[float] = field(default_factory=list)
    group: str = ""
    place: int = 0


@dataclass(eq=False)
class Row:
    """T tokens of several samples. `predict [n]` are the places whose next token is `targets [n]`.

    `weight`, `advantage`, `old_logp`, `ref_logp`, `own_logp` are `[n]`, the last three only where all samples
    have them; `sequences [n]` numbers the samples. Where `Packing.alone` says so, a row is one sample:
    `parts` are the sequences it is computed as, one after the other. An `idle` row is computed, as other
    ranks wait for it, and not learned.
    """

    samples: list[Sample]
    ids: Tensor
    layout: Packed
    predict: Tensor
    targets: Tensor
    weight: Tensor
    advantage: Tensor
    old_logp: Tensor | None
    ref_logp: Tensor | None
    own_logp: Tensor | None
    sequences: Tensor
    parts: list[slice]
    idle: bool = False

    @property
    def lasts(self) -> Tensor:
        """Which of the targets is each sample's last, `[samples]`."""
        counts = [len(sample.completion_ids) for sample in self.samples]
        return (torch.tensor(counts).cumsum(0) - 1).to(self.predict.device)

    def predicted(self) -> Iterator[tuple[slice, Tensor]]:
        """Each of the `parts`, and the places in it whose next token is a target."""
        for part in self.parts:
            inside = (self.predict >= part.start) & (self.predict < part.stop)
            yield part, self.predict[inside] - part.start


class _Piece(NamedTuple):
    """The first `tokens` of a completion, from which its tokens `first:stop` are predicted."""

    tokens: int
    first: int
    stop: int
    long: bool  # whether the sequence lies past the border between two ranges of positions


def rows(
    samples: Iterable[Sample],
    limit: int,
    device: torch.device | str = "cpu",
    *,
    packing: Packing = Packing(),
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[Row]:
    """Rows of at most `limit` tokens (or one sample, where that is longer, or `packing` says so), in the
    samples' order.

    Consecutive samples with the same `group` and prompt share the prompt's tokens. Of several ranks each has
    every n-th row, and all as many: where one is left without, its row is `idle`, and counts for nothing.
    """
    held: list[list[Sample]] = []
    for pack in packs(samples, limit, packing):
        held.append(pack)
        if len(held) == ranks:
            yield _row(held[rank], device, packing)
            held = []
    if rank < len(held):
        yield _row(held[rank], device, packing)
    elif held:
        spare = _row(held[0][:1], device, packing)
        spare.idle = True
        yield spare


def packs(samples: Iterable[Sample], limit: int, packing: Packing = Packing()) -> Iterator[list[Sample]]:
    """The samples of each row that `rows` makes."""
    held: list[Sample] = []
    sides: set[bool] = set()  # on which the last sample's prompt lies in the row
    used = 0
    for sample in samples:
        pieces = _pieces(sample, packing)
        if not (held and _same_prompt(held[-1], sample)):
            sides = set()
        need = _need(sample, pieces, sides)
        other = not packing.drawn and held and _pieces(held[-1], packing)[0].long != pieces[0].long
        if held and (packing.alone or other or used + need > limit):
            yield held
            held, used, sides = [], 0, set()
            need = _need(sample, pieces, sides)
        held.append(sample)
        sides |= {piece.long for piece in pieces}
        used += need
    if held:
        yield held


def _need(sample: Sample, pieces: Sequence[_Piece], sides: set[bool]) -> int:
    """How many tokens a sample takes whose prompt is already in the row on these sides of the border."""
    prompts = len({piece.long for piece in pieces} - sides)
    return sum(piece.tokens for piece in pieces) + prompts * len(sample.prompt_ids)


def _pieces(sample: Sample, packing: Packing) -> list[_Piece]:
    """A sample as a whole, or as it was drawn where it came over the border."""
    border, prompt, tokens = packing.border, len(sample.prompt_ids), len(sample.completion_ids)
    long = 0 < border < prompt + tokens
    if not (packing.drawn and long and prompt <= border):
        return [_Piece(tokens, 0, tokens, long)]
    # The token after a text of just the border's length is still drawn from a short sequence.
    short = min(tokens, border - prompt + 1)
    pieces = [_Piece(short - 1, 0, short, False)]
    return pieces if short == tokens else [*pieces, _Piece(tokens, short, tokens, True)]


def _same_prompt(one: Sample, other: Sample) -> bool:
    return bool(one.group) and one.group == other.group and one.prompt_ids == other.prompt_ids


def _row(samples: list[Sample], device: torch.device | str, packing: Packing) -> Row:
    ids: list[int] = []
    segments: list[Segment] = []
    predict: list[int] = []
    parts: list[slice] = []
    prompts: dict[bool, Segment] = {}  # of the present sample, on each side of the border
    for index, sample in enumerate(samples):
        if not index or not _same_prompt(samples[index - 1], sample):
            prompts = {}
        for piece in _pieces(sample, packing):
            start = len(ids)
            if piece.long not in prompts:
                prompts[piece.long] = Segment(start, start + len(sample.prompt_ids))
                segments.append(prompts[piece.long])
                ids.extend(sample.prompt_ids)
            prompt = prompts[piece.long]
            own = Segment(len(ids), len(ids) + piece.tokens, prompt.start, prompt.stop)
            if piece.tokens:
                segments.append(own)
            ids.extend(sample.completion_ids[: piece.tokens])
            places = [prompt.stop - 1, *range(own.start, own.stop)]
            predict.extend(places[piece.first : piece.stop])
            parts.append(slice(start, len(ids)))
    lengths = torch.tensor([len(sample.completion_ids) for sample in samples])
    return Row(
        samples,
        torch.tensor(ids, device=device),
        Packed(segments, device),
        torch.tensor(predict, device=device),
        _flat([sample.completion_ids for sample in samples], torch.long, device),
        _flat([sample.weight for sample in samples], torch.float32, device),
        torch.tensor([s.advantage for s in samples]).repeat_interleave(lengths).to(device),
        _optional([sample.old_logp for sample in samples], device),
        _optional([sample.ref_logp for sample in samples], device),
        _optional([sample.own_logp for sample in samples], device),
        torch.arange(len(samples)).repeat_interleave(lengths).to(device),
        parts,
    )


def _flat(lists: Sequence[Sequence[float]], dtype: torch.dtype, device: torch.device | str) -> Tensor:
    return torch.tensor([value for values in lists for value in values], dtype=dtype, device=device)


def _optional(lists: Sequence[Sequence[float]], device: torch.device | str) -> Tensor | None:
    return _flat(lists, torch.float32, device) if all(len(values) for values in lists) else None
