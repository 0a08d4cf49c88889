"""The figures of many records that have the same fields, field by field: what fields.py tells of each alone.

Nothing is told of records whose values differ in kind beyond numbers, true, false and null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from operator import itemgetter
from typing import Any, NamedTuple

from stages.overview.distribution import Distribution
from stages.overview.fields import COUNTED, DESCENDED, MISSING, TOLD, at, worded
from stages.records.record import Record

SIMPLE: frozenset[type] = frozenset((float, int, bool, type(None)))
NUMBERS: frozenset[type] = frozenset((float, int))
TEXT, LIST, OBJECT = ({kind} for kind in (str, list, dict))
ZEROS = bytes.maketrans(b"123456789", b"0" * 9)

Rows = Sequence[dict[str, Any]]


class Mixed(Exception):
    """Each record must be looked at alone."""


class Column(NamedTuple):
    """One field's values; `kinds` are their types, and a list stands for its length."""

    name: str
    values: Sequence[Any]
    kinds: Set[type]

    def into(self, distribution: Distribution) -> None:
        """Adds all values."""
        if self.kinds <= NUMBERS:
            distribution.add_numbers(self.values)
        elif self.kinds == TEXT:
            for text, times in _texts(self.name, self.values).items():
                distribution.add_text(text, times)
        else:
            distribution.add_numbers([value for value in self.values if type(value) in NUMBERS])
            others = Counter(value for value in self.values if type(value) not in NUMBERS)
            for value, times in others.items():
                distribution.add(value, times)


def of_records(rows: Rows, asked: Sequence[str], passed: Set[str] | None) -> list[Column] | None:
    """The columns of the fields `asked`, or of the usual ones without those in `passed`; None where the
    records must be looked at one by one. All have the same fields, and the same rewards and reasons.
    """
    try:
        return list(_asked(rows, asked) if passed is None else _usual(rows, passed))
    except Mixed:
        return None


def _usual(rows: Rows, passed: Set[str]) -> Iterator[Column]:
    names = [name for name in rows[0] if name not in passed]
    for name, values in zip(names, _values(rows, names), strict=True):
        kinds = set(map(type, values))
        if kinds <= SIMPLE or (kinds == TEXT and name in TOLD):
            yield Column(name, values, kinds)
        elif kinds == OBJECT:
            if name in DESCENDED:
                yield from _leaves(name, values)
        elif kinds not in (TEXT, LIST):
            raise Mixed
    for name, counted in COUNTED.items():
        if counted.usual and name not in rows[0]:
            yield from _counted(name, rows)


def _asked(rows: Rows, names: Sequence[str]) -> Iterator[Column]:
    for name in names:
        path = name.split(".")
        found = [at(row, path) for row in rows]
        lacking = sum(value is MISSING for value in found)
        if lacking == len(found):
            if name in COUNTED:
                yield from _counted(name, rows)
        elif lacking:
            raise Mixed
        else:
            yield from _column(name, found)


def _values(rows: Rows, names: Sequence[str]) -> Iterator[Sequence[Any]]:
    """The values of each of the fields `names`."""
    if len(names) == 1:
        return iter([[row[names[0]] for row in rows]])
    return zip(*map(itemgetter(*names), rows), strict=True) if names else iter(())


def _column(name: str, values: Sequence[Any]) -> Iterator[Column]:
    kinds = set(map(type, values))
    if kinds <= SIMPLE or kinds == TEXT:
        yield Column(name, values, kinds)
    elif kinds == LIST:
        yield Column(name, [*map(len, values)], NUMBERS)
    elif kinds == OBJECT:
        yield from _leaves(name, values)
    else:
        raise Mixed


def _leaves(name: str, values: Rows) -> Iterator[Column]:
    """The columns of an object's fields."""
    if name not in DESCENDED and len(set(map(tuple, values))) != 1:
        raise Mixed
    names = [*values[0]]
    for inner, found in zip(names, _values(values, names), strict=True):
        yield from _column(f"{name}.{inner}", found)


def _counted(name: str, rows: Rows) -> Iterator[Column]:
    """A field that is made of the records' completions."""
    make: Callable[[Rows], Sequence[Any]] | None = {"tokens": _tokens, "characters": _characters}.get(name)
    found = [COUNTED[name].of(Record(row)) for row in rows] if make is None else make(rows)
    kinds = set(map(type, found))
    if type(MISSING) not in kinds:
        yield from _column(name, found)
    elif len(kinds) > 1:
        raise Mixed


def _characters(rows: Rows) -> Sequence[Any]:
    if "completion" not in rows[0]:
        return [MISSING]
    texts = [row["completion"] for row in rows]
    kinds = set(map(type, texts))
    if kinds == TEXT:
        return [*map(len, texts)]
    return [COUNTED["characters"].of(Record(row)) for row in rows]


def _tokens(rows: Rows) -> Sequence[Any]:
    if "completion_ids" not in rows[0]:
        if "meta" not in rows[0]:
            return [MISSING]
        try:
            found = [row["meta"]["generate"]["tokens"] for row in rows]
        except (KeyError, TypeError):
            found = [None]
        if set(map(type, found)) == {int}:
            return found
    return [COUNTED["tokens"].of(Record(row)) for row in rows]


def _texts(name: str, values: Sequence[str]) -> Counter[str]:
    """How often each text stands there, as it is counted."""
    counts = Counter(values)
    reasons = name.startswith("reasons.")
    if not reasons and name != "dropped":
        return counts
    if reasons and len(counts) > 1:  # most differ in their numbers alone, whose digits do not count
        digitless = "\n".join(values).encode().translate(ZEROS).split(b"\n")
        if len(digitless) == len(values):
            counts = Counter({text.decode(): times for text, times in Counter(digitless).items()})
    found: Counter[str] = Counter()
    for text, times in counts.items():
        found[worded(name, text)] += times
    return found
