"""Architectures of transformers in small, through sampler and trainer, against transformers alone.

The whole sweep is `python tests/architectures.py`; its table stands in docs/models.md.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import architectures
import pytest
import torch
from architectures import LONGROPE, ORIGINAL, Letters, hold, small

from stages.checkpoints.loading import loading
from stages.inference.interface import Completion, Request
from stages.inference.transformers import proof, reduced
from stages.inference.transformers.backend import TransformersBackend
from stages.inference.transformers.execution import Packing, execution_of, packing
from stages.inference.transformers.flat import FlatSlots
from stages.inference.transformers.longrope import border
from stages.inference.transformers.model import load_model
from stages.inference.transformers.ragged import register
from stages.records.templates import Rendered
from stages.runtime.errors import BadInput, Unavailable
from stages.settings.groups import Engine, Lora, Sampling
from stages.training.policy import Policy
from stages.training.rows import Sample, packs, rows

CPU = Engine(device="cpu", threads=1)
# One for each thing that tells models apart: windows, two ranges of positions, compressed keys, capped and
# sunk attention, experts, no rotary positions, recurrent layers beside attention and alone, a mask of its
# own.
PART = (
    "qwen3", "mistral", "phi3:longrope", "deepseek_v3", "gemma2", "gpt_oss", "qwen2_moe", "bloom",
    "lfm2", "qwen3_next", "mamba", "diffllama",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["phi3:longrope", "gemma2"])
def test_two_kinds_are_right(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "DECODED", 40)
    verdict = hold(kind)
    assert verdict.state == "right", verdict


@pytest.mark.full
@pytest.mark.parametrize("kind", PART)
def test_a_kind_of_each_is_right(kind: str) -> None:
    verdict = hold(kind)
    assert verdict.state == "right", verdict


def loaded(kind: str) -> Any:
    register()
    model = small(kind)
    proof.prove(model)
    return model


@pytest.mark.parametrize("kind", ["llama", "mistral", "phi3:longrope", "deepseek_v3"])
def test_these_run_over_flat_rows(kind: str) -> None:
    assert execution_of(loaded(kind)).flat


def test_windows_and_borders_are_as_they_were_after_the_check() -> None:
    model = loaded("phi3:longrope")
    assert border(model) == model.config.original_max_position_embeddings == ORIGINAL
    assert LONGROPE["original_max_position_embeddings"] == ORIGINAL
    assert loaded("mistral").config.sliding_window == architectures.WINDOW


def test_a_large_model_is_checked_by_its_first_layers_and_stays_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reduced, "FEW", 0)
    model = loaded("qwen3")
    assert execution_of(model).flat
    assert len(model.model.layers) == model.config.num_hidden_layers == 4


def test_a_window_that_only_the_models_own_code_knows_is_seen() -> None:
    """A model whose layers attend in a window by their mask and do not tell the attention of it."""
    register()
    model = small("mistral")
    for layer in model.model.layers:
        forward = layer.self_attn.forward

        def silent(*args: Any, _forward: Callable[..., Any] = forward, **rest: Any) -> Any:
            if rest.get("layout") is not None:
                layout = rest["layout"]
                attend = layout.attend
                rest["layout"] = _Blind(layout, attend)
            return _forward(*args, **rest)

        layer.self_attn.forward = silent
    proof.prove(model)
    assert not execution_of(model).flat


class _Blind:
    def __init__(self, layout: Any, attend: Callable[..., Any]) -> None:
        self.layout, self._attend = layout, attend

    def attend(self, layer: int, q: Any, k: Any, v: Any, scale: float, _: int | None) -> Any:
        return self._attend(layer, q, k, v, scale, None)


def test_what_sees_later_tokens_is_refused() -> None:
    register()
    model = small("bert")
    model.config.is_decoder = False
    with pytest.raises(Unavailable, match="later ones"):
        proof.prove(model)


def sampled(backend: TransformersBackend, sampling: Sampling, n: int = 2) -> list[Completion]:
    prompts = ["5 6 7 8", " ".join(map(str, range(10, 30)))]
    seeds = tuple(range(n))
    requests = [Request(i, Rendered(p, (), "", ()), seeds, seeds) for i, p in enumerate(prompts)]
    made = [c for c in backend.generate(requests, sampling) if c is not None]
    return sorted(made, key=lambda c: (c.key, c.sample))


@pytest.mark.parametrize("kind", ["mamba", "gpt_oss"])
def test_by_its_own_code_slots_change_nothing(kind: str) -> None:
    """Sequences of several lengths that wait, end and take each other's places, against one at a time."""
    model = loaded(kind)
    sampling = Sampling(max_tokens=25, temperature=1.3)
    one = TransformersBackend(model, Letters(), Engine(device="cpu", threads=1, batch_size=1))
    three = TransformersBackend(model, Letters(), Engine(device="cpu", threads=1, batch_size=3))
    for alone, beside in zip(sampled(one, sampling, 4), sampled(three, sampling, 4), strict=True):
        assert alone.completion_ids == beside.completion_ids
        assert alone.logprobs == pytest.approx(beside.logprobs, abs=1e-4)


def test_a_sequence_that_goes_back_over_the_border_is_computed_as_a_short_one() -> None:
    model = loaded("phi3:longrope")
    text = [(i * 31 + 7) % 90 + 2 for i in range(ORIGINAL + 6)]
    slots = FlatSlots(model, 1, border=border(model))

    class Text:
        prompt_ids, ids = text[: ORIGINAL - 2], list[int]()

    with torch.no_grad():
        [prompt] = slots.prefill([Text.prompt_ids])
        slots.put(0, 1, prompt)
        for token in text[ORIGINAL - 2 :]:
            Text.ids.append(token)
            slots.decode([Text])
        slots.truncate(0, ORIGINAL - 1)
        del Text.ids[1:]
        Text.ids.append(9)
        [found] = slots.decode([Text])
        model.set_attn_implementation("eager")
        wanted = model(torch.tensor([[*text[: ORIGINAL - 1], 9]])).logits[0, -1]
    torch.testing.assert_close(found[0], wanted, rtol=1e-4, atol=1e-4)


def test_a_copy_of_a_model_turns_by_its_own_factors() -> None:
    model = loaded("phi3:longrope")
    other = copy.deepcopy(model)
    one, two = (TransformersBackend(m, Letters(), CPU) for m in (model, other))
    greedy = Sampling(max_tokens=50, temperature=0)
    assert [c.completion_ids for c in sampled(one, greedy)] == [
        c.completion_ids for c in sampled(two, greedy)
    ]


def test_rows_hold_what_the_model_can_compute_side_by_side() -> None:
    samples = [Sample([1] * 5, [2] * n, [1.0] * n, group="a") for n in (3, 40, 4)]
    assert len(list(packs(samples, 1000))) == 1
    assert len(list(packs(samples, 1000, Packing(border=ORIGINAL)))) == 3
    assert len(list(packs(samples, 1000, Packing(alone=True)))) == 3


@pytest.mark.parametrize("flat", [True, False])
def test_a_completion_over_the_border_is_trained_as_it_was_drawn(flat: bool, tmp_path: Path) -> None:
    """One whose prompt ends just before the border, at it, and far from it, by both ways of computing."""
    small("phi3:longrope").save_pretrained(tmp_path / "phi")
    policy = Policy(str(tmp_path / "phi"), CPU, Lora())
    if not flat:
        policy.unwrapped.r1_execution = replace(execution_of(policy.unwrapped), flat=False, attention="eager")
        policy.unwrapped.set_attn_implementation("eager")
    backend = TransformersBackend(policy.unwrapped, Letters(), CPU)
    prompts = [list(range(5, 5 + n)) for n in (ORIGINAL - 1, ORIGINAL, ORIGINAL - 12, ORIGINAL + 1)]
    requests = [
        Request(i, Rendered(" ".join(map(str, p)), (), "", ()), (0, 1), (i, i + 9))
        for i, p in enumerate(prompts)
    ]
    made = [c for c in backend.generate(requests, Sampling(max_tokens=20)) if c]
    made += [  # as if cut where the whole is one token longer than the border
        replace(c, completion_ids=c.completion_ids[:13], logprobs=c.logprobs[:13])
        for c in made
        if len(c.prompt_ids) == ORIGINAL - 12
    ]
    samples = [
        Sample(c.prompt_ids, c.completion_ids, [1.0] * len(c.completion_ids), 0.0,
               [p or 0.0 for p in c.logprobs], group=str(c.key))
        for c in made
    ]  # fmt: skip
    for drawn in (True, False):
        gap = 0.0
        for row in rows(samples, 200, packing=packing([policy.unwrapped], drawn=drawn)):
            logp, _ = policy.logprobs(row)
            assert row.old_logp is not None
            gap = max(gap, float((logp - row.old_logp).detach().abs().max()))
        assert (gap < 1e-4) == drawn, "as one long sequence the first tokens are others"


def test_a_row_is_as_long_as_its_limit_says_with_completions_over_the_border() -> None:
    samples = [Sample([1] * 30, [2] * n, [1.0] * n, group="a") for n in (3, 20, 25, 4)]
    kind = Packing(border=ORIGINAL, drawn=True)
    for row in rows(samples, 150, packing=kind):
        assert len(row.ids) <= 150
        assert len(row.predict) == len(row.targets)
    (row,) = rows(samples, 1000, packing=kind)
    # The prompt once for each side; of what comes over the border ten tokens as a short sequence too.
    assert len(row.ids) == 2 * 30 + 3 + (10 + 20) + (10 + 25) + 4


@pytest.mark.parametrize("kind", ["qwen4_exp_text:ranked", "minimax_m3_vl_text:ranked", "doge:ranked"])
def test_a_choice_by_rank_limits_the_sequences(kind: str) -> None:
    assert proof._ranked(small(kind).config) == [64]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("musicgen", "several parts"),
        ("emu3", "part for text"),
        ("gemma4_assistant", "cannot compute"),
    ],
)
def test_what_cannot_be_text_alone_is_refused_with_the_reason(kind: str, why: str) -> None:
    verdict = hold(kind)
    assert verdict.state == "refused", verdict
    assert why in verdict.said


def test_a_library_that_is_missing_is_named_with_its_command() -> None:
    with (
        pytest.raises(Unavailable, match=r"timm library.*; pip install timm$"),
        loading("some/model"),
    ):
        raise ImportError(
            "\nA requires the timm library but it was not found. You can install it with pip:\n`pip install "
            "timm`. Please"
        )


def test_a_biased_output_layer_is_learned(tmp_path: Path) -> None:
    small("phi").save_pretrained(tmp_path / "phi")
    policy = Policy(str(tmp_path / "phi"), CPU, Lora())
    verdict = hold("phi")
    assert not execution_of(policy.unwrapped).head
    assert verdict.state == "right", verdict


def test_a_token_without_an_embedding_is_named() -> None:
    backend = TransformersBackend(loaded("llama"), Letters(), CPU)
    with pytest.raises(BadInput, match=r"token 1234 .*embeddings of 99"):
        backend.encode(Rendered("5 1234", (), "", ()))


def test_a_model_for_images_is_refused_with_what_to_do(tmp_path: Path) -> None:
    from transformers import Qwen2_5_VLConfig

    Qwen2_5_VLConfig(text_config={"num_hidden_layers": 2, "max_window_layers": 2}).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    with pytest.raises(Unavailable, match=r"qwen2_5_vl.*--backend vllm"):
        load_model(str(tmp_path), CPU)
