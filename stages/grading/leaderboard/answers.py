"""The calls of an answer, which is what follows the thinking: in words, between tags, or as `tool_calls`."""

from __future__ import annotations

from typing import Any

from stages.grading.leaderboard import java, javascript
from stages.grading.leaderboard.checking import Language, Wrong
from stages.grading.leaderboard.decoding import (
    Call,
    Undecoded,
    bracketed,
    decode_tagged,
    decode_turn,
    decode_words,
)
from stages.language.thinking import split_thinking
from stages.records.turns import Turn, whole_words


def has_tools(record: dict[str, Any]) -> bool:
    """Whether a model was given tools; some problems have none to give."""
    return record.get("tools") is not None


def of_turn(turn: Turn, tools: bool, language: Language) -> list[Call]:
    """The calls of an assistant's turn. Raises as `of_text`."""
    beside = turn.get("tool_calls") if tools else None
    return decode_turn(beside) if beside else of_text(whole_words(turn), "", tools, language)


def of_text(text: str, prefill: str, tools: bool, language: Language) -> list[Call]:
    """The calls of a completion, between tags where it had `tools`.

    Raises Wrong where its thinking never ends, Undecoded where it has no calls that can be read.
    """
    whole = prefill + text if "<think>" in prefill else text
    if whole.rfind("<think>") > whole.rfind("</think>"):
        raise Wrong("no answer: the thinking never ends")
    answer = split_thinking(text, prefill).answer
    if tools:
        return [*decode_tagged(answer)]
    if language == "python":
        return [*decode_words(answer)]
    inside = bracketed(answer)[1:-1]
    try:
        return java.decode(inside) if language == "java" else javascript.decode(inside) or []
    except (ValueError, RecursionError) as error:
        raise Undecoded(f"no calls: {error}") from None
