"""Calls and values of Java as the leaderboard reads them: an argument is the text of an expression.

What does not have the form of its type stays a text, which the check of types then refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stages.grading.leaderboard.syntax import tree

TYPES: dict[str, type] = {
    "byte": int, "short": int, "integer": int, "long": int, "float": float, "double": float, "boolean": bool,
    "char": str, "String": str, "any": str, "Array": list, "ArrayList": list, "HashMap": dict,
}  # fmt: skip
WHOLE = re.compile(r"-?\d+$")
LONG = re.compile(r"-?\d+[lL]$")
DOUBLE = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?$")
FLOAT = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?[fF]$")
NUMBERS: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    "byte": (WHOLE, int),
    "short": (WHOLE, int),
    "integer": (WHOLE, int),
    "long": (LONG, lambda text: int(re.sub(r"[lL]$", "", text))),
    "float": (FLOAT, lambda text: float(re.sub(r"[fF]$", "", text))),
    "double": (DOUBLE, float),
}
BOOLEANS = {"true": True, "false": False}
AS_LIST = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")
ADDED = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}", re.DOTALL)
ADD = re.compile(r"add\((.+?)\)")
EMPTY_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
ARRAY = re.compile(r"new\s+\w+\[\]\s*\{(.*?)\}")
MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}", re.DOTALL)
PUT = re.compile(r"put\(\"(.*?)\",\s*(.*?)\)")
EMPTY_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)")
NAMES = ("identifier", "class_literal", "type_identifier", "method_invocation")


def converted(value: str, kind: str, items: str | None = None) -> Any:
    """The value of an expression of type `kind`. Raises KeyError for a type that has no values here."""
    if kind in NUMBERS:
        form, read = NUMBERS[kind]
        return read(value) if form.match(value) else value
    match kind:
        case "boolean":
            return BOOLEANS.get(value, value)
        case "Array":
            return _array(value, items)
        case "ArrayList":
            return _array_list(value, items)
        case "HashMap":
            return _map(value)
        case "char" | "String" | "any":
            return value
    raise KeyError(kind)


def _array_list(text: str, items: str | None) -> Any:
    if found := AS_LIST.search(text):
        return [_item(each.strip(), items) for each in found[1].split(",")]
    if found := ADDED.search(text):
        return [_item(each.strip(), items) for each in ADD.findall(found[1])]
    return [] if EMPTY_LIST.search(text) else text


def _item(text: str, items: str | None) -> Any:
    if items in ("char", "String"):
        return text[1:-1]
    return converted(text, items) if items else _untyped(text)


def _array(text: str, items: str | None) -> Any:
    found = ARRAY.search(text)
    if found is None:
        return text
    parts = [each.strip() for each in found[1].split(",") if each.strip()]
    return [converted(each, items) if items else _untyped(each) for each in parts]


def _map(text: str) -> Any:
    if found := MAP.search(text):
        return {key: _untyped(value.strip()) for key, value in PUT.findall(found[1])}
    return {} if EMPTY_MAP.search(text) else text


def _untyped(text: str) -> Any:
    """The value of a literal whose type nothing says."""
    if text in BOOLEANS:
        return BOOLEANS[text]
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    for kind in ("long", "float"):
        if (value := converted(text, kind)) is not text:
            return value
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def decode(text: str) -> list[dict[str, dict[str, Any]]]:
    """The first call of a text, or none.

    Raises ValueError where it is no Java, or names an argument twice.
    """
    return _first(tree("java", text), text)


def _first(node: Any, text: str) -> list[dict[str, dict[str, Any]]]:
    if node.type != "method_invocation":
        return next(filter(None, (_first(child, text) for child in node.children)), [])
    name, owner = node.child_by_field_name("name"), node.child_by_field_name("object")
    called = _text(name, text) if owner is None else f"{_text(owner, text)}.{_text(name, text)}"
    arguments = node.child_by_field_name("arguments")
    return [{called: _arguments(arguments, text)}] if arguments else []


def _arguments(node: Any, text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in node.children:
        if child.type == "assignment_expression":
            name, value = _text(child.children[0], text), _expression(child.children[2], text)
        elif child.type in ("identifier", "class_literal", "set"):
            name, value = "", _expression(child, text)
        else:
            continue
        if name in found:
            raise ValueError(f"{name or 'an argument without a name'} is given twice")
        found[name] = value
    return found


def _text(node: Any, text: str) -> str:
    """By the bytes' places, counted in characters, as the program does."""
    return text[node.start_byte : node.end_byte]


def _expression(node: Any, text: str, nested: bool = False) -> str:
    """An expression without its spaces; a literal that stands alone without its quotes."""
    if node.type in ("string_literal", "character_literal"):
        return _text(node, text) if nested else _text(node, text)[1:-1]
    if node.type in NAMES or not node.child_count:
        return _text(node, text)
    if node.type == "array_creation_expression":
        kind, value = node.child_by_field_name("type"), node.child_by_field_name("value")
        return f"new {_expression(kind, text, True)}[]{_expression(value, text, True)}"
    if node.type == "object_creation_expression":
        kind, arguments = node.child_by_field_name("type"), node.child_by_field_name("arguments")
        given = [each for each in arguments.children if each.type not in (",", "(", ")")] if arguments else []
        listed = ", ".join(_expression(each, text, True) for each in given)
        return f"new {_expression(kind, text, True)}({listed})"
    return "".join(_expression(child, text, True) for child in node.children)
