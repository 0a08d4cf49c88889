"""Plain values as JSON, without losing their types: what two boxed programs may say to each other.

A list is an array; other kinds are objects of one field that names the kind. What is no plain value crosses
as a reference, which only the side that holds the object can follow. Decoding makes exact built-in types and
runs no code of the other side: an `__eq__` that returns True does not come across.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

DEEPEST = 200
SEQUENCES: dict[str, type] = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
TYPES = {
    each.__name__: each
    for each in (int, float, str, bool, list, dict, tuple, set, frozenset, bytes, complex, object)
}
TEXTUAL = {
    "Decimal": "decimal",
    "Fraction": "fractions",
}  # and their modules, loaded where one comes


def dumps(value: Any, refer: Callable[[Any], Any]) -> bytes:
    """`value` as one line; `refer` gives the JSON of what is no plain value."""
    return json.dumps(_encode(value, refer, DEEPEST)).encode() + b"\n"


def loads(line: bytes, follow: Callable[[Any], Any]) -> Any:
    """The value of a line; `follow` gives the object for a reference. ValueError or TypeError for
    nonsense."""
    return _decode(json.loads(line), follow)


def _encode(value: Any, refer: Callable[[Any], Any], depth: int) -> Any:
    if depth == 0:
        raise ValueError("a value nested too deep, or within itself")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)

    def items(each: Any) -> list[Any]:
        return [_encode(item, refer, depth - 1) for item in each]

    if isinstance(value, list):
        return items(value)
    if isinstance(value, dict):
        return {"dict": [items(pair) for pair in value.items()]}
    for kind, known in SEQUENCES.items():
        if isinstance(value, known):
            return {kind: items(value)}
    if isinstance(value, (bytes, bytearray)):
        return {type(value).__name__: value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    for kind, module in TEXTUAL.items():
        if module in sys.modules and isinstance(value, getattr(sys.modules[module], kind)):
            return {kind: str(value)}
    if isinstance(value, type) and value in TYPES.values():
        return {"type": value.__name__}
    return refer(value)


def _decode(value: Any, follow: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [_decode(each, follow) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "dict":
        return {_decode(key, follow): _decode(each, follow) for key, each in content}
    if kind in SEQUENCES:
        return SEQUENCES[kind](_decode(each, follow) for each in content)
    if kind in ("bytes", "bytearray"):
        return bytes.fromhex(content) if kind == "bytes" else bytearray.fromhex(content)
    if kind == "type":
        return TYPES[content]
    if kind == "complex":
        return complex(*content)
    if kind == "range":
        return range(*content)
    if kind in TEXTUAL:
        return getattr(importlib.import_module(TEXTUAL[kind]), kind)(content)
    return follow(content)
