"""Texts to token ids, and token ids to text, as a checkpoint's tokenizer has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.checkpoints.contents import check_files, check_vocabulary
from stages.checkpoints.files_in_use import unchanged
from stages.checkpoints.loading import hide_unneeded, loading
from stages.checkpoints.remote_code import refuse_code
from stages.checkpoints.template import chat_template_of
from stages.inference import marks
from stages.records.record import digest
from stages.runtime.errors import BadInput, R1Error

CHARACTER = 4  # tokens that a character may take: a byte each
BROKEN = "\ufffd"  # what a piece of a character shows
BESIDE = ("\n", "a")  # texts to put before another one, where it is tokenised in their company


def load_tokenizer(model: str, trust: bool | None = None, adapter: Path | None = None) -> Any:
    """The tokenizer of a checkpoint directory or hub name; `trust` as in `Engine.trust_remote_code`.

    Its chat template is that of the LoRA `adapter` where that brings one along: it was trained under it.
    """
    hide_unneeded()
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoTokenizer

    file = Path(model) / "tokenizer.json"
    with unchanged(model):
        check_files(model)
        check_vocabulary(Path(model), trusted=bool(trust))
        refuse_code(model, trust)
        try:
            with loading(model, "the tokenizer of ", "tokenizer_config.json", trust=trust):
                made = AutoTokenizer.from_pretrained(model, trust_remote_code=bool(trust))
                # What its settings make impossible shows here.
                made.decode(made("1 + 1")["input_ids"])
                if adapter is not None and (own := chat_template_of(adapter)) is not None:
                    made.chat_template = own
                return made
        except BadInput:  # it may be the fault of another file
            with loading(model, trust=trust):
                AutoConfig.from_pretrained(model, trust_remote_code=bool(trust))
            with loading(model, "the tokenizer of ", file.name):
                if file.is_file():
                    Tokenizer.from_file(str(file))
            raise


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text and no others."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def opening(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text that begins a sequence: as the tokenizer begins each, unless the text does."""
    ids = plain_ids(tokenizer, text)
    whole: list[int] = tokenizer(text)["input_ids"]
    extra = len(whole) - len(ids)
    if not ids:
        return [token for token in whole if token == tokenizer.bos_token_id]
    if extra <= 0:
        return ids
    before = next((n for n in range(extra + 1) if whole[n : n + len(ids)] == ids), 0)
    begin = whole[:before]
    return ids if ids[: len(begin)] == begin else begin + ids


def following(
    tokenizer: Any, ids: list[int], text: str, said: str, *, given: bool = False
) -> tuple[list[int], bool]:
    """The tokens of `said` after a `text` whose tokens are `ids`, and whether they say it again.

    They are those of `said` alone where these decode to it. Else, where a tokenizer begins each text with a
    space or strips one, those that it has in the company of what stands before. With `given`, for a text that
    a template wrote as a whole, the company comes first, and white space beside its marks need not come back.
    """
    if not said:
        return [], True
    context = text[marks.marks_of(tokenizer).last(text) :]
    ways = [(context, ids), ("", ids)] if given else [("", ids), (context, ids)]
    near: list[list[int]] = []
    for before, known in [*ways, *((beside, []) for beside in BESIDE)]:
        found = _after(tokenizer, before, known, said)
        if found is None:
            continue
        again = decode(tokenizer, ids, found)
        if again == said or (given and _bare(again) == _bare(said)):
            return found, True
        near.append(found) if before != context else near.insert(0, found)
    return near[0], False


def _bare(text: str) -> str:
    return "".join(text.split())


def _after(tokenizer: Any, before: str, known: list[int], said: str) -> list[int] | None:
    """The tokens of `said` after `before`; None where they share one, or `before` has not those `known`."""
    if not before:
        return plain_ids(tokenizer, said)
    first = plain_ids(tokenizer, before)
    if known and known[-len(first) :] != first:
        return None
    both = plain_ids(tokenizer, before + said)
    return both[len(first) :] if both[: len(first)] == first else None


def refuse_unknown(tokenizer: Any, ids: list[int], vocabulary: int, place: str) -> None:
    """Raises BadInput for a token that a model of so many has no embedding of."""
    largest = max(ids, default=0)
    if largest >= vocabulary:
        raise BadInput(
            f"has token {largest} ({tokenizer.decode([largest])!r}), and the model has embeddings of "
            f"{vocabulary}",
            place=place,
            remedy="its tokenizer was extended and its weights were not: resize_token_embeddings, or leave "
            "the token out",
        )


def decode(tokenizer: Any, prompt_ids: list[int], ids: list[int]) -> str:
    """What `ids` say after `prompt_ids`."""
    # Decoded after the prompt's last character: some tokenizers drop a leading space otherwise, and show no
    # character of a row of bytes that begins within one.
    context = prompt_ids[-1:]
    before: str = tokenizer.decode(context)
    for count in range(2, CHARACTER + 1):
        if BROKEN not in before:
            break
        context = prompt_ids[-count:]
        before = tokenizer.decode(context)
    text: str = tokenizer.decode(context + ids)
    return text[len(before) :] if text.startswith(before) else str(tokenizer.decode(ids))


def fingerprint_of(tokenizer: Any) -> str:
    """Names the tokens: equal fingerprint, and each id stands for the same text."""
    return digest(sorted(tokenizer.get_vocab().items()))


def end_ids(tokenizer: Any, named: int | list[int] | None) -> frozenset[int]:
    """Tokens that end a completion: of the model's generation settings, its tokenizer, its chat template."""
    listed: list[Any] = named if isinstance(named, list) else [named]
    if not all(token is None or type(token) is int for token in listed):
        raise BadInput(
            f"eos_token_id is {named!r}",
            place=f"{tokenizer.name_or_path}: generation_config.json",
            remedy="it is the number of a token, or a list of such",
        )
    ends = frozenset({*listed, tokenizer.eos_token_id, marks.turn_end(tokenizer)} - {None})
    if not ends:
        raise R1Error("the model names no end-of-text token; set eos_token in its tokenizer")
    return ends


def named_ends(model: str, trust: bool | None = None) -> int | list[int] | None:
    """The end tokens of the model's generation settings, which it has in a file or in its config."""
    from transformers import AutoConfig, GenerationConfig

    with loading(model, "the settings of ", "generation_config.json", trust=trust):
        try:
            settings = GenerationConfig.from_pretrained(model)
        except OSError:
            if (Path(model) / "generation_config.json").is_file():
                raise  # it is there, and cannot be read
            config = AutoConfig.from_pretrained(model, trust_remote_code=bool(trust))
            settings = GenerationConfig.from_model_config(config)
    named: int | list[int] | None = settings.eos_token_id
    return named
