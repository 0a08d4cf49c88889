"""Calls of functions as models write them, and whether they are the calls that are expected.

Written as the turn's own `tool_calls`, between `<tool_call>` and `</tool_call>` (Hermes, Qwen), or as JSON in
the text, in a block of code or not. A call is `{"name": …, "arguments": {…}}`, its arguments `parameters`
(Llama) or JSON text (OpenAI), or one of these under `function`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stages.grading.structured.answers import NoAnswer, denied
from stages.grading.structured.values import Span, canonical, read, spans
from stages.records.record import object_of

OPEN, CLOSE = "<tool_call>", "</tool_call>"
NAMED = '"name"'


class Call(NamedTuple):
    """A function's name, and its arguments by theirs."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        said = json.dumps(self.arguments, ensure_ascii=False)
        return f"{self.name[:60]}({said if len(said) < 100 else said[:100] + '…'})"


class Written(NamedTuple):
    """A call, and the words before it and after it."""

    call: Call
    before: str = ""
    after: str = ""


def call_of(value: Any, *, explicit: bool = False) -> Call:
    """A value as a call, which must have arguments, if none, to be an `explicit` one.

    Raises ValueError where it is none.
    """
    inner = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise ValueError('a call is {"name": …, "arguments": {…}}')
    if explicit and not {"arguments", "parameters"} & inner.keys():
        raise ValueError(f"{inner['name'][:40]!r} has no arguments")
    given = inner.get("arguments", inner.get("parameters"))
    if isinstance(given, str):
        given = read(given) if given.strip() else {}
    if given is not None and not isinstance(given, dict):
        raise ValueError(f"the arguments of {inner['name'][:40]!r} are no object")
    return Call(inner["name"], given or {})


def calls_of(value: Any, *, explicit: bool = False) -> list[Call]:
    """A value as calls: one, a list of them, or an object whose `tool_calls` are. Raises ValueError."""
    if isinstance(value, dict) and "name" not in value and "function" not in value:
        value = value.get("tool_calls", value)
    given = value if isinstance(value, list) else [value]
    return [call_of(each, explicit=explicit) for each in given]


def written(text: str) -> list[Written]:
    """The calls in an answer, in order. Where some stand between tags, others only say them again.

    Raises NoAnswer for one that cannot be read, and where the others differ from those between tags.
    """
    tagged, rest = _tagged(text)
    loose = [each for part in rest for each in _loose(part)]
    if not tagged:
        return loose
    meant = {canonical(list(each.call)) for each in tagged}
    if any(canonical(list(each.call)) not in meant for each in loose):
        raise NoAnswer("several answers: other calls stand beside those between tags")
    return tagged


def _tagged(text: str) -> tuple[list[Written], list[str]]:
    """The calls between tags, and the stretches of text beside them."""
    first, *pieces = text.split(OPEN)
    found, rest = [], [first]
    for piece in pieces:
        inside, closed, after = piece.partition(CLOSE)
        if not closed:
            raise NoAnswer("a call breaks off")
        try:
            calls = calls_of(read(inside))
        except ValueError as error:
            raise NoAnswer(f"a call cannot be read: {error}") from None
        found += [Written(call, rest[-1], after) for call in calls]
        rest.append(after)
    return found, rest


def _loose(text: str) -> list[Written]:
    """The calls between brackets in a text, their arguments among them; other JSON is passed over."""
    found: list[tuple[list[Call], Span]] = []
    for span in spans(text):
        inside = text[span.start : span.end]
        try:
            value = read(inside) if span.whole else None
        except ValueError as error:
            if NAMED in inside:
                raise NoAnswer(f"a call cannot be read: {error}") from None
            continue
        if not span.whole and NAMED in inside:
            raise NoAnswer("a call breaks off")
        try:
            found.append((calls_of(value, explicit=True), span))
        except ValueError:
            continue
    ends = [0, *(span.end for _, span in found)]
    starts = [*(span.start for _, span in found), len(text)]
    return [
        Written(call, text[ends[k] : span.start], text[span.end : starts[k + 1]])
        for k, (calls, span) in enumerate(found)
        for call in calls
    ]


def refused(calls: list[Written]) -> str:
    """Why one of the calls is not meant; "" where all are."""
    return next((why for each in calls if (why := denied(each.before, each.after))), "")


class Tools:
    """The functions that a record offers, by whose signatures two calls may be the same."""

    def __init__(self, tools: Iterable[Mapping[str, Any]] | None) -> None:
        self._parameters: dict[str, dict[str, Any]] = {}
        for tool in tools or ():
            function = object_of(tool.get("function", tool))
            if isinstance(name := function.get("name"), str):
                self._parameters[name] = object_of(function.get("parameters"))

    def key(self, call: Call) -> str:
        """A text that two calls have in common exactly where they are the same.

        An optional argument that is null, where its signature knows no null, or its own default, is as good
        as none.
        """
        parameters = self._parameters.get(call.name, {})
        properties, required = object_of(parameters.get("properties")), parameters.get("required") or ()
        kept = {
            name: value
            for name, value in call.arguments.items()
            if name in required or not _implied(object_of(properties.get(name)), value)
        }
        return canonical([call.name, kept])


def _implied(signature: dict[str, Any], value: Any) -> bool:
    """Whether leaving an optional argument out says the same as this value."""
    if "default" in signature and canonical(signature["default"]) == canonical(value):
        return True
    kinds = signature.get("type")
    return value is None and isinstance(kinds, str) and kinds != "null"


def missing_and_besides(expected: list[str], said: list[str]) -> tuple[list[int], list[int]]:
    """Which of the expected calls were not made, and which of the calls were not expected, by their keys."""
    return _left(expected, said), _left(said, expected)


def _left(these: list[str], those: list[str]) -> list[int]:
    matched = Counter(those)
    left = []
    for k, key in enumerate(these):
        if matched[key]:
            matched[key] -= 1
        else:
            left.append(k)
    return left
