"""Calls and values of JavaScript as the leaderboard reads them: an argument is the text of an expression.

What does not have the form of its type stays a text, which the check of types then refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from stages.grading.leaderboard.spans import between, end_of_rows
from stages.grading.leaderboard.syntax import BOOLEANS, number, put, tree

TYPES: dict[str, type] = {
    "String": str, "integer": int, "float": float, "Bigint": int, "Boolean": bool, "dict": dict,
    "array": list, "any": str,
}  # fmt: skip
WHOLE = re.compile(r"-?\d+$")
DECIMAL = re.compile(r"-?\d+(\.\d+)?$")
BIG = re.compile(r"-?\d+n$")
OF_ARRAYS = re.compile(r"(\[|new\s+Array\()\s*\[")
OPEN = re.compile(r"\[")
ARRAY = re.compile(r"\[(.*?)\]|\bnew\s+Array\((.*?)\)")
OBJECT = re.compile(r"\{(.*?)\}")
SPACES = re.compile(r"\s*")


def converted(value: str, kind: str, items: str | None = None) -> Any:
    """The value of an expression of type `kind`. Raises KeyError for a type that has no values here."""
    match kind:
        case "String":
            return value[1:-1] if _quoted(value) else value
        case "integer":
            return int(value) if WHOLE.match(value) else value
        case "float":
            return float(value) if DECIMAL.match(value) else value
        case "Bigint":
            return int(value[:-1]) if BIG.match(value) else value
        case "Boolean":
            return BOOLEANS.get(value, value)
        case "array":
            return _array(value.strip(), items)
        case "dict":
            return _object(value.strip())
        case "any":
            return value
    raise KeyError(kind)


def _quoted(text: str) -> bool:
    return any(text.startswith(mark) and text.endswith(mark) for mark in ("'", '"'))


def _array(code: str, items: str | None) -> Any:
    """One of arrays to the second level; any other from its first bracket to the next that closes."""
    several = OF_ARRAYS.match(code)
    end = end_of_rows(code, several.end(), "]" if several[1] == "[" else ")") if several else -1
    if end >= 0:
        rows = [each.strip() for each in between(code[:end], OPEN, "]")]
        if rows:
            rows[0] = rows[0].removeprefix("[")
        return [[_untyped(each) for each in row.split(",")] for row in rows]
    found = ARRAY.match(code)
    if found is None:
        return code
    inside = (found[2] if found[1] is None else found[1]).strip()
    parts = [each.strip() for each in inside.split(",")] if inside else []
    try:
        return [converted(each, items) if items else _untyped(each) for each in parts]
    except (KeyError, ValueError):
        return code


def _object(code: str) -> Any:
    found = OBJECT.match(code)
    if found is None:
        return code
    made: dict[str, Any] = {}
    for key, given in _pairs(found[1]):
        value = given.strip()
        if value.startswith("[") and value.endswith("]"):
            read = _array(value, None)
        elif value.startswith("{") and value.endswith("}"):
            read = _object(value)
        else:
            read = _untyped(value.strip("'\""))
        made[key.strip().strip("'\"")] = read
    return made


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values: a value goes to the end, or to a comma with a key behind it."""
    start = 0
    while (colon := text.find(":", start)) >= 0:
        if colon == start:
            start += 1
            continue
        value = _past_spaces(text, colon + 1)
        end, after = value, len(text)
        while (end := text.find(",", end)) >= 0:
            comma = text.find(",", end + 1)
            key_end = text.rfind(":", end + 2, comma if comma >= 0 else len(text))
            if key_end >= 0:
                after = min(_past_spaces(text, end + 1), key_end - 1)
                break
            end += 1
        yield text[start:colon], text[value:] if end < 0 else text[value:end]
        start = after


def _past_spaces(text: str, place: int) -> int:
    found = SPACES.match(text, place)
    return found.end() if found else place


def _untyped(text: str) -> Any:
    """The value of a literal whose type nothing says."""
    text = text.strip()
    if text in BOOLEANS:
        return BOOLEANS[text]
    if _quoted(text):
        return text[1:-1]
    return number(text)


def decode(text: str) -> list[dict[str, dict[str, Any]]] | None:
    """The first statement that is a call; None where there is none.

    Raises ValueError where it is no JavaScript, or names an argument twice.
    """
    for statement in tree("javascript", text).children:
        if statement.type == "expression_statement":
            for node in statement.children:
                if node.type == "call_expression":
                    return [{node.children[0].text.decode(): _arguments(node.children[1])}]
    return None


def _arguments(node: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in node.children:
        if child.type == "assignment_expression":
            name, value = child.children[0].text.decode(), child.children[2].text.decode()
            value = value[1:-1] if _quoted(value) else value
        elif child.type in ("identifier", "true"):
            name, value = "", child.text.decode()
        else:
            continue
        put(found, name, value)
    return found
