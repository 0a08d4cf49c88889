"""The record: one JSON object, one completion (or, before `generate`, one problem).

Fields are listed in docs/records.md. A stage adds fields and removes none; what it does not
know passes through. `place` remembers the `FILE:LINE` a record was read from, for messages.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import orjson

from stages.runtime.errors import BadInput

# What data sets have in place of a prompt, or of prompt and completion.
FORMS = ("messages", "conversations", "problem", "question", "instruction")
NAMED = "`r1 prompts FILE` gives one to each record that has none"


class Record(dict[str, Any]):
    """A JSON object that knows where it was read."""

    __slots__ = ("place",)

    def __init__(self, *args: Any, place: str = "", **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.place = place

    def adding(self, **fields: Any) -> Record:
        """A copy with `fields` set and the same place."""
        return Record({**self, **fields}, place=self.place)


def need(record: dict[str, Any], field: str, kind: type | tuple[type, ...], remedy: str) -> Any:
    """The value of `field`, or BadInput that names the record, the field and the remedy."""
    value = record.get(field)
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    found = "is missing" if field not in record else f"is {kind_of(value)}"
    other = "" if field in record else _of_another_form(record, field)
    raise bad_record(record, f"field {field!r} {found}", other or remedy)


def _of_another_form(record: dict[str, Any], field: str) -> str:
    """What to do about a line that is no record yet, or one of figures, where prompt or completion lacks."""
    if field == "completion" and "pass@1" in record:
        return "it is a line of figures that r1 eval has made; give the completions that they are of"
    form = next((key for key in FORMS if key in record and "prompt" not in record), "")
    if field in ("id", "prompt", "completion") and form:
        return f"`r1 prompts FILE` makes records of lines with {form!r}"
    return ""


def kind_of(value: Any) -> str:
    """What JSON calls a value of this type."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds = {str: "a string", dict: "an object", list: "an array"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "a number")


def reward_of(record: dict[str, Any], name: str, remedy: str) -> float | None:
    """The record's reward called `name`; None where it could not be judged. Else BadInput."""
    rewards = record.get("rewards")
    if not isinstance(rewards, dict) or name not in rewards:
        raise bad_record(record, f"no reward {name!r}", remedy)
    value = rewards[name]
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        what = f"reward {name!r} is {kind_of(value)}, neither a number nor null"
        raise bad_record(record, what, remedy)
    return value


def named_of(record: dict[str, Any], names: Sequence[str]) -> str:
    """The first of the rewards `names` that the record has; the first of them where it has none."""
    given = object_of(record.get("rewards"))
    return next((name for name in names if name in given), names[0])


def place_of(record: dict[str, Any]) -> str:
    """Where the record came from: `FILE:LINE`, or its id."""
    return getattr(record, "place", "") or f"record {record.get('id', '?')!s}"


def bad_record(record: dict[str, Any], what: str, remedy: str = "") -> BadInput:
    """The error of a record that cannot be used, with its place."""
    return BadInput(what, place=place_of(record), remedy=remedy)


def group_of(record: dict[str, Any]) -> str:
    """The problem's id: `group`, else the `id` without its `#<k>`."""
    group = record.get("group")
    if group is not None:
        return str(group)
    name = need(record, "id", (str, int), NAMED)
    head, mark, tail = str(name).rpartition("#")
    return head if mark and tail.isdigit() else str(name)


def object_of(value: Any) -> dict[str, Any]:
    """The value where JSON calls it an object, else {}."""
    return value if isinstance(value, dict) else {}


def stamp(record: dict[str, Any], stage: str, **origin: Any) -> dict[str, Any]:
    """The record's `meta` with an entry for `stage`: where this line comes from."""
    return {**object_of(record.get("meta")), stage: {**origin, "version": code_version()}}


def said_by(record: dict[str, Any], stage: str) -> dict[str, Any]:
    """What the record's `meta` says of `stage`; {} where it says nothing."""
    return object_of(object_of(record.get("meta")).get(stage))


def digest(*parts: Any) -> str:
    """A 16-digit hexadecimal name of any JSON values: equal values, equal name, on any machine."""
    try:
        payload = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:  # an integer of more than 64 bits, or deeper than 254 levels
        payload = json.dumps(parts, sort_keys=True, default=str).encode()
    return hashlib.blake2b(payload, digest_size=8).hexdigest()


def seed_of(*parts: Any) -> int:
    """A 63-bit seed of any JSON values: independent streams for different values."""
    return int(digest(*parts), 16) >> 1


@functools.cache
def code_version() -> str:
    """The version of this program, as written into `meta` and `r1.json`."""
    from importlib.metadata import PackageNotFoundError, version  # 14 ms of each start

    try:
        return version("r1cli")
    except PackageNotFoundError:
        return "0+unknown"
