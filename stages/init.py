"""Make a fresh small model with its tokenizer, for work from scratch.

The model is a Llama of the given size with random weights; the tokenizer has one token for each
character of `--alphabet`, one for each word of `--words`, and an end of text. `--words-of` finds both in
the records that the model will learn from.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from stages.checkpoints.checkpoint import Checkpoint, appearing, completed, write_manifest
from stages.formats.tables import read_rows
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.options import Doc, Flag, Incidental, Range, binding

EXAMPLES = (
    "r1 init -o ckpt/tiny",
    "r1 init -o ckpt/words --words-of corpus.jsonl",
    "r1 init -o ckpt/small --hidden 192 --layers 6 --heads 6 --context 1024 --seed 1",
)

ASCII = "".join(map(chr, range(32, 127))) + "\n"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
WORD = re.compile(r" ?(?:[A-Za-z]{2,}|\d{2,}|(?<= )[A-Za-z\d])")
COMMON = 10  # times that a word stands in the records of --words-of to be one token


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The size of the model, its tokenizer and its seed."""

    out: Annotated[Path, Doc("The directory to make."), Flag("-o", "--out"), Incidental()]
    hidden: Annotated[int, Doc("Width of the model."), Range(2, 65536)] = 160
    layers: Annotated[int, Doc("Transformer blocks."), Range(1, 1024)] = 4
    heads: Annotated[int, Doc("Attention heads."), Range(1, 1024)] = 4
    kv_heads: Annotated[int, Doc("Key-value heads; 0 takes as many as heads."), Range(0, 1024)] = 0
    context: Annotated[int, Doc("Longest sequence in tokens."), Range(2, 2**24)] = 512
    alphabet: Annotated[str, Doc("Characters beyond printable ASCII.")] = ""
    words: Annotated[tuple[str, ...], Doc("Texts that are one token each. Repeatable.")] = TAGS
    words_of: Annotated[
        Path | None,
        Doc(f"Records whose words and numbers are one token each: those that stand there {COMMON} times."),
        Flag("--words-of", metavar="FILE"),
    ] = None
    seed: Annotated[int, Doc("Of the random weights."), Range(low=0)] = 0


def run(
    settings: Settings,
    *,
    resume: bool = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Writes the checkpoint. Raises UsageError for sizes that do not fit together."""
    _check(settings)
    settings = _with_words(settings)
    _check(settings)
    options = binding(settings)
    done = completed(settings.out, "init", options=options, resume=resume)
    if done is not None:
        report.summary(f"{settings.out} is complete already")
        return done
    from stages.checkpoints.loading import hide_unneeded

    hide_unneeded()
    from transformers.utils import logging

    logging.disable_progress_bar()
    letters = "".join(dict.fromkeys(ASCII + settings.alphabet))
    tokenizer = character_tokenizer(letters, settings.words)
    model = _model(settings, tokenizer)
    size = sum(p.numel() for p in model.parameters())
    with appearing(settings.out) as directory:
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        manifest = write_manifest(
            directory, stage="init", options=options, parent=None, inputs={}, metrics={"parameters": size}
        )
    report.summary(f"{size:,} parameters, {len(tokenizer)} tokens")
    return Checkpoint(settings.out, manifest)


def _with_words(settings: Settings) -> Settings:
    """The settings with the words and letters of the records of `words_of`, which they name no more.

    Raises UsageError where no record has a text, BadInput and StreamError for a file that cannot be read.
    """
    if settings.words_of is None:
        return settings
    words: Counter[str] = Counter()
    letters: set[str] = set()
    for record in read_rows(str(settings.words_of)):
        for text in _texts([record.get(field) for field in ("prompt", "completion", "messages")]):
            words.update(WORD.findall(text))
            letters.update(text)
    if not letters:
        raise UsageError(f"--words-of {settings.words_of}: no record has a prompt, completion or messages")
    common = sorted(word for word, count in words.items() if count >= COMMON)
    return replace(
        settings,
        words=tuple(dict.fromkeys([*settings.words, *common])),
        alphabet="".join(dict.fromkeys([*settings.alphabet, *sorted(letters - set(ASCII))])),
        words_of=None,
    )


def _texts(value: Any) -> Iterator[str]:
    """The texts of a prompt or completion, which may be turns."""
    if isinstance(value, str):
        yield value
    for part in value if isinstance(value, list) else ():
        yield from _texts([*part.values()] if isinstance(part, dict) else part)


def _check(settings: Settings) -> None:
    hidden, layers, heads, kv_heads = settings.hidden, settings.layers, settings.heads, settings.kv_heads
    if hidden % heads or (hidden // heads) % 2:
        raise UsageError(f"--hidden {hidden} must be an even multiple of --heads {heads}")
    if kv_heads and heads % kv_heads:
        raise UsageError(f"--heads {heads} must be a multiple of --kv-heads {kv_heads}")
    for option, texts in (("--alphabet", [settings.alphabet]), ("--words", settings.words)):
        for text in texts:
            if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise UsageError(f"{option}: {text!r} is not UTF-8")
    size = layers * (4 * hidden * hidden + 3 * hidden * _inner(hidden)) * 4
    if size > (memory := os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")):
        raise UsageError(
            f"--hidden {hidden} --layers {layers}: a model of {size >> 30} GiB, and this machine has "
            f"{memory >> 30}"
        )


def _inner(hidden: int) -> int:
    """Width of the feed-forward layers."""
    return -(-hidden * 8 // 3 // 32) * 32


def _model(settings: Settings, tokenizer: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=_inner(settings.hidden),
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads or settings.heads,
        max_position_embeddings=settings.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.02,
    )
    torch.manual_seed(settings.seed)
    return LlamaForCausalLM(config)


def character_tokenizer(alphabet: str, words: tuple[str, ...]) -> Any:
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
