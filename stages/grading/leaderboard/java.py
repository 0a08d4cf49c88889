"""Calls and values of Java as the leaderboard reads them: an argument is the text of an expression.

What does not have the form of its type stays a text, which the check of types then refuses.
"""

from __future__ import annotations

import re
from typing import Any

from stages.grading.leaderboard.spans import between, pairs
from stages.grading.leaderboard.syntax import BOOLEANS, number, put, tree

TYPES: dict[str, type] = {
    "byte": int, "short": int, "integer": int, "long": int, "float": float, "double": float, "boolean": bool,
    "char": str, "String": str, "any": str, "Array": list, "ArrayList": list, "HashMap": dict,
}  # fmt: skip
# A number may end in a line break, as in the program.
WHOLE = re.compile(r"-?\d+\n?")
LONG = re.compile(r"(-?\d+)[lL]\n?")
DOUBLE = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?\n?")
FLOAT = re.compile(r"(-?\d+(\.\d+)?([eE][+-]?\d+)?)[fF]\n?")
AS_LIST = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\(")
ADDED = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{(\s*)")
ADD = re.compile(r"add\(")
EMPTY_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
ARRAY = re.compile(r"new\s+\w+\[\]\s*\{")
MAP = re.compile(r"new\s+HashMap<")
MAP_HEAD = re.compile(r">\s*\(\)\s*\{\s*\{?\s*")
PUT = re.compile(r"put\(\"")
PUT_VALUE = re.compile(r"\",\s*")
NO_ARGUMENTS = re.compile(r">\s*\(\)")
NAMES = ("identifier", "class_literal", "type_identifier", "method_invocation")


def converted(value: str, kind: str, items: str | None = None) -> Any:
    """The value of an expression of type `kind`. Raises KeyError for a type that has no values here."""
    match kind:
        case "byte" | "short" | "integer":
            return int(value) if WHOLE.fullmatch(value) else value
        case "long":
            return int(found[1]) if (found := LONG.fullmatch(value)) else value
        case "float":
            return float(found[1]) if (found := FLOAT.fullmatch(value)) else value
        case "double":
            return float(value) if DOUBLE.fullmatch(value) else value
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
    if (listed := next(between(text, AS_LIST, "))", least=1), None)) is not None:
        return [_item(each.strip(), items) for each in listed.split(",")]
    if (added := _added(text)) is not None:
        return [_item(each.strip(), items) for each in between(added, ADD, ")", least=1)]
    return [] if EMPTY_LIST.search(text) else text


def _added(text: str) -> str | None:
    """What a block of `add` has within its braces, which must be something, be it a space."""
    found = ADDED.search(text)
    if found is None:
        return None
    start = found.end()
    if (end := text.find("}}", start + 1)) >= 0:
        return text[start:end].rstrip()
    return "" if found[1] and text.startswith("}}", start) else None


def _item(text: str, items: str | None) -> Any:
    if items in ("char", "String"):
        return text[1:-1]
    return converted(text, items) if items else _untyped(text)


def _array(text: str, items: str | None) -> Any:
    inside = next(between(text, ARRAY, "}"), None)
    if inside is None:
        return text
    parts = [each.strip() for each in inside.split(",") if each.strip()]
    return [converted(each, items) if items else _untyped(each) for each in parts]


def _map(text: str) -> Any:
    if found := MAP.search(text):
        head = MAP_HEAD.search(text, found.end())
        if head and (end := text.find("}", head.end())) >= 0:
            put = pairs(text[head.end() : end].rstrip(), PUT, PUT_VALUE, ")")
            return {key: _untyped(value.strip()) for key, value in put}
    return {} if next(pairs(text, MAP, NO_ARGUMENTS, ""), None) is not None else text


def _untyped(text: str) -> Any:
    """The value of a literal whose type nothing says."""
    if text in BOOLEANS:
        return BOOLEANS[text]
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    for kind in ("long", "float"):
        if (value := converted(text, kind)) is not text:
            return value
    return number(text)


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
        put(found, name, value)
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
