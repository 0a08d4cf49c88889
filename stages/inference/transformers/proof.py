"""The check of a model when it is loaded: which way of computing it gives its own numbers.

A few dozen tokens go through transformers' own code, eagerly and one sequence at a time, and through flat
rows: a prompt that two completions share, beside another sequence; then token by token with a cache. Windows,
and the border between two ranges of positions, are made so short meanwhile that these tokens cross them.

The weights are in float32 meanwhile: in half precision the logits of a token differ by up to a tenth of their
size between two ways that are both right, which looks like a fault and hides one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from stages.inference.transformers import longrope
from stages.inference.transformers.execution import Execution
from stages.inference.transformers.flat import FlatSlots, Slots, flat_logits
from stages.inference.transformers.native import NativeSlots, call, native_logits
from stages.inference.transformers.ragged import ATTENTION, Packed, Segment
from stages.inference.transformers.reduced import HALVES, RANKED, Windows, few_layers, in_float32, narrowed
from stages.inference.transformers.reference import OUT_OF_MEMORY, STEPS, Reference, SeesLater, relative_error
from stages.runtime.errors import Unavailable

FLAT_KINDS = {"full_attention", "sliding_attention"}
LOUD = 1000.0
FAR = 0.5  # of the logits' own size: farther apart than rounding takes them; unrelated ones are 1.4 apart
UNSEEN = "its window cannot be made short to be looked at"


@dataclass
class _Text:
    prompt_ids: list[int]
    ids: list[int]


class _Differs(Exception):
    """What was computed is not what the model's own code gives."""


@torch.no_grad()
def prove(model: Any) -> None:
    """Chooses the model's execution, sets its attention, and keeps what was found as `model.r1_execution`.

    Raises Unavailable where its own code gives no numbers, or a token's depend on later ones.
    """
    longrope.adopt(model)
    if model.config._attn_implementation == "flex_attention":  # compiled anew for each length
        model.set_attn_implementation("eager")
    loaded = model.config._attn_implementation
    with few_layers(model):
        found = _found_in_float32(model, loaded)
        if found is None or (found.flat and not _holds(model, loaded, found)):
            model.set_attn_implementation(loaded)
            found = _found(model, loaded)
    model.set_attn_implementation(ATTENTION if found.flat else found.attention)
    model.r1_execution = found


def _found_in_float32(model: Any, loaded: str) -> Execution | None:
    """See `_found`; None where the model's code is for half precision alone."""
    try:
        with in_float32(model):
            return _found(model, loaded)
    except SeesLater:
        raise
    except Unavailable:
        if model.dtype not in HALVES:
            raise
        return None


def _found(model: Any, loaded: str) -> Execution:
    """The execution whose numbers are the model's own, as its weights stand."""
    ranked = _ranked(model.config.get_text_config())
    execution = Execution(type(model).__name__, border=longrope.border(model), longest=min(ranked, default=0))
    try:
        with narrowed(model) as windows:
            reference = Reference(model, loaded)
            return _choose(reference, execution, _unseen_window(reference, windows))
    except SeesLater:
        if not windows.places:
            raise
        # Such a short window may be too short for the model's own code: as it is, then, and unseen.
        model.set_attn_implementation(loaded)
        # Past it what is said of a token may depend on later ones, so no sequence goes there.
        execution = replace(execution, longest=min([*windows.values, *ranked], default=0))
        return _choose(Reference(model, loaded), execution, UNSEEN)


def _holds(model: Any, loaded: str, found: Execution) -> bool:
    """Whether flat rows give about the model's own numbers in half precision too, for which code may not be
    made.
    """
    if model.dtype not in HALVES:
        return True
    try:
        with narrowed(model):
            model.set_attn_implementation(loaded)
            reference = Reference(model, loaded, limit=FAR)
            model.set_attn_implementation(ATTENTION)
            return max(_rows_error(reference), _steps_error(reference, found)) <= FAR
    except OUT_OF_MEMORY:
        raise
    except Exception:  # as in `_choose`
        return False


def _ranked(config: Any) -> list[int]:
    """How many tokens each choice by rank takes; empty where attention chooses none."""
    found = [value for name in RANKED if (value := getattr(config, name, None))]
    if any("sparse" in kind for kind in getattr(config, "layer_types", None) or ()):
        blocks, size = (getattr(config, f"index_{n}", None) for n in ("topk_blocks", "block_size"))
        found += [blocks * size] if blocks and size else []
    return found


def _choose(reference: Reference, execution: Execution, objection: str) -> Execution:
    """Flat rows where there is no `objection` and they give the model's own numbers, else its own code."""
    model, execution = reference.model, replace(execution, head=_head(reference))
    try:
        if objection:
            raise _Differs(objection)
        if kinds := _other_kinds(model):
            raise _Differs(f"it has {', '.join(kinds)}")
        model.set_attn_implementation(ATTENTION)
        found = replace(execution, error=max(_rows_error(reference), _steps_error(reference, execution)))
        if found.error <= reference.limit:
            return found
        raise _Differs(f"its logits differ by {found.error:.2g} of their size")
    except OUT_OF_MEMORY:
        raise
    # Whatever a model's code raises over rows it was not written for says the same: not this way.
    except Exception as error:
        known = isinstance(error, (_Differs, Unavailable))
        why = str(error) if known else f"{type(error).__name__} in its code"
    return _native(reference, replace(execution, flat=False, attention=reference.attention, why=why))


def _rows_error(reference: Reference) -> float:
    """Two completions of one prompt beside another sequence, in a row as training makes it."""
    model, r = reference.model, reference
    a = len(r.prompt)
    b = a + len(r.long)
    c = b + len(r.short)
    end = c + len(r.other)
    segments = [Segment(0, a), Segment(a, b, 0, a), Segment(b, c, 0, a), Segment(c, end)]
    layout = Packed(segments, model.device)
    row = torch.tensor(r.prompt + r.long + r.short + r.other, device=model.device)
    last = torch.tensor([b - 1, end - 1], device=model.device)
    other = r.of(r.other + r.after)[: len(r.other)]
    wanted = torch.cat([r.of(r.prompt + r.long), r.of(r.prompt + r.short)[a:], other])
    return max(
        relative_error(flat_logits(model, row, layout, layout.positions), wanted),
        relative_error(flat_logits(model, row, layout, layout.positions, last), wanted[last]),
    )


def _steps_error(reference: Reference, execution: Execution) -> float:
    """Three sequences token by token, of which one ends, by what `execution` says."""
    edge = longrope.border(reference.model)  # the one of this check
    slots: Slots = NativeSlots(reference.model, replace(execution, border=edge))
    if execution.flat:
        slots = FlatSlots(reference.model, 3, border=edge)
    texts = [_Text(reference.prompt, []), _Text(reference.prompt, []), _Text(reference.other, [])]
    follows = [reference.long, reference.short, reference.after]
    first, second = slots.prefill([reference.prompt, reference.other])
    logits = [slots.put(0, 2, first), slots.put(2, 3, second)]
    worst = 0.0
    for step in range(STEPS):
        wanted = []
        for text, following in zip(texts, follows, strict=True):
            length = len(text.prompt_ids) + step
            shorter = bool(edge) and length <= edge < len(text.prompt_ids) + len(following)
            ids = text.prompt_ids + (following[:step] if shorter else following)
            wanted.append(reference.of(ids)[length - 1])
        worst = max(worst, relative_error(torch.cat(logits), torch.stack(wanted)))
        if step == 1:  # the first ends, and the last takes its place
            slots.move([2], [0])
            texts, follows = [texts[2], texts[1]], [follows[2], follows[1]]
        for text, following in zip(texts, follows, strict=True):
            text.ids.append(following[step])
        logits = slots.decode(texts)
    return worst


def _native(reference: Reference, execution: Execution) -> Execution:
    """With its own cache where that gives the numbers of the whole sequence, else without."""
    reference.model.set_attn_implementation(execution.attention)
    for positions in (False, True):
        tried = replace(execution, positions=positions)
        try:
            tried = replace(tried, error=_steps_error(reference, tried))
        except OUT_OF_MEMORY:
            raise
        # A cache that does not work is not used; that the sequence itself can be computed is known by now.
        except Exception:
            continue
        if tried.error <= reference.limit:
            return tried
    return replace(execution, cached=False)


def _head(reference: Reference) -> bool:
    """Whether logits are hidden states times the output layer's weights, and not biased, scaled or capped.

    The output layer's result is made large, as a cap changes small ones by less than rounding.
    """
    model = reference.model
    head = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or getattr(head, "bias", None) is not None:
        return False
    row = torch.tensor(reference.other, device=model.device)
    handle = head.register_forward_hook(lambda _, __, out: out * LOUD)
    try:
        hidden = call(model.base_model, row[None], use_cache=False).last_hidden_state[0]
        logits = native_logits(model, row)
    except OUT_OF_MEMORY:
        raise
    except Exception:  # a model of other parts: its logits are taken as it gives them
        return False
    finally:
        handle.remove()
    return hidden.ndim == 2 and relative_error(LOUD * (hidden @ head.weight.T), logits) <= reference.limit


def _other_kinds(model: Any) -> list[str]:
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or ()
    return sorted(set(kinds) - FLAT_KINDS)


def _unseen_window(reference: Reference, windows: Windows) -> str:
    """Why the check would not see a window: the model's own numbers are the same with one and without."""
    limit = int(getattr(reference.model.config.get_text_config(), "max_position_embeddings", 0) or 0)
    if not windows.values or (limit and min(windows.values) >= limit):
        return ""
    ids = reference.prompt + reference.long
    with windows.wide():
        wide = native_logits(reference.model, torch.tensor(ids, device=reference.model.device))
    return UNSEEN if torch.equal(reference.of(ids), wide.float()) else ""
