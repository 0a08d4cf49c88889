"""Make a fresh small model with its tokenizer, for work from scratch.

The model is a Llama of the given size with random weights; the tokenizer has one token for each
character of `--alphabet`, one for each word of `--words`, and an end of text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from stages.data.checkpoint import Checkpoint, appearing, refuse_existing, write_manifest
from stages.data.errors import UsageError
from stages.data.options import Doc, Flag
from stages.data.report import SILENT, Report

EXAMPLES = (
    "r1 init -o ckpt/tiny",
    "r1 init -o ckpt/small --hidden 192 --layers 6 --heads 6 --context 1024 --seed 1",
)

ASCII = "".join(map(chr, range(32, 127))) + "\n"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")


def run(
    *,
    out: Annotated[Path, Doc("The directory to make."), Flag("-o", "--out")],
    hidden: Annotated[int, Doc("Width of the model.")] = 160,
    layers: Annotated[int, Doc("Transformer blocks.")] = 4,
    heads: Annotated[int, Doc("Attention heads.")] = 4,
    kv_heads: Annotated[int, Doc("Key-value heads; 0 takes as many as heads.")] = 0,
    context: Annotated[int, Doc("Longest sequence in tokens.")] = 512,
    alphabet: Annotated[str, Doc("Characters beyond printable ASCII.")] = "",
    words: Annotated[tuple[str, ...], Doc("Texts that are one token each. Repeatable.")] = TAGS,
    seed: Annotated[int, Doc("Of the random weights.")] = 0,
    report: Report = SILENT,
) -> Checkpoint:
    """Writes the checkpoint. Raises UsageError for sizes that do not fit together."""
    if hidden % heads or (hidden // heads) % 2:
        raise UsageError(f"--hidden {hidden} must be an even multiple of --heads {heads}")
    if kv_heads and heads % kv_heads:
        raise UsageError(f"--heads {heads} must be a multiple of --kv-heads {kv_heads}")
    refuse_existing(out)
    import torch

    from stages.inference.loading import hide_broken_media

    hide_broken_media()
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()

    tokenizer = character_tokenizer("".join(dict.fromkeys(ASCII + alphabet)), words)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=-(-hidden * 8 // 3 // 32) * 32,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads or heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.02,
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    size = sum(p.numel() for p in model.parameters())
    with appearing(out) as directory:
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        manifest = write_manifest(
            directory,
            stage="init",
            options={"hidden": hidden, "layers": layers, "heads": heads, "kv_heads": kv_heads}
            | {"context": context, "alphabet": alphabet, "words": list(words), "seed": seed},
            parent=None,
            inputs={},
            metrics={"parameters": size},
        )
    report.summary(f"{size:,} parameters, {len(tokenizer)} tokens")
    return Checkpoint(out, manifest)


def character_tokenizer(alphabet: str, words: tuple[str, ...]):  # type: ignore[no-untyped-def]
    """A tokenizer with one token a character; `words` and the end of text are one token each."""
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    special = ["<|end|>", "<|pad|>", "<|unknown|>"]
    vocabulary = {text: index for index, text in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<|unknown|>"))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in special])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in words if text])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        unk_token="<|unknown|>",
        clean_up_tokenization_spaces=False,
    )
