"""The instructions of a record, and which of them a text follows: strictly, and loosely."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from stages.grading.instructions.checks import KINDS
from stages.language.identification import is_language

Check = Callable[[str], bool]


def checks_of(record: Mapping[str, Any]) -> list[Check]:
    """One check for each of `instruction_id_list`, with what `kwargs` says of it.

    Raises ValueError for a record that has none, for a kind that is unknown, and for settings that are not
    those of their kind. A setting that is null is none: the hub's rows name all that there are.
    """
    names, settings = record.get("instruction_id_list"), record.get("kwargs")
    if not isinstance(names, list) or not names:
        raise ValueError("not a problem of ifeval: it has no instruction_id_list")
    if not isinstance(settings, list) or len(settings) != len(names):
        raise ValueError("kwargs must be a list with one object for each of instruction_id_list")
    return [_check(name, given) for name, given in zip(names, settings, strict=True)]


def _check(name: Any, settings: Any) -> Check:
    if not isinstance(name, str) or name not in KINDS:
        raise ValueError(f"there is no instruction {str(name)[:60]!r}")
    if not isinstance(settings, dict):
        raise ValueError(f"{name}: its settings are no object")
    given = {key: _plain(value) for key, value in settings.items() if value is not None}
    wanted = _parameters(name)
    if unknown := given.keys() - wanted.keys():
        raise ValueError(f"{name} has no setting {min(unknown)[:60]!r}")
    for key, kind in wanted.items():
        if key not in given:
            raise ValueError(f"{name} needs {key}")
        if not _fits(given[key], kind):
            raise ValueError(f"{name}: {key} cannot be {str(given[key])[:60]!r}")
    if "language" in given and not is_language(given["language"]):
        raise ValueError(f"{name}: no language {given['language'][:60]!r} is known here")
    return partial(KINDS[name], **given)


def _plain(value: Any) -> Any:
    """A whole number as one, though a table has made it 3.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def _parameters(name: str) -> dict[str, Any]:
    hints = typing.get_type_hints(KINDS[name])
    return {key: kind for key, kind in hints.items() if key not in ("text", "return")}


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind: a number, words, a list of them, or one of a few words."""
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if kind is str:
        return isinstance(value, str) and bool(value.strip())
    if typing.get_origin(kind) is list:
        return isinstance(value, list) and bool(value) and all(_fits(each, str) for each in value)
    return value in typing.get_args(kind)


def followed(text: str, checks: Sequence[Check]) -> list[bool]:
    """Which of the instructions the text follows. An empty text follows none."""
    return [bool(text.strip()) and check(text) for check in checks]


def followed_loosely(text: str, checks: Sequence[Check]) -> list[bool]:
    """Which of them a form of the text follows: as it is, without its first line, its last one, or both, each
    with its asterisks and without."""
    lines = text.split("\n")
    shorter = ("\n".join(each).strip() for each in (lines[1:], lines[:-1], lines[1:-1]))
    whole = [text, *shorter]
    forms = dict.fromkeys([*whole, *(each.replace("*", "") for each in whole)])
    return [any(each.strip() and check(each) for each in forms) for check in checks]
