"""The completions of a page: columns to filter by, and the texts apart, so that filters wait for no text.

Of more than `most` completions whole problems are drawn, those whose names have the lowest digests: the same
problems of every source, so that models and steps can still be compared.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from typing import Any

from stages.language.identification import language_of
from stages.overview import record_text
from stages.overview.values import figure, short
from stages.records.lengths import tokens_of
from stages.records.record import Record, group_of, object_of
from stages.runtime import shown

CHUNK = 1 << 20  # characters of the texts that stand together
HEARD = 300  # characters whose language is told: the whole would take milliseconds of each completion
TOLD_APART = frozenset(
    ["id", "group", "sample", "prompt", "completion", "prefill", "answer", "solution", "meta", "tools",
     "step", "prompt_ids", "completion_ids", "logprobs", "messages", "rewards", "reasons", "reward",
     "advantage", "finish", "dropped", "tokens"]
)  # fmt: skip

Kept = tuple[int, Record]  # the number of its source, and the record


class Drawn:
    """Takes the records of all sources in turn and holds at most `most` of them, by whole problems."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen = self.held = 0
        self._problems: dict[str, list[Kept]] = {}
        self._highest: list[tuple[int, str]] = []  # the highest digest first
        self._bound = 1 << 64  # of the digests of problems that are held

    def add(self, source: int, record: Record) -> None:
        """A completion of the source of this number."""
        self.seen += 1
        name = group_of(record)
        held = self._problems.get(name)
        if held is None:
            place = _digest(name)
            if place >= self._bound or not self.most:
                return
            held = self._problems[name] = []
            heapq.heappush(self._highest, (-place, name))
        elif len(self._problems) == 1 and self.held >= self.most:
            return
        held.append((source, _without_tokens(record)))
        self.held += 1
        while self.held > self.most and len(self._problems) > 1:
            place, dropped = heapq.heappop(self._highest)
            self._bound = -place
            self.held -= len(self._problems.pop(dropped))

    def records(self) -> list[Kept]:
        """What is held, source after source, each in the order it came in."""
        return sorted((each for held in self._problems.values() for each in held), key=lambda each: each[0])


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(errors="replace"), digest_size=8).digest(), "big")


def _without_tokens(record: Record) -> Record:
    """The record without what the page does not show and takes most room; it keeps the count of tokens."""
    made = record.adding(tokens=tokens_of(record))
    for name in ("prompt_ids", "completion_ids", "logprobs", "messages"):
        made.pop(name, None)
    return made


class Words:
    """Texts that many completions share, each once; a column has their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str | None) -> int | None:
        """The number of a text; None of none."""
        return None if text is None else self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        """Every text, in the order of their numbers."""
        return list(self._numbers)


class Columns:
    """Completions as columns. A value is None where the completion has none; texts are fit to be shown."""

    def __init__(self) -> None:
        self.words = Words()
        self.problems: list[dict[str, str]] = []
        self.texts: list[list[str | None]] = []
        self._numbers: dict[tuple[str, str], int] = {}
        self._simple: dict[str, list[Any]] = {
            name: []
            for name in ("source", "problem", "id", "step", "reward", "advantage", "tokens", "characters",
                         "finish", "language", "dropped", "about", "place")
        }  # fmt: skip
        self._rewards: dict[str, list[Any]] = {}
        self._reasons: dict[str, list[Any]] = {}

    def add(self, source: int, record: Record) -> None:
        """One completion."""
        said, count, word = record_text.parts(record), len(self.texts), self.words.number
        row = {
            "source": source,
            "problem": self._problem(record),
            "id": short(record.get("id", "")),
            "step": _step(record),
            "reward": _number(record.get("reward")),
            "advantage": _number(record.get("advantage")),
            "tokens": figure(record.get("tokens")),
            "characters": len(record_text.words(record)),
            "finish": word(_text(record.get("finish"))),
            "language": word(_language(said)),
            "dropped": word(_text(record.get("dropped"))),
            "about": word(_about(record)),
            "place": shown.line(record.place),
        }
        for name, value in row.items():
            self._simple[name].append(value)
        for name, value in object_of(record.get("rewards")).items():
            _put(self._rewards, shown.line(name), count, _number(value))
        for name, value in object_of(record.get("reasons")).items():
            if value not in (None, ""):
                _put(self._reasons, shown.line(name), count, word(short(value)))
        thinking = None if said.thinking is None else _block(said.thinking)
        self.texts.append([thinking, _block(said.answer), _block(said.first), "" if said.ended else "open"])

    def _problem(self, record: Record) -> int:
        """The number of its problem; of one name and two prompts there are two."""
        prompt = _block(record_text.asked(record)) if "prompt" in record else ""
        key = short(group_of(record)), prompt
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.problems)
            answer = record.get("answer")
            reference = (
                "" if answer in (None, "") else _block(answer if isinstance(answer, str) else short(answer))
            )
            self.problems.append({"name": key[0], "prompt": prompt, "reference": reference})
        return number

    def index(self) -> dict[str, Any]:
        """All but the texts."""
        count = len(self.texts)
        for column in (*self._rewards.values(), *self._reasons.values()):
            column.extend([None] * (count - len(column)))
        used = {
            name: column
            for name, column in self._simple.items()
            if any(value is not None for value in column)
        }
        return {
            "count": count,
            "columns": used,
            "rewards": self._rewards,
            "reasons": self._reasons,
            "words": self.words.all(),
            "problems": self.problems,
        }

    def chunks(self) -> Iterator[list[list[str | None]]]:
        """The texts in order, in lists of about `CHUNK` characters: thinking, answer, what stands before, and
        `open` where the thinking does not end.
        """
        chunk: list[list[str | None]] = []
        size = 0
        for text in self.texts:
            chunk.append(text)
            size += sum(len(each) for each in text if each)
            if size >= CHUNK:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk


def columns(kept: Iterable[Kept]) -> Columns:
    """The columns of all completions."""
    made = Columns()
    for source, record in kept:
        made.add(source, record)
    return made


def _put(columns: dict[str, list[Any]], name: str, count: int, value: Any) -> None:
    """The value of completion number `count`, after None for those before that had none."""
    column = columns.setdefault(name, [])
    column.extend([None] * (count - len(column)))
    column.append(value)


def _step(record: Record) -> float | None:
    """Of the training that the completion was made in."""
    entries = object_of(record.get("meta")).values()
    steps = [entry["step"] for entry in entries if isinstance(entry, dict) and type(entry.get("step")) is int]
    return figure(steps[-1]) if steps else None


def _number(value: Any) -> float | None:
    known = figure(value)
    return None if known is None else float(f"{known:.6g}")


def _text(value: Any) -> str | None:
    return None if value is None else short(value)


def _language(said: record_text.Said) -> str | None:
    """The language of how the thinking begins, else of the answer."""
    text = (said.answer if said.thinking is None else said.thinking).strip()[:HEARD]
    return language_of(text)


def _about(record: Record) -> str | None:
    """Fields that stand in no column, and the model: what else one would ask."""
    other = [f"{name} {short(value)}" for name, value in record.items() if name not in TOLD_APART]
    made = object_of(object_of(record.get("meta")).get("generate"))
    told = [f"{name} {short(made[name])}" for name in ("model", "template", "temperature") if name in made]
    return shown.line(", ".join([*told, *other])) or None


def _block(text: str) -> str:
    return shown.block(text.strip("\n")).rstrip()
