"""The JSON that a completion answers with: all of it, or its one block of code."""

from __future__ import annotations

import re
from typing import Any, Literal

from stages.grading.commitment import around
from stages.grading.commitment.around import NEAR
from stages.grading.commitment.reading import DENIED, WITHDRAWN
from stages.grading.commitment.tokens import tokens
from stages.grading.structured.values import SPACE, canonical, read
from stages.language.thinking import split_thinking

FENCE = re.compile(r"^[ \t]*```[ \t]*+(\w*+)[^\n]*+\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
CLAUSES = re.compile(r"[.!?,;:](?=\s)|[。！？，；：、]|\n\s*\n")
DRESS = SPACE + "`*:>"

Form = Literal["any", "plain"]


class NoAnswer(ValueError):
    """Why a completion does not answer."""


def answered(record: dict[str, Any]) -> str:
    """What a completion says after its thinking, without a pair of answer tags around all of it.

    Raises NoAnswer where nothing does, as where the thinking never ends.
    """
    text = split_thinking(record["completion"], str(record.get("prefill") or "")).answer.strip(SPACE)
    if text.startswith("<answer>") and text.endswith("</answer>"):
        text = text.removeprefix("<answer>").removesuffix("</answer>").strip(SPACE)
    if not text:
        raise NoAnswer("no answer: nothing follows the thinking")
    return text


def blocks(text: str) -> list[re.Match[str]]:
    """The blocks of code that name JSON, else those that name no language. Group 2 is what is inside."""
    found = list(FENCE.finditer(text))
    named = [each for each in found if each[1].lower() == "json"]
    return named or [each for each in found if not each[1]]


def value_of(text: str, form: Form) -> Any:
    """The value that an answer is, or under `any` its blocks of code, which must all be equal.

    Raises NoAnswer where there is none, several, or one that the words around it deny.
    """
    fenced = blocks(text) if form == "any" and "```" in text else []
    if not fenced:
        return _read(text)
    values = [_read(block[2].strip(SPACE)) for block in fenced]
    if len(set(map(canonical, values))) > 1:
        raise NoAnswer(f"several answers: {len(fenced)} blocks of code")
    if why := denied(text[: fenced[-1].start()], text[fenced[-1].end() :]):
        raise NoAnswer(why)
    return values[-1]


def _read(text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise NoAnswer(str(error)) from None


def denied(before: str, after: str) -> str:
    """Why something between these words is not meant; "" where nothing says so."""
    near = before[-2 * NEAR :].rstrip(SPACE)
    last = near.rpartition("\n")[2]
    if last.lstrip().startswith("```"):
        near = near.removesuffix(last)
    near = near.rstrip(DRESS)[-NEAR:]
    said = CLAUSES.split(near)[-1]
    if any(token.kind in ("not", "no") for token in tokens(said)) or around.denied_before(before[-NEAR:]):
        return DENIED
    why, back = around.after(after.lstrip(DRESS), "words")
    return why or (WITHDRAWN if back >= 0 else "")
