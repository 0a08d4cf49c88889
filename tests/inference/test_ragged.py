"""Attention over flat rows and slots, against each model's own attention over one sequence alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import KINDS, tiny

from stages.inference.transformers.execution import execution_of
from stages.inference.transformers.flat import flat_logits
from stages.inference.transformers.proof import prove
from stages.inference.transformers.ragged import ATTENTION, Capture, Packed, Segment, register
from stages.inference.transformers.slot_cache import SlotCache


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Any:
    register()
    made = tiny(request.param)
    made.set_attn_implementation(ATTENTION)
    return made


def own(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Logits `[T, V]` of one sequence through the model's own attention."""
    model.set_attn_implementation("sdpa")
    with torch.no_grad():
        found: torch.Tensor = model(ids[None]).logits[0]
    model.set_attn_implementation(ATTENTION)
    return found


def tokens(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(2, 67, (count,), generator=torch.Generator().manual_seed(seed))


def test_a_packed_row_gives_each_sequence_its_own_logits(model: Any) -> None:
    """Two groups with a shared prompt each (9 and 3 tokens), completions of 1 to 30, and one alone."""
    segments: list[Segment] = []
    alone: list[tuple[list[int], Segment]] = []
    start = 0
    for prompt, completions in ((9, (1, 30, 7)), (3, (12, 2)), (21, ())):
        base = Segment(start, start + prompt)
        segments.append(base)
        alone.append((list(range(*base[:2])), base))
        start = base.stop
        for length in completions:
            segment = Segment(start, start + length, base.start, base.stop)
            segments.append(segment)
            alone.append(([*range(base.start, base.stop), *range(*segment[:2])], segment))
            start = segment.stop
    row = tokens(start)
    wanted = {
        segment: own(model, row[places])[-(segment.stop - segment.start) :] for places, segment in alone
    }
    layout = Packed(segments)
    with torch.no_grad():
        found = flat_logits(model, row, layout, layout.positions)
    for segment, logits in wanted.items():
        torch.testing.assert_close(found[segment.start : segment.stop], logits, rtol=1e-5, atol=1e-5)


def test_a_segment_too_long_for_a_bucket_attends_alone(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.inference.transformers.ragged.ALONE", 16)
    row = tokens(70)
    layout = Packed([Segment(0, 20), Segment(20, 50, 0, 20), Segment(50, 70)])
    with torch.no_grad():
        found = flat_logits(model, row, layout, layout.positions)
    torch.testing.assert_close(found[20:50], own(model, row[:50])[20:], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[50:], own(model, row[50:]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fixed", [0, 4])
def test_decoding_in_slots_gives_the_logits_of_the_whole_sequence(model: Any, fixed: int) -> None:
    """Three sequences join, leave, move and go back; each step's logits are those of a fresh pass."""
    cache = SlotCache(64, fixed_rows=fixed)
    texts = [tokens(n, seed=n).tolist() for n in (5, 17, 40)]
    for slot, text in enumerate(texts):
        layout = Packed([Segment(0, len(text))])
        capture = Capture(layout)
        with torch.no_grad():
            flat_logits(model, torch.tensor(text), capture, layout.positions)
        cache.put(slot, slot + 1, capture.layers, len(text))
    assert cache.places == 4  # few sequences do not take the memory of 64

    def step() -> None:
        new = random.Random(sum(map(len, texts))).choices(range(2, 67), k=len(texts))
        for text, token in zip(texts, new, strict=True):
            text.append(token)
        rows = slice(0, len(texts))
        positions = cache.step(rows)
        row = torch.tensor(new)
        if fixed:
            row, positions = (torch.nn.functional.pad(x, (0, fixed - len(new))) for x in (row, positions))
        with torch.no_grad():
            found = flat_logits(model, row, cache, positions)
        cache.advance(rows)
        for slot, text in enumerate(texts):
            wanted = own(model, torch.tensor(text))[-1]
            torch.testing.assert_close(found[slot], wanted, rtol=1e-5, atol=2e-5)

    for _ in range(3):
        step()
    cache.truncate(1, 12)  # back to its 12 first tokens: what came after is forgotten
    del texts[1][12:]
    step()
    cache.move([2], [0])  # the first one ends, the last takes its place
    texts[0] = texts.pop()
    for _ in range(26):  # past a capacity of 64
        step()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.lists(st.integers(1, 20), max_size=3)),
        min_size=1,
        max_size=4,
    )
)
def test_every_token_of_a_layout_comes_back_in_its_place(
    groups: list[tuple[int, list[int]]],
) -> None:
    """Values that name their token, and queries that see only themselves best: out comes what went in."""
    segments: list[Segment] = []
    start = 0
    for prompt, completions in groups:
        base = Segment(start, start + prompt)
        segments.append(base)
        start = base.stop
        for length in completions:
            segments.append(Segment(start, start + length, base.start, base.stop))
            start += length
    layout = Packed(segments)
    q = 100 * torch.nn.functional.one_hot(torch.arange(start)).float()[None]
    values = torch.arange(start).float()[None, :, None].expand(1, start, start)
    out = layout.attend(0, q, q, values, 1.0, None)
    assert out[0, :, 0].tolist() == pytest.approx(list(range(start)), abs=1e-3)
    for s in segments:
        offset = s.prefix_stop - s.prefix_start
        assert layout.positions[s.start : s.stop].tolist() == list(range(offset, offset + s.stop - s.start))


def test_one_sample_does_not_leak_into_another(model: Any) -> None:
    """Other tokens in one completion, and in the other group's prompt, change no bit of the rest."""
    segments = [Segment(0, 6), Segment(6, 14, 0, 6), Segment(14, 25, 0, 6), Segment(25, 33)]
    layout = Packed(segments)
    row = tokens(33)
    other = row.clone()
    other[6:14] = tokens(8, seed=9)
    other[25:] = tokens(8, seed=10)
    with torch.no_grad():
        one = flat_logits(model, row, layout, layout.positions)
        two = flat_logits(model, other, layout, layout.positions)
    assert torch.equal(one[:6], two[:6])
    assert torch.equal(one[14:25], two[14:25])
    assert not torch.allclose(one[6:14], two[6:14])


def test_a_model_that_computes_something_else_over_rows_takes_its_own_code() -> None:
    register()
    broken = tiny("llama")
    for layer in broken.model.layers:  # attends past its scale, which only its own attention is told
        forward = layer.self_attn.forward

        def twisted(*args: Any, layout: Any = None, _forward: Any = forward, **rest: Any) -> Any:
            out, seen = _forward(*args, layout=layout, **rest)
            return (out if layout is None else out * 1.1), seen

        layer.self_attn.forward = twisted
    prove(broken)
    assert not execution_of(broken).flat
    assert "logits differ" in execution_of(broken).note()
