"""A small model in a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

WIDTH, HEADS, LAYERS = 32, 2, 1
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def small_gguf(path: Path, *, output: bool = False, letters: int = 256) -> dict[str, Any]:
    """A Llama of one layer in GGUF, with a byte-level tokenizer that merges two digits after a space.

    With fewer `letters` it knows only the first and what it merges, and is read the faster.
    """
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    alphabet = [*alphabet[:letters], *("Ġ" if letters < 256 else "")]
    merges = ["Ġ 1", "Ġ Ġ"]
    tokens = [*SPECIAL, *alphabet, "Ġ1", "ĠĠ"]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("small")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}")
    rng = numpy.random.default_rng(0)

    def matrix(*shape: int) -> Any:
        return rng.normal(0, 0.1, shape).astype(numpy.float32)

    weights = {
        "token_embd.weight": matrix(len(tokens), WIDTH),
        "output_norm.weight": numpy.ones(WIDTH, numpy.float32),
        "blk.0.attn_norm.weight": numpy.ones(WIDTH, numpy.float32),
        "blk.0.ffn_norm.weight": numpy.ones(WIDTH, numpy.float32),
        **{f"blk.0.attn_{name}.weight": matrix(WIDTH, WIDTH) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate.weight": matrix(2 * WIDTH, WIDTH),
        "blk.0.ffn_up.weight": matrix(2 * WIDTH, WIDTH),
        "blk.0.ffn_down.weight": matrix(WIDTH, 2 * WIDTH),
    }
    if output:
        weights["output.weight"] = matrix(len(tokens), WIDTH)
    for name, tensor in weights.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights
