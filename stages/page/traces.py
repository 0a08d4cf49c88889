"""The completions of a page: columns to filter by, and the texts apart, so that filters wait for no text.

Of more than `most` completions whole problems are drawn, those whose names have the lowest digests: the same
problems of every source, so that models and steps can still be compared. So are the problems whose tokens are
kept.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.language.behaviours import counted
from stages.language.identification import language_of
from stages.overview import record_text
from stages.overview.values import figure, short
from stages.page import heat
from stages.page.funnel import verdict
from stages.page.heat import Heat, Tokens
from stages.records.lengths import tokens_of
from stages.records.record import Record, group_of, object_of
from stages.runtime import shown

CHUNK = 1 << 20  # characters of the texts that stand together
TOKENS = 1_000_000  # of which text and log-probability are in a page
HEARD = 300  # characters whose language is told: the whole would take milliseconds of each completion
TOLD_APART = frozenset(
    ["id", "group", "sample", "prompt", "completion", "prefill", "answer", "solution", "meta", "tools",
     "step", "rewards", "reasons", "reward", "advantage", "finish", "dropped", "tokens"]
)  # fmt: skip
LONG = ("prompt_ids", "completion_ids", "logprobs", "policy_logprobs", "messages")
BEYOND = f"the page has tokens of the first {TOKENS:,} alone, by whole problems"


@dataclass
class Kept:
    """A completion that is held: its source's number, the record without what is long, and its tokens."""

    source: int
    record: Record
    tokens: Tokens | None
    logprob: float | None = None  # the mean of its tokens
    ratio: float | None = None  # the farthest from 1
    beyond: bool = False  # whether there were tokens for which there is no room

    def cool(self) -> None:
        """Lets go of the tokens."""
        self.tokens, self.beyond = None, self.beyond or self.tokens is not None


class Drawn:
    """Takes the records of all sources in turn and holds at most `most` of them, by whole problems.

    So it holds the tokens of at most TOKENS, but of one problem's at least.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen = self.held = 0
        self._problems: dict[str, list[Kept]] = {}
        self._highest: list[tuple[int, str]] = []  # the highest digest first
        self._bound = 1 << 64  # of the digests of problems that are held
        self._tokens: Counter[str] = Counter()  # that are held, by problem
        self._warmest: list[tuple[int, str]] = []  # as `_highest`, of problems with tokens
        self._cold = 1 << 64  # from which digest on no tokens are held

    def add(self, source: int, record: Record) -> None:
        """A completion of the source of this number."""
        self.seen += 1
        name = group_of(record)
        place = _digest(name)
        held = self._problems.get(name)
        if held is None:
            if place >= self._bound or not self.most:
                return
            held = self._problems[name] = []
            heapq.heappush(self._highest, (-place, name))
        elif len(self._problems) == 1 and self.held >= self.most:
            return
        held.append(self._kept(source, record, name, place))
        self.held += 1
        while self.held > self.most and len(self._problems) > 1:
            place, dropped = heapq.heappop(self._highest)
            self._bound = -place
            self._tokens.pop(dropped, None)
            self.held -= len(self._problems.pop(dropped))

    def _kept(self, source: int, record: Record, name: str, place: int) -> Kept:
        """The completion with its tokens, where there is room for them, which others may lose."""
        tokens = heat.tokens_of(record)
        made = Kept(source, _without_tokens(record), tokens)
        if tokens is None:
            return made
        made.logprob, made.ratio = tokens.mean(), tokens.farthest()
        if place >= self._cold:
            made.cool()
            return made
        if name not in self._tokens:
            heapq.heappush(self._warmest, (-place, name))
        self._tokens[name] += len(tokens.ids)
        while self._tokens.total() > TOKENS and len(self._tokens) > 1:
            place, coldest = heapq.heappop(self._warmest)
            if self._tokens.pop(coldest, 0):
                self._cold = -place
                for each in self._problems[coldest]:
                    each.cool()
        if name not in self._tokens or self._tokens[name] > TOKENS:
            made.cool()
        return made

    def records(self) -> list[Kept]:
        """What is held, source after source, each in the order it came in."""
        return sorted(
            (each for held in self._problems.values() for each in held), key=lambda kept: kept.source
        )


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(errors="replace"), digest_size=8).digest(), "big")


def _without_tokens(record: Record) -> Record:
    """The record without what the page does not show and takes most room; it keeps the count of tokens."""
    made = record.adding(tokens=tokens_of(record))
    for name in LONG:
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
    """Completions as columns. A value is None where the completion has none; texts are fit to be shown.

    `folders` are where each source's tokenizer may be, by the source's number.
    """

    def __init__(self, folders: Sequence[Sequence[Path]] = ()) -> None:
        self.folders = folders
        self.words = Words()
        self.heat = Heat()
        self.problems: list[dict[str, str]] = []
        self.texts: list[list[Any]] = []
        self._numbers: dict[tuple[str, str], int] = {}
        self._simple: dict[str, list[Any]] = {
            name: []
            for name in ("source", "problem", "id", "step", "reward", "advantage", "tokens", "characters",
                         "logprob", "ratio", "verdict", "finish", "language", "dropped", "about", "place")
        }  # fmt: skip
        self._rewards: dict[str, list[Any]] = {}
        self._reasons: dict[str, list[Any]] = {}
        self._behaviours: dict[str, list[int]] = {}

    def add(self, kept: Kept) -> None:
        """One completion."""
        source, record = kept.source, kept.record
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
            "logprob": _number(kept.logprob),
            "ratio": _number(kept.ratio),
            "verdict": word(verdict(record)[0] or None),
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
        for name, number in counted(said.answer if said.thinking is None else said.thinking).items():
            self._behaviours.setdefault(name, []).append(int(number))
        self.texts.append(
            [
                thinking,
                _block(said.answer),
                _block(said.first),
                "" if said.ended else "open",
                self._tokens(kept),
            ]
        )

    def _tokens(self, kept: Kept) -> list[str] | int | None:
        """The tokens of a completion; the number of the words that say why not; None where it kept none."""
        if kept.tokens is None:
            return self.words.number(BEYOND) if kept.beyond else None
        folders = self.folders[kept.source] if kept.source < len(self.folders) else ()
        told = self.heat.told(kept.record, kept.tokens, folders)
        return self.words.number(told) if isinstance(told, str) else told

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
            "behaviours": {name: column for name, column in self._behaviours.items() if any(column)},
            "words": self.words.all(),
            "pieces": self.heat.texts,
            "problems": self.problems,
        }

    def chunks(self) -> Iterator[list[list[Any]]]:
        """The texts in order, in lists of about `CHUNK` characters: thinking, answer, what stands before,
        `open` where the thinking does not end, and the tokens.
        """
        chunk: list[list[Any]] = []
        size = 0
        for text in self.texts:
            chunk.append(text)
            size += sum(len(each) for each in text[:3] if each)
            size += sum(map(len, text[4])) if isinstance(text[4], list) else 0
            if size >= CHUNK:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk


def columns(kept: Iterable[Kept], folders: Sequence[Sequence[Path]] = ()) -> Columns:
    """The columns of all completions."""
    made = Columns(folders)
    for each in kept:
        made.add(each)
    return made


def _put(columns: dict[str, list[Any]], name: str, count: int, value: Any) -> None:
    """The value of completion number `count`, after None for those before that had none.

    Of two names that are shown alike the first that has a value counts.
    """
    column = columns.setdefault(name, [])
    column.extend([None] * (count - len(column)))
    if len(column) == count:
        column.append(value)
    elif column[count] is None:
        column[count] = value


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
