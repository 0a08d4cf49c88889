"""A GGUF file becomes a checkpoint that computes the same and can be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf_file import small_gguf

from stages.checkpoints.checkpoint import Checkpoint
from stages.convert import Sharing, run
from stages.runtime.errors import BadInput, StreamError, UsageError


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("gguf")
    weights = small_gguf(folder / "small.gguf")
    return run(folder / "small.gguf", out=folder / "small"), weights


def test_the_weights_are_those_of_the_file(converted: tuple[Checkpoint, dict[str, Any]]) -> None:
    from safetensors.numpy import load_file

    made, weights = converted
    found = load_file(made.path / "model.safetensors")
    assert (found["model.embed_tokens.weight"] == weights["token_embd.weight"]).all()
    name = "model.layers.0.mlp.down_proj.weight"
    assert (found[name] == weights["blk.0.ffn_down.weight"]).all()
    assert "lm_head.weight" not in found


def test_what_was_converted_loads_as_it_is(converted: tuple[Checkpoint, dict[str, Any]]) -> None:
    import json

    from transformers import AutoModelForCausalLM

    made, _ = converted
    model = AutoModelForCausalLM.from_pretrained(made.path)
    configuration = json.loads((made.path / "config.json").read_text())
    assert "quantization_config" not in configuration
    assert (model.config.eos_token_id, model.generation_config.eos_token_id) == (2, 2)
    assert model.config.pad_token_id == 0
    model(input_ids=model.dummy_inputs["input_ids"]).logits.sum().backward()
    assert made.manifest["stage"] == "convert"
    assert made.manifest["inputs"]["pre_tokenizer"] == "smollm"


def test_digits_are_cut_one_by_one(converted: tuple[Checkpoint, dict[str, Any]]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(converted[0].path)
    # The file has a merge for it, which the loader's own splitting would use.
    assert tokenizer.tokenize("a  11") == ["a", "ĠĠ", "1", "1"]
    for text in ("a  11", " 3.14\n\t1", "é漢 1"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_padding_is_neither_the_end_nor_in_the_chat(
    converted: tuple[Checkpoint, dict[str, Any]],
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(converted[0].path)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert tokenizer.chat_template


def test_separate_output_weights_can_be_tied_again(tmp_path: Path) -> None:
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM

    small_gguf(tmp_path / "two.gguf", output=True)
    run(tmp_path / "two.gguf", out=tmp_path / "apart")
    assert "lm_head.weight" in load_file(tmp_path / "apart" / "model.safetensors")
    run(tmp_path / "two.gguf", out=tmp_path / "tied", tie=True, dtype="bfloat16")
    run(tmp_path / "two.gguf", out=tmp_path / "parts", sharing=Sharing(shard_size=3e-5))
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tied")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert str(model.dtype) == "torch.bfloat16"


def test_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadInput, match="no GGUF file"):
        run(tmp_path / "a.gguf", out=tmp_path / "out")
    with pytest.raises(StreamError, match="cannot read"):
        run(tmp_path / "none.gguf", out=tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists"):
        run(tmp_path / "a.gguf", out=tmp_path / "out")


@pytest.mark.full
def test_smollm2_reads_and_speaks_as_it_should(smollm2: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 0)
    text = "What is  12345 plus 7?\n\tx = 3.14 é 漢字"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.tokenize("a 12345") == ["a", "Ġ", "1", "2", "3", "4", "5"]

    def said(question: str) -> str:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.no_grad():
            made = model.generate(**prompt, max_new_tokens=60, do_sample=False)
        answer: str = tokenizer.decode(made[0][prompt["input_ids"].shape[1] :])
        return answer

    assert said("What is the capital of France?") == "The capital of France is Paris.<|im_end|>"
    assert "7 and 5" in said("What is 7 plus 5?")
