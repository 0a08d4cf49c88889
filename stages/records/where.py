"""A condition on a record's fields, such as `reward >= 0.5 and finish == "stop"`.

Python's syntax for comparisons, `and or not`, `in`, arithmetic on numbers, and the functions of
FUNCTIONS; nothing else is accepted, and no code is run. A name is a field, `a.b` and `a["b"]` a field
of a field; `true`, `false` and `null` are as in JSON. A field that a record lacks is null, and null
is neither above nor below anything. A field that no record has at all is an error, not a null.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable
from typing import Any

from stages.records.record import bad_record
from stages.runtime.errors import UsageError, nearest

Value = Callable[[dict[str, Any]], Any]

COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "abs": abs,
    "min": min,
    "max": max,
    "lower": lambda text: text.lower(),
    "startswith": lambda text, head: text.startswith(head),
    "endswith": lambda text, tail: text.endswith(tail),
}
FIELD = (ast.Name, ast.Attribute, ast.Subscript)
LITERALS = {"true": True, "false": False, "null": None}


class Where:
    """A compiled condition; remembers which fields it has met, so that a misspelt one is found."""

    def __init__(self, text: str, said: str = "--where") -> None:
        """Raises UsageError for what is not a condition; messages say which one by `said`."""
        self.text = text
        self.said = f"{said} {text!r}"
        self._met: dict[str, bool] = {}
        self._fields: set[str] = set()
        self._read = False
        try:
            with warnings.catch_warnings(action="ignore"):  # such as of `1not`, told on stderr
                tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            why = error.msg if isinstance(error, SyntaxError) else str(error)
            raise UsageError(f"{self.said}: {why}") from None
        try:
            self._value = self._compile(tree.body)
        except RecursionError:
            raise UsageError(f"{self.said}: nested too deep; write it shorter") from None

    def __call__(self, record: dict[str, Any]) -> bool:
        """Whether the record meets it. Raises BadInput where types do not fit."""
        self._read = True
        self._fields.update(record)
        try:
            return bool(self._value(record))
        except (TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
            raise bad_record(
                record,
                f"{self.said} does not fit this record: {error}",
                "compare a field with a value of its own type",
            ) from None

    @property
    def names(self) -> set[str]:
        """The fields that it asks for by name, without those within them."""
        return {name for name in self._met if name.isidentifier()}

    @property
    def due(self) -> set[str]:
        """Those of `names` that some record has to have and none had yet: no comparison with null."""
        return {name for name in self.names if not self._met[name]}

    def check(self) -> None:
        """After the last record: raises UsageError for a field that none of them had."""
        for name, met in self._met.items():
            if self._read and not met:
                hint = nearest(name, self._fields) or f"; they have {', '.join(sorted(self._fields))}"
                raise UsageError(f"{self.said}: no record has a field {name!r}{hint}")

    def _compile(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, (bool, int, float, str)):
                return lambda record: value
            case ast.Name(id=name) if name in LITERALS:
                return lambda record: LITERALS[name]
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._field(node)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                values = [self._compile(part) for part in parts]
                return lambda record: [value(record) for value in values]
            case ast.BoolOp(op=op, values=parts):
                values = [self._compile(part) for part in parts]
                every = all if isinstance(op, ast.And) else any
                return lambda record: every(value(record) for value in values)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                inner = self._compile(part)
                return lambda record: not inner(record)
            case ast.UnaryOp(op=ast.USub(), operand=part):
                inner = self._compile(part)
                return lambda record: _negative(inner(record))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                a, b, do = self._compile(left), self._compile(right), ARITHMETIC[type(op)]
                return lambda record: _arithmetic(do, a(record), b(record))
            case ast.Compare():
                return self._comparison(node)
            case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in FUNCTIONS:
                values = [self._compile(part) for part in parts]
                return lambda record: _call(name, [value(record) for value in values])
        said = ast.unparse(node)
        raise UsageError(
            f"{self.said}: {said!r} is not possible here; write comparisons of fields, "
            f"joined by and, or, not; functions are {', '.join(FUNCTIONS)}"
        )

    def _field(self, node: ast.expr) -> Value:
        match node:
            case ast.Name(id=name):
                self._met.setdefault(name, False)

                def top(record: dict[str, Any]) -> Any:
                    if name in record:
                        self._met[name] = True
                        return record[name]
                    return None

                return top
            case ast.Attribute(value=inner, attr=name):
                outer = self._compile(inner)
                key: Any = name
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
                outer = self._compile(inner)
            case _:
                raise UsageError(f"{self.said}: {ast.unparse(node)!r} is no field")
        path = ast.unparse(node)
        self._met.setdefault(path, False)

        def nested(record: dict[str, Any]) -> Any:
            value = outer(record)
            if isinstance(value, dict) and key in value:
                self._met[path] = True
                return value[key]
            if isinstance(value, (list, str)) and isinstance(key, int):
                self._met[path] = True
                return value[key] if -len(value) <= key < len(value) else None
            return None

        return nested

    def _comparison(self, node: ast.Compare) -> Value:
        parts = (node.left, *node.comparators)
        if any(ast.unparse(part) in ("null", "None") for part in parts):
            # Who asks for null expects that the field may be nowhere.
            self._met.update(dict.fromkeys(_paths(parts), True))
        values = [self._compile(part) for part in parts]
        operators = [type(each) for each in node.ops]

        def compare(record: dict[str, Any]) -> bool:
            left = values[0](record)
            for kind, value in zip(operators, values[1:], strict=True):
                right = value(record)
                if (left is None or right is None) and kind in ORDER:
                    return False
                if right is None and kind in (ast.In, ast.NotIn):
                    return kind is ast.NotIn
                if not COMPARE[kind](left, right):
                    return False
                left = right
            return True

        return compare


def _paths(parts: tuple[ast.expr, ...]) -> list[str]:
    return [ast.unparse(node) for part in parts for node in ast.walk(part) if isinstance(node, FIELD)]


def _negative(value: Any) -> Any:
    return None if value is None else -value


def _arithmetic(do: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    if a is None or b is None:
        return None
    if not isinstance(a, (int, float)) or not isinstance(b, (int, float)):
        raise TypeError("arithmetic is for numbers")
    return do(a, b)


def _call(name: str, values: list[Any]) -> Any:
    return None if any(value is None for value in values) else FUNCTIONS[name](*values)
