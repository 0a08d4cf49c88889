"""The value of an argument such as `3 * 60`, which the program of the leaderboard evaluates as Python.

Here only literal values are computed: numbers, and texts and lists that are joined or repeated. A call, a
name or a number too large is no value, where the program would run whatever the model has written.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

BITS = 10_000  # of an integer
LONGEST = 10_000  # characters of a text, items of a list and of what is in it
Number = int | float | complex

NUMERIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}


def computed(node: ast.expr) -> Any:
    """Raises ValueError for what is not computed here, TypeError for what Python cannot."""
    match node:
        case ast.Constant():
            return node.value
        case ast.UnaryOp():
            return SIGNS[type(node.op)](computed(node.operand))
        case ast.List():
            return [computed(each) for each in node.elts]
        case ast.Tuple():
            return tuple(computed(each) for each in node.elts)
        case ast.BinOp():
            return _joined(type(node.op), computed(node.left), computed(node.right))
    raise ValueError(f"{type(node).__name__} in a sum is not computed")


def _joined(kind: type[ast.operator], left: Any, right: Any) -> Any:
    numbers = isinstance(left, Number) and isinstance(right, Number)
    joins = kind in (ast.Add, ast.Mult) and any(
        isinstance(each, str | list | tuple) for each in (left, right)
    )
    if not (numbers or joins) or kind not in NUMERIC:
        raise ValueError(f"{kind.__name__} of these is not computed")
    if joins:
        _refuse(NUMERIC[kind](_length(left), _length(right)) > LONGEST)
    if numbers and kind in (ast.Pow, ast.LShift) and isinstance(left, int) and isinstance(right, int):
        _refuse(right > BITS or (kind is ast.Pow and left.bit_length() * right > BITS))
    try:
        value = NUMERIC[kind](left, right)
    except ArithmeticError as error:
        raise ValueError(str(error)) from None
    _refuse(isinstance(value, int) and value.bit_length() > BITS)
    return value


def _length(value: Any) -> int:
    """Of a text, or of a list with all that is in it; of how often it is repeated, the number."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list | tuple):
        return len(value) + sum(_length(each) for each in value if isinstance(each, str | list | tuple))
    return max(value, 0) if isinstance(value, int) else 0


def _refuse(too_large: bool) -> None:
    if too_large:
        raise ValueError("a value is too large to be computed")
