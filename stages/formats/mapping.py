"""`--map FIELD=SOURCE`: fields made of others, where a row does not say by their names what they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from stages.records.record import Record, digest, place_of
from stages.runtime.errors import BadInput, UsageError

FIELD = re.compile(r"\{([^{}]+)\}")
INDEX = re.compile(r"\[(-?\d+)\]")


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """`FIELD=SOURCE` pairs of a command line. Raises UsageError for another form."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        target, mark, source = pair.partition("=")
        if not mark or not target:
            raise UsageError(f"--map {pair}: write FIELD=SOURCE, such as prompt=question")
        if target in mapping:
            raise UsageError(f"--map {pair}: {target} is given twice")
        mapping[target] = source
    return mapping


def mapped(row: Record, mapping: Mapping[str, str]) -> Record:
    """The row with `mapping`'s targets made from its fields; the fields they are made from are dropped.

    A source is a field, a path into objects and lists (`meta.target`, `turns.-1.value`, `turns[0].value`), or
    text with fields in braces; an empty one removes its target. `group` is for `grouped`. Raises BadInput for
    a field that is not there.
    """
    made: dict[str, Any] = {}
    used: set[str] = set()
    for target, source in mapping.items():
        if not source:
            used.add(target)
        elif target != "group":
            made[target] = _made(row, source, used)
    rest = {key: value for key, value in row.items() if key not in used}
    return Record({**rest, **made}, place=row.place)


def grouped(record: Record, row: Record, source: str) -> Record:
    """The record under the group that `source` of its row says, else of itself; what it is made of stays.

    A text or number is the group's name, anything else its digest.
    """
    try:
        name = _made(row, source, set())
    except BadInput:
        name = _made(record, source, set())
    return record.adding(group=text_of(name) if isinstance(name, (str, int, float)) else digest(name))


def text_of(value: Any) -> str:
    """A value as an answer is written: whole floats without `.0`, text as it is."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _made(row: Record, source: str, used: set[str]) -> Any:
    if FIELD.search(source):
        return FIELD.sub(lambda match: text_of(_look(row, match[1], used)), source)
    return _look(row, source, used)


def _look(row: Record, path: str, used: set[str]) -> Any:
    if path in row:
        used.add(path)
        return row[path]
    value: Any = row
    for part in INDEX.sub(r".\1", path).split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.lstrip("-").isdigit() and _within(value, int(part)):
            value = value[int(part)]
        else:
            held = f", and a list of {len(value)} at {part!r}" if isinstance(value, list) else ""
            raise BadInput(
                f"no field {path!r}",
                place=place_of(row),
                remedy=f"it has {', '.join(row) or 'none'}{held}",
            )
    return value


def _within(values: list[Any], index: int) -> bool:
    return -len(values) <= index < len(values)
