"""How likely texts are after a context, which is computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from stages.inference.interface import Likelihood
from stages.inference.transformers.execution import execution_of
from stages.inference.transformers.flat import flat_logits
from stages.inference.transformers.native import native_logits
from stages.inference.transformers.ragged import Packed, Segment


def likelihoods(
    model: Any, context: list[int], texts: Sequence[list[int]], *, half: bool = False
) -> list[Likelihood]:
    """Of each of `texts` after `context`, none of which is empty."""
    execution = execution_of(model)
    if execution.flat and not execution.border:
        return _together(model, context, texts, half)
    return [_alone(model, context, text, half) for text in texts]


def _together(model: Any, context: list[int], texts: Sequence[list[int]], half: bool) -> list[Likelihood]:
    """In one row: the context, then each text but for its last token, which sees itself and the context."""
    row, end = list(context), len(context)
    segments = [Segment(0, end)]
    places: dict[tuple[int, ...], range] = {}  # of what stands before a text's last token: it may be shared
    for text in texts:
        shown = tuple(text[:-1])
        if shown and shown not in places:
            segments.append(Segment(len(row), len(row) + len(shown), 0, end))
            places[shown] = range(len(row), len(row) + len(shown))
            row += shown
    layout = Packed(segments, model.device)
    keep = torch.tensor([end - 1, *range(end, len(row))], device=model.device)
    tokens = torch.tensor(row, device=model.device)
    logits = flat_logits(model, tokens, layout, layout.positions, keep, half=half).float()
    found = []
    for text in texts:
        own = [place - end + 1 for place in places.get(tuple(text[:-1]), ())]
        found.append(_likelihood(logits[[0, *own]], text, end))
    return found


def _alone(model: Any, context: list[int], text: list[int], half: bool) -> Likelihood:
    ids = torch.tensor([*context, *text[:-1]], device=model.device)
    keep = torch.arange(len(context) - 1, len(ids), device=model.device)
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=half):
        logits = native_logits(model, ids, keep)
    return _likelihood(logits.float(), text, len(context))


def _likelihood(logits: Tensor, text: list[int], before: int) -> Likelihood:
    """Of the tokens of a text, from the logits `[T, V]` before each."""
    ids = torch.tensor(text, device=logits.device)
    logp = torch.log_softmax(logits, -1).gather(-1, ids[:, None]).sum()
    return Likelihood(float(logp), bool((logits.argmax(-1) == ids).all()), len(text), before)
