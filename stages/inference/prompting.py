"""Prompts to token ids: one way for every backend that is given ids."""

from __future__ import annotations

from typing import Any

from stages.inference import chat
from stages.inference.encoding import opening, plain_ids, refuse_unknown
from stages.inference.interface import Request
from stages.inference.transcript import history
from stages.records.templates import Rendered
from stages.runtime.errors import BadInput, TooLong


def encode(
    tokenizer: Any, prompt: Rendered, place: str = "", *, prefilled: bool = True
) -> tuple[list[int], str]:
    """A prompt's token ids, and the prefill they end with; without `prefilled` they end before it.

    Turns that hold their `completion_ids` are not tokenised again. Raises UsageError where the model has no
    chat template and one is needed, BadInput where the template refuses.
    """
    if prompt.text is not None:
        text = prompt.text if prefilled else prompt.text.removesuffix(prompt.prefill)
        return opening(tokenizer, text), prompt.prefill if prefilled else ""
    head, opened = chat.head_of(tokenizer, prompt, place)
    prefill = chat.begun(prompt, opened) if prefilled else ""
    if any(turn.get("completion_ids") for turn in prompt.messages):
        return history(tokenizer, prompt, head + prefill, place), prefill
    return plain_ids(tokenizer, head + prefill), prefill


def encode_request(tokenizer: Any, request: Request, limit: int, vocabulary: int) -> tuple[list[int], str]:
    """As `encode`, for a model of a context of `limit` tokens and embeddings of `vocabulary`.

    Raises TooLong for a prompt that leaves no room for an answer, BadInput for one that has no token, or one
    of no embedding.
    """
    ids, prefill = encode(tokenizer, request.prompt, request.place)
    if not ids or len(ids) >= limit:
        raise (TooLong if ids else BadInput)(
            f"the prompt has {len(ids)} tokens, the model's context {limit}",
            place=request.place,
            remedy="shorten it or drop it with `r1 filter --where`",
        )
    refuse_unknown(tokenizer, ids, vocabulary, request.place)
    return ids, prefill


def encode_pair(tokenizer: Any, context: str, text: str) -> tuple[list[int], list[int]]:
    """The tokens of a context, and those that follow it where `text` does, as lm-eval cuts them.

    White space at the end of the context belongs to the text. Where there is no context, the token that
    begins a sequence stands for it.
    """
    bare = context.rstrip()
    text, context = context[len(bare) :] + text, bare
    if context:
        before = opening(tokenizer, context)
        return before, opening(tokenizer, context + text)[len(before) :]
    ids = plain_ids(tokenizer, text)
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return (ids[:1], ids[1:]) if ids[:1] == [first] else ([first], ids)
