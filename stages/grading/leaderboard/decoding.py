"""The calls that an answer makes, as the program of the leaderboard reads them.

A model that is asked in words writes `[f(a=1), g(b="x")]`, which is parsed and never run. One that is given
tools writes JSON between `<tool_call>` and `</tool_call>`, or its turn has `tool_calls`. A call is
`{name: {argument: value}}`. What is odd here is so in the program: each `decode` says what it does.
"""

from __future__ import annotations

import ast
import contextlib
import json
import warnings
from collections.abc import Sequence
from typing import Any

from stages.grading.leaderboard.arithmetic import computed

Call = dict[str, dict[str, Any]]
OPEN, CLOSE = "<tool_call>\n", "\n</tool_call>"


class Undecoded(ValueError):
    """Why an answer has no calls that can be read."""


def decode_words(text: str) -> list[Call]:
    """The calls of `[f(a=1), g(b="x")]`; the brackets may lack, and back quotes stand around it.

    Positional arguments are left out. Raises Undecoded for anything else.
    """
    try:
        body = _parsed(bracketed(text).strip().strip("'"))
        elements = [body] if isinstance(body, ast.Call) else _elements(body)
        return [_call(each) for each in elements]
    except Undecoded:
        raise
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise Undecoded(f"no calls: {error or type(error).__name__}") from None


def bracketed(text: str) -> str:
    """The answer without back quotes, spaces and ends of lines around it, in square brackets."""
    bare = text.strip("`\n ")
    return ("" if bare.startswith("[") else "[") + bare + ("" if bare.endswith("]") else "]")


def _parsed(text: str) -> ast.expr:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in strings
        return ast.parse(text, mode="eval").body


def _elements(body: ast.expr) -> Sequence[ast.Call]:
    if not isinstance(body, ast.List | ast.Tuple | ast.Set):
        raise Undecoded("no calls: it is no list")
    calls = [each for each in body.elts if isinstance(each, ast.Call)]
    if len(calls) < len(body.elts):
        raise Undecoded("no calls: an element of the list is none")
    return calls


def _call(node: ast.Call) -> Call:
    """`a.b(x=1)` is a.b; of what is no name (`f()(x=1)`, `a[0].b(x=1)`) the attributes alone are taken."""
    parts: list[str] = []
    function = node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if isinstance(function, ast.Name):
        parts.append(function.id)
    arguments = {str(each.arg or "**"): _value(each.value) for each in node.keywords}
    return {".".join(reversed(parts)): arguments}


def _value(node: ast.expr | None) -> Any:
    """A name is its text, and so are a call without keywords and what stands in brackets after a value."""
    match node:
        case ast.Constant():
            return "..." if node.value is Ellipsis else node.value
        case ast.UnaryOp(operand=ast.Constant(value=int() | float() | complex() as number)):
            return -number  # whatever the sign was
        case ast.List():
            return [_value(each) for each in node.elts]
        case ast.Tuple():
            return tuple(_value(each) for each in node.elts)
        case ast.Dict():
            return {_value(key): _value(each) for key, each in zip(node.keys, node.values, strict=True)}
        case ast.BinOp():
            return computed(node)
        case ast.Name():
            return node.id
        case ast.Call() if node.keywords:
            return _call(node)
        case ast.Call():
            return ast.unparse(node)
        case ast.Subscript():
            return f"{ast.unparse(node.value)}[{ast.unparse(node.slice)}]"
    raise Undecoded(f"no calls: an argument is a {type(node).__name__}")


def decode_tagged(text: str) -> list[Call]:
    """The calls between tags, each tag on a line of its own. What is no JSON there is passed over.

    Raises Undecoded for JSON that is no call.
    """
    found: list[Any] = []
    start = text.find(OPEN)
    while start >= 0 and (end := text.find(CLOSE, start + len(OPEN))) >= 0:
        with contextlib.suppress(ValueError, RecursionError):
            found.append(json.loads(text[start + len(OPEN) : end]))
        start = text.find(OPEN, end + len(CLOSE))
    return [_named(each, dict) for each in found]


def decode_turn(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The `tool_calls` of a turn, their arguments an object or JSON text of any value.

    Raises Undecoded for text that is no JSON.
    """
    made = [_named(each.get("function", each)) for each in calls]
    try:
        return [
            {name: json.loads(value) if isinstance(value, str) else value}
            for call in made
            for name, value in call.items()
        ]
    except (ValueError, RecursionError) as error:
        raise Undecoded(f"no calls: the arguments are no JSON: {error}") from None


def _named(value: Any, kind: type | None = None) -> dict[str, Any]:
    """`{"name": …, "arguments": …}` as a call. Raises Undecoded for what is none."""
    if isinstance(value, dict) and isinstance(value.get("name"), str) and "arguments" in value:
        given = value["arguments"]
        if kind is None or isinstance(given, kind):
            return {value["name"]: given}
    raise Undecoded('no calls: one is not {"name": …, "arguments": {…}}')


def well_formed(calls: Sequence[Any]) -> bool:
    """Whether each call has its arguments by their names."""
    return all(isinstance(value, dict) for call in calls for value in call.values())
