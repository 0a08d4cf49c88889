"""1 where the answer is JSON that is valid by the JSON Schema asked for, 0 where it is not.

The schema is `schema`, a file, else the record's field `json_schema`. The answer is what follows the
thinking: nothing but JSON, or under `form=any` a block of code with it. A key that stands twice, NaN and
numbers that no double holds are no JSON here.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.grading.structured.answers import Form, NoAnswer, answered, value_of
from stages.grading.structured.schema import Schema
from stages.records.record import need
from stages.records.verdict import Counts, Example, Verdict
from stages.runtime.errors import UsageError

PERSON: dict[str, Any] = {
    "json_schema": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
}
EXAMPLES: list[Example] = [
    ({**PERSON, "completion": '<think>Ann.</think>\n{"name": "Ann", "age": 41}'}, {}, 1.0),
    ({**PERSON, "completion": 'Here:\n```json\n{"name": "Ann", "age": 41.0}\n```'}, {}, 1.0),
    ({**PERSON, "completion": 'Here:\n```json\n{"name": "Ann", "age": 41}\n```'}, {"form": "plain"}, 0.0),
    ({**PERSON, "completion": '{"name": "Ann", "age": "41"}'}, {}, 0.0),
    ({**PERSON, "completion": '{"name": "Ann", "age": 41, "age": 14}'}, {}, 0.0),
    ({**PERSON, "completion": '<think>{"name": "Ann", "age": 41}</think>'}, {}, 0.0),
    ({"json_schema": {"type": "array", "sorted": True}, "completion": "[1]"}, {}, None),
    ({"completion": "[1]"}, {}, None),
]
REMEMBERED = 20_000  # characters of a schema that is read once for many records


def json_schema(record: dict[str, Any], *, schema: str = "", form: Form = "any") -> Verdict | Counts:
    """Null where there is no schema, or one with anything that is not checked here.

    Raises UsageError for a `schema` that is no file of such a schema.
    """
    need(record, "completion", str, "json_schema judges completions: run r1 generate first")
    try:
        held = of_file(schema) if schema else of_record(record)
    except ValueError as error:
        return Verdict(None, f"the schema cannot be read: {error}"[:300])
    try:
        value = value_of(answered(record), form)
    except NoAnswer as error:
        return Counts(0.0, str(error), {"json": 0.0})
    try:
        fault = held.fault(value)
    except ValueError as error:
        return Verdict(None, f"the schema cannot be used: {error}"[:300])
    return Counts(float(not fault), fault or "valid", {"json": 1.0})


def of_record(record: dict[str, Any]) -> Schema:
    """The record's own schema, as an object or as JSON text. Raises ValueError where it has none."""
    given = record.get("json_schema")
    if given is None:
        raise ValueError("the record has no json_schema")
    text = given if isinstance(given, str) else json.dumps(given)
    return _known(text) if len(text) <= REMEMBERED else Schema(json.loads(text))


@lru_cache(maxsize=64)
def _known(text: str) -> Schema:
    given = json.loads(text)
    if isinstance(given, dict) and isinstance(given.get("schema"), dict):
        given = given["schema"]  # as in a request's response_format, with a name beside it
    return Schema(given)


@lru_cache(maxsize=8)
def of_file(path: str) -> Schema:
    """The schema in a file. Raises UsageError where there is none that is understood."""
    try:
        return _known(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--reward json_schema:schema={path}: {error}") from None


def check(schema: str = "", form: Form = "any") -> None:
    """Raises UsageError for a file that holds no schema."""
    if schema:
        of_file(schema)


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """An empty object: null where the schema cannot be read."""
    return [("</think>{}", 0.0)]
