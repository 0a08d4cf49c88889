"""Which figures a record has: fields by their paths, and what is counted of its completion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from stages.language.identification import language_of
from stages.language.thinking import split_thinking
from stages.records.lengths import tokens_of
from stages.records.record import Record

# Names and texts, of which each record has another; `meta` says the same of each.
UNIQUE = frozenset(
    ["id", "group", "sample", "prompt", "completion", "prefill", "answer", "solution", "meta", "tools",
     "prompt_ids", "completion_ids", "logprobs", "policy_logprobs", "messages"]
)  # fmt: skip
TOLD = ("finish", "dropped", "lang", "kind")  # the texts that are counted without being asked for
DESCENDED = ("rewards", "reasons")
OWN = re.compile(r"""'[^']*'|"[^"]*"|[-+]?\d[\d.,]*""")
MISSING: Any = object()

Figure = tuple[str, Any]


class Counted(NamedTuple):
    """A field that is made of a record's completion."""

    about: str
    of: Callable[[Record], Any]
    usual: bool = True  # counted without being asked for


def _characters(record: Record) -> Any:
    completion = record.get("completion")
    return len(completion) if isinstance(completion, str) else MISSING


def _tokens(record: Record) -> Any:
    tokens = tokens_of(record)
    return MISSING if tokens is None else tokens


def _parts(record: Record) -> tuple[str | None, str]:
    completion, prefill = record.get("completion"), record.get("prefill")
    if not isinstance(completion, str):
        return None, ""
    return split_thinking(completion, prefill if isinstance(prefill, str) else "")


def _thinking(record: Record) -> Any:
    thinking, _ = _parts(record)
    return MISSING if thinking is None else len(thinking.strip())


def _language(record: Record) -> Any:
    if not isinstance(record.get("completion"), str):
        return MISSING
    thinking, answer = _parts(record)
    return language_of(answer if thinking is None else thinking)


COUNTED = {
    "tokens": Counted("tokens of the completion", _tokens),
    "characters": Counted("characters of the completion", _characters),
    "thinking": Counted("characters of the thinking", _thinking, usual=False),
    "language": Counted("language of the thinking, else of the answer", _language, usual=False),
}


def usual(record: Record) -> list[Figure]:
    """Numbers, true and false of the record, its rewards, kinds of reasons, and a few texts."""
    found: list[Figure] = []
    for name, value in record.items():
        if name in UNIQUE:
            continue
        if isinstance(value, str):
            if name in TOLD:
                found.append((name, worded(name, value)))
        elif isinstance(value, dict):
            if name in DESCENDED:
                for key, inner in value.items():
                    if type(inner) is float:  # most are; it saves a call
                        found.append((f"{name}.{key}", inner))
                    else:
                        found.extend(leaves(f"{name}.{key}", inner))
        elif not isinstance(value, list):
            found.append((name, value))
    for name, counted in COUNTED.items():
        if counted.usual and name not in record:
            value = counted.of(record)
            if value is not MISSING:
                found.append((name, value))
    return found


def asked(record: Record, names: tuple[str, ...]) -> Iterator[Figure]:
    """The fields called `names`; a record's own is before one that is counted."""
    for name in names:
        value = at(record, name.split("."))
        if value is MISSING and name in COUNTED:
            value = COUNTED[name].of(record)
        if value is not MISSING:
            yield from leaves(name, value)


def at(record: dict[str, Any], path: list[str]) -> Any:
    """The value of a field, or of a field of a field; MISSING where there is none."""
    value: Any = record
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def leaves(name: str, value: Any) -> Iterator[Figure]:
    """The value under its name; of an object each field's, as `name.field`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(f"{name}.{key}", inner)
    elif isinstance(value, str):
        yield name, worded(name, value)
    else:
        yield name, value


def worded(name: str, text: str) -> str:
    """A text as it is counted: a reason without its own numbers and words, a rule of `filter` by its name."""
    if name == "dropped":
        return text.partition(":")[0]
    return OWN.sub("…", text) if name.startswith("reasons.") else text
