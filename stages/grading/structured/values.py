"""JSON read strictly, found in prose, and compared as values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from stages.records.record import kind_of

DEEPEST = 64  # levels of arrays and objects
LONGEST = 309  # digits of an integer: as many as the largest double has
SPACE = " \t\r\n"
BRACKET = re.compile(r"[\[{]")
# A string that does not end is one to the end of its line, so that no place is read twice.
TOKEN = re.compile(r'"(?:[^"\\\n]++|\\[^\n])*+(?:"|\\?(?=\n|\Z))|[\[\]{}]')


class Span(NamedTuple):
    """A stretch of a text between brackets that match; `whole` is False where the last never closes."""

    start: int
    end: int
    whole: bool = True


def read(text: str) -> Any:
    """The one value that `text` is in JSON.

    Raises ValueError for what is none, and for what programs would read differently: a key twice in an
    object, NaN, a number that no double holds, more than DEEPEST levels.
    """
    level = 0
    for token in TOKEN.finditer(text):
        level += (token[0] in "[{") - (token[0] in "]}")
        if level > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:40]!r} stands twice in an object")
        found[key] = value
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > LONGEST:
        raise ValueError("a number is too large")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def spans(text: str) -> Iterator[Span]:
    """The outermost stretches between brackets of any kind, in order."""
    at = 0
    while (first := BRACKET.search(text, at)) is not None:
        level = 0
        for token in TOKEN.finditer(text, first.start()):
            level += (token[0] in "[{") - (token[0] in "]}")
            if not level:
                break
        if level:
            yield Span(first.start(), len(text), whole=False)
            return
        yield Span(first.start(), token.end())
        at = token.end()


def canonical(value: Any) -> str:
    """A text that two values have in common exactly where they are equal: 1 and 1.0 are, 1 and true are not.

    Raises ValueError for a value that JSON does not have.
    """
    return json.dumps(_plain(value), sort_keys=True, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(value: Any) -> str:
    """A value for a message: what is short as it is, else its kind."""
    if isinstance(value, dict | list) or (isinstance(value, str) and len(value) > 40):
        return kind_of(value)
    return json.dumps(value, ensure_ascii=False)[:60]
