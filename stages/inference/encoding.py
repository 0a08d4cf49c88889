"""Prompts to token ids, and token ids to text: one way for every backend that is given ids."""

from __future__ import annotations

from typing import Any

from stages.data.errors import BadInput, R1Error, UsageError
from stages.data.templates import Rendered
from stages.inference.backend import Request
from stages.inference.loading import hide_broken_media, loading


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a checkpoint directory or hub name."""
    hide_broken_media()
    from transformers import AutoTokenizer

    with loading(model, "the tokenizer of "):
        return AutoTokenizer.from_pretrained(model)


def encode(
    tokenizer: Any, prompt: Rendered, place: str = "", *, prefilled: bool = True
) -> tuple[list[int], str]:
    """A prompt's token ids, and the prefill they end with; without `prefilled` they end before it.

    Raises UsageError where the model has no chat template and one is needed, BadInput where the template refuses.
    """
    if prompt.text is not None:
        text = prompt.text if prefilled else prompt.text.removesuffix(prompt.prefill)
        ids: list[int] = tokenizer(text)["input_ids"]
        if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:
            ids = ids[:-1]  # some tokenizers close every text
        return ids, prompt.prefill if prefilled else ""
    if not tokenizer.chat_template:
        raise UsageError("the model has no chat template; use --template r1-zero, none or a file")
    try:
        text = tokenizer.apply_chat_template(
            list(prompt.messages), add_generation_prompt=True, tokenize=False
        )
    except Exception as error:  # jinja2 raises what the template tells it to
        raise BadInput(
            f"the model's chat template refuses the prompt: {error}",
            place=place,
            remedy="see its messages",
        ) from error
    opened = next((tag for tag in ("<think>\n", "<think>") if text.endswith(tag)), "")
    wanted = prompt.prefill
    if opened:  # the model's template has opened the thinking already
        wanted = opened + wanted.removeprefix("<think>").removeprefix("\n")
    text = text.removesuffix(opened)
    if not prefilled:
        wanted = ""
    return tokenizer(text + wanted, add_special_tokens=False)["input_ids"], wanted


def encode_request(tokenizer: Any, request: Request, limit: int) -> tuple[list[int], str]:
    """As `encode`. Raises BadInput for a prompt that leaves no room for an answer in a context of `limit` tokens."""
    ids, prefill = encode(tokenizer, request.prompt, request.place)
    if not ids or len(ids) >= limit:
        raise BadInput(
            f"the prompt has {len(ids)} tokens, the model's context {limit}",
            place=request.place,
            remedy="shorten it or drop it with `r1 filter --where`",
        )
    return ids, prefill


def decode(tokenizer: Any, prompt_ids: list[int], ids: list[int]) -> str:
    """What `ids` say after `prompt_ids`."""
    # Decoded after the prompt's last token: some tokenizers drop a leading space otherwise.
    before: str = tokenizer.decode(prompt_ids[-1:])
    text: str = tokenizer.decode(prompt_ids[-1:] + ids)
    if text.startswith(before):
        return text[len(before) :]
    alone: str = tokenizer.decode(ids)
    return alone


def end_ids(tokenizer: Any, named: int | list[int] | None) -> frozenset[int]:
    """Tokens that end a completion: those the model's generation settings name, and the tokenizer's."""
    found = {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id}
    ends = frozenset(token for token in found if token is not None)
    if not ends:
        raise R1Error("the model names no end-of-text token; set eos_token in its tokenizer")
    return ends


def named_ends(model: str) -> int | list[int] | None:
    """The end tokens of the model's generation settings, which it has in a file or in its config."""
    from transformers import AutoConfig, GenerationConfig

    try:
        settings = GenerationConfig.from_pretrained(model)
    except OSError:
        settings = GenerationConfig.from_model_config(AutoConfig.from_pretrained(model))
    named: int | list[int] | None = settings.eos_token_id
    return named
