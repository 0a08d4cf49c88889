"""Weights in half precision: how the model is executed is found in float32, its logits are float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from models import KINDS, smollm2, tiny

from stages.inference.transformers import proof, ragged, reduced
from stages.inference.transformers.execution import execution_of
from stages.inference.transformers.flat import flat_logits
from stages.inference.transformers.model import load_model
from stages.inference.transformers.ragged import Packed, Segment, register
from stages.objectives.products import widen
from stages.runtime.errors import Unavailable
from stages.settings.groups import Engine

HALVES = (torch.bfloat16, torch.float16)


def proved(model: Any) -> Any:
    register()
    widen(model)
    proof.prove(model)
    return model


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_over_flat_rows_as_in_float32(kind: str, dtype: torch.dtype) -> None:
    execution = execution_of(proved(tiny(kind).to(dtype)))
    assert execution.flat
    assert execution.error < 1e-4


@pytest.mark.parametrize("dtype", HALVES)
def test_its_weights_are_as_they_were_after_the_check(dtype: torch.dtype) -> None:
    model = tiny("qwen3").to(dtype)  # ties its output layer to its embeddings
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    proved(model)
    after = model.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert {weight.dtype for weight in after.values()} == {dtype}
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_where_memory_is_short_it_is_checked_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama").bfloat16()
    taken = 0
    widened = torch.Tensor.float

    def scarce(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal taken
        taken += 1
        if taken > 3:
            raise torch.OutOfMemoryError
        return widened(tensor)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "float", scarce)
        held = reduced.in_float32(model)
        held.__enter__()
    assert taken > 3
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    held.__exit__(None, None, None)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}


def test_rows_that_fail_in_half_precision_alone_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    attend = ragged.Packed.attend

    def choosy(self: Packed, layer: int, q: torch.Tensor, *rest: Any) -> torch.Tensor:
        if q.dtype != torch.float32:
            raise RuntimeError("expected scalar type Float")
        return attend(self, layer, q, *rest)

    monkeypatch.setattr(ragged.Packed, "attend", choosy)
    assert execution_of(proved(tiny("llama"))).flat
    execution = execution_of(proved(tiny("llama").bfloat16()))
    assert not execution.flat
    assert "RuntimeError in its code" in execution.note()


def test_code_for_half_precision_alone_is_checked_as_it_is() -> None:
    model = tiny("llama").bfloat16()
    forward = model.model.forward

    def choosy(*args: Any, **given: Any) -> Any:
        if model.dtype == torch.float32:
            raise RuntimeError("expected scalar type BFloat16")
        return forward(*args, **given)

    model.model.forward = choosy
    assert execution_of(proved(model)).flat
    with pytest.raises(Unavailable, match="cannot compute text with it: RuntimeError"):
        proved(model.float())


@pytest.mark.parametrize("dtype", HALVES)
def test_its_logits_are_those_of_its_last_states_in_float64(dtype: torch.dtype) -> None:
    model = proved(tiny("llama").to(dtype))
    row, layout = torch.arange(2, 14), Packed([Segment(0, 12)])
    states = []
    model.lm_head.register_forward_pre_hook(lambda _, given: states.append(given[0]))
    with torch.no_grad():
        logits = flat_logits(model, row, layout, layout.positions)
    assert states[0].dtype == dtype
    assert logits.dtype == torch.float32
    wanted = states[0][0].double() @ model.lm_head.weight.double().T
    torch.testing.assert_close(logits.double(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_real_model_of_thirty_layers_runs_over_flat_rows(dtype: Any) -> None:
    """Between two right ways its logits differ by 13 % of their size in bfloat16."""
    execution = execution_of(load_model(str(smollm2()), Engine(device="cpu", dtype=dtype)))
    assert execution.flat
    assert execution.error < 1e-4
