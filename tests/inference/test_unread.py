"""A model laid out without its weights is the one that transformers loads, once they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models import KINDS, tiny
from safetensors.torch import load_file, save_file

from stages.checkpoints.unread import files_of
from stages.inference.transformers.model import load_model, load_unread
from stages.settings.groups import Engine

CPU = Engine(device="cpu", dtype="float32")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_model_that_is_loaded(kind: str, dtype: str, tmp_path: Path) -> None:
    """Tied weights, windows, buffers that are in no file; files in another type than the model's."""
    tiny(kind).to(getattr(torch, dtype)).save_pretrained(tmp_path, max_shard_size=20_000)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    loaded, found = load_model(str(tmp_path), CPU), load_unread(str(tmp_path), CPU)
    assert found is not None
    model, unread = found
    weights, wanted = dict(model.named_parameters()), dict(loaded.named_parameters())
    assert weights.keys() == wanted.keys()
    assert all(weight.isnan().all() for weight in weights.values()), "what is not read is no number"
    assert sum(weight.untyped_storage().nbytes() for weight in weights.values()) == 4 * len(weights)
    assert all(torch.equal(unread.read(weight), wanted[name]) for name, weight in weights.items())
    kept = dict(loaded.named_buffers())
    assert all(torch.equal(buffer, kept[name]) for name, buffer in model.named_buffers())
    ways = [(e.flat, e.head, e.border, e.why) for e in (model.r1_execution, loaded.r1_execution)]
    assert ways[0] == ways[1]
    ids = torch.arange(7)[None]
    for each in (model, loaded):
        each.set_attn_implementation("eager")
    with unread.filled(model.parameters()):
        assert torch.equal(model(ids).logits, loaded(ids).logits)


def test_joined_experts_are_loaded_whole(tmp_path: Path) -> None:
    """transformers makes one weight of the tensors of all experts, which no file has."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    sizes = {"vocab_size": 67, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    config = Qwen3MoeConfig(**sizes, **heads, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16)
    Qwen3MoeForCausalLM(config).save_pretrained(tmp_path)
    assert load_unread(str(tmp_path), CPU) is None


@pytest.mark.parametrize("same", [True, False])
def test_weights_that_the_files_have_twice_are_tied_where_they_are_the_same(
    same: bool, tmp_path: Path
) -> None:
    tiny("qwen3").save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    held = load_file(path)
    held["lm_head.weight"] = held["model.embed_tokens.weight"] + (0.0 if same else 1.0)
    save_file(held, path, metadata={"format": "pt"})
    loaded, found = load_model(str(tmp_path), CPU), load_unread(str(tmp_path), CPU)
    assert found is not None
    for each in (loaded, found[0]):
        assert (each.lm_head.weight is each.model.embed_tokens.weight) is same
    assert found[0].all_tied_weights_keys == loaded.all_tied_weights_keys
    wanted = dict(loaded.named_parameters())
    assert all(torch.equal(found[1].read(w), wanted[name]) for name, w in found[0].named_parameters())


def test_of_a_hubs_model_all_files_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its configuration comes before its weights: what is read first must not look like the whole."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--someone--small" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (tmp_path / "models--someone--small" / "refs").mkdir()
    (tmp_path / "models--someone--small" / "refs" / "main").write_text("abc")
    assert files_of("someone/small") == []
    (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}'
    )
    (folder / "1.safetensors").touch()
    assert files_of("someone/small") == []
    (folder / "2.safetensors").touch()
    assert files_of("someone/small") == [folder / "1.safetensors", folder / "2.safetensors"]
