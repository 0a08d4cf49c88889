"""Samples side by side in flat rows: a group's prompt once, then its completions, and no padding.

A completion sees its prompt and itself; positions go on from the prompt. So packing changes no
gradient beyond rounding, whatever shares a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from stages.inference.ragged import Packed, Segment


@dataclass(eq=False)
class Sample:
    """One completion to learn from. Lists have one entry for each completion token.

    `weight` is the token's weight in the loss of the whole update; 0 leaves it out. `old_logp` is the sampler's,
    `ref_logp` the reference model's, `own_logp` that of the policy before the step's first update.
    """

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    weight: Sequence[float]
    advantage: float = 0.0
    old_logp: Sequence[float] = field(default_factory=list)
    ref_logp: Sequence[float] = field(default_factory=list)
    own_logp: Sequence[float] = field(default_factory=list)
    group: str = ""


@dataclass(eq=False)
class Row:
    """T tokens of several samples. `predict [n]` are the places whose next token is `targets [n]`.

    `weight`, `advantage`, `old_logp`, `ref_logp`, `own_logp` are `[n]`, the last three only where all samples have them;
    `sequences [n]` numbers the samples. An `idle` row is computed, as other ranks wait for it, and not learned.
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
    idle: bool = False


def rows(
    samples: Iterable[Sample],
    limit: int,
    device: torch.device | str = "cpu",
    *,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[Row]:
    """Rows of at most `limit` tokens (or one sample, where that is longer), in the samples' order.

    Consecutive samples with the same `group` and prompt share the prompt's tokens. Of several ranks each has every
    n-th row, and all as many: where one is left without, its row is `idle`, and counts for nothing.
    """
    held: list[list[Sample]] = []
    for pack in packs(samples, limit):
        held.append(pack)
        if len(held) == ranks:
            yield _row(held[rank], device)
            held = []
    if rank < len(held):
        yield _row(held[rank], device)
    elif held:
        spare = _row(held[0][:1], device)
        spare.idle = True
        yield spare


def packs(samples: Iterable[Sample], limit: int) -> Iterator[list[Sample]]:
    """The samples of each row that `rows` makes."""
    held: list[Sample] = []
    used = 0
    for sample in samples:
        shared = bool(held) and _same_prompt(held[-1], sample)
        need = len(sample.completion_ids) + (0 if shared else len(sample.prompt_ids))
        if held and used + need > limit:
            yield held
            held, used = [], 0
            need = len(sample.completion_ids) + len(sample.prompt_ids)
        held.append(sample)
        used += need
    if held:
        yield held


def _same_prompt(one: Sample, other: Sample) -> bool:
    return bool(one.group) and one.group == other.group and one.prompt_ids == other.prompt_ids


def _row(samples: list[Sample], device: torch.device | str) -> Row:
    ids: list[int] = []
    segments: list[Segment] = []
    predict: list[int] = []
    prompt = Segment(0, 0)
    for index, sample in enumerate(samples):
        if not index or not _same_prompt(samples[index - 1], sample):
            prompt = Segment(len(ids), len(ids) + len(sample.prompt_ids))
            segments.append(prompt)
            ids.extend(sample.prompt_ids)
        own = Segment(len(ids), len(ids) + len(sample.completion_ids), prompt.start, prompt.stop)
        segments.append(own)
        ids.extend(sample.completion_ids)
        predict.extend([prompt.stop - 1, *range(own.start, own.stop - 1)])
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
    )


def _flat(
    lists: Sequence[Sequence[float]], dtype: torch.dtype, device: torch.device | str
) -> Tensor:
    return torch.tensor([value for values in lists for value in values], dtype=dtype, device=device)


def _optional(lists: Sequence[Sequence[float]], device: torch.device | str) -> Tensor | None:
    return _flat(lists, torch.float32, device) if all(len(values) for values in lists) else None
