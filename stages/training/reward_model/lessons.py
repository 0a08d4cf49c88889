"""What of a record a reward model learns: two completions of a prompt, or one and its label; no tokens."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from stages.evaluation.held_out import HeldOut
from stages.formats.rows import Reader
from stages.formats.tables import stem_of
from stages.language.judged import Part, conversation_of
from stages.records import jsonl
from stages.records.record import Record, digest, kind_of, need, place_of
from stages.records.turns import in_words
from stages.runtime.errors import BadInput, UsageError
from stages.settings.reward_model import Settings
from stages.training.loop.preflight import due, nothing_to_train_on

PAIR = "a text, or a list of messages"
LABELS = {"safe": 1.0, "unsafe": -1.0}
LABEL = "it is safe or unsafe, 1 or 0, true or false"
FORMS = "give prompt, chosen and rejected, or prompt, completion and label; see docs/reward-model.md"


class Lesson(NamedTuple):
    """Conversations, each with its sign: chosen or labelled good +1, rejected or labelled bad −1."""

    conversations: tuple[list[dict[str, str]], ...]
    signs: tuple[float, ...]
    margin: float
    problem: str  # a name of the prompt
    record: Record

    @property
    def is_pair(self) -> bool:
        """Whether it compares two completions."""
        return len(self.signs) > 1


def looked_over(
    records: Iterable[Record], settings: Settings, *, resume: bool
) -> tuple[Iterator[Record], list[HeldOut]]:
    """All records, the first of which has been read, and teaches something; and what is held out.

    Where `resume` finds the run finished they are as they came. Raises what `due` raises, and BadInput
    where there is no record, or the first teaches nothing.
    """
    remaining = iter(records)
    if due(settings, "reward-model", None, resume=resume, lessons=None) is None:
        return remaining, []
    sets = held(settings)
    for first in remaining:
        pair = lesson(first, settings.part).is_pair
        if settings.center and not pair:
            raise UsageError("--center is for pairs: labels say where 0 is")
        return chain([first], remaining), sets
    raise nothing_to_train_on()


def held(settings: Settings) -> list[HeldOut]:
    """The files of `settings.eval`, read, each with the name it has in the metrics.

    Raises UsageError for what is no file and for two of one name, BadInput for one that measures nothing.
    """
    found: dict[str, HeldOut] = {}
    for path in settings.eval:
        if not os.path.isfile(path):
            raise UsageError(f"--eval {path}: is no file of pairs or labelled completions")
        with jsonl.open_input(path) as stream:
            rows = list(jsonl.read_lines(stream, path))
        if not rows:
            raise BadInput("no records to measure by", place=path, remedy="leave out --eval")
        for row in rows:
            lesson(row, settings.part)
        name = stem_of(path)
        if name in found:
            raise UsageError(f"--eval: two files are called {name} in the metrics; rename one")
        found[name] = HeldOut(name, path, [], rows, (), 1)
    return list(found.values())


def lesson(row: Record, part: Part) -> Lesson:
    """What a line teaches, in any form of preference or labelled data. Raises BadInput for one in no such
    form.
    """
    [record] = _whole(row)
    if "chosen" in record or "rejected" in record:
        sides = ("chosen", "rejected")
        texts = tuple(_said(record, name, part) for name in sides)
        return Lesson(texts, (1.0, -1.0), _margin(record), digest(record["prompt"]), record)
    sign = _sign(record)
    return Lesson((_said(record, "completion", part),), (sign,), 0.0, digest(record["prompt"]), record)


def _whole(row: Record) -> list[Record]:
    """The record that a line holds."""
    if not ("label" in row or "chosen" in row or "preferred_output" in row):
        missing = "label" if "completion" in row or "messages" in row else "chosen"
        need(row, missing, (str, list), FORMS)
    found = list(Reader().records(row, str(row.get("id") or place_of(row))))
    if len(found) != 1:
        raise BadInput(f"a row of {len(found)} records", place=place_of(row), remedy=FORMS)
    return found


def _said(record: Record, name: str, part: Part) -> list[dict[str, str]]:
    """The conversation that ends with the completion `name`, as it would be judged."""
    said = need(record, name, (str, list), PAIR)
    prompt = need(record, "prompt", (str, list), FORMS)
    whole = Record(prompt=prompt, completion=said, prefill=record.get("prefill"), place=record.place)
    return conversation_of(in_words(whole), part, PAIR)


def _margin(record: Record) -> float:
    value = record.get("margin")
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(
            f"field 'margin' is {kind_of(value)}", place=place_of(record), remedy="it is a finite number"
        )
    return float(value)


def _sign(record: Record) -> float:
    value = record.get("label")
    if isinstance(value, str) and value.strip().lower() in LABELS:
        return LABELS[value.strip().lower()]
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return 1.0 if value else -1.0
    raise BadInput(f"field 'label' is {value!r}"[:100], place=place_of(record), remedy=LABEL)
