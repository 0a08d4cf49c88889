"""Mix records of several files by weights: exact counts, in an order that the seed names.

Each file is given as FILE=WEIGHT. Of N records a file gives N times its share of the weights, rounded by the
largest remainder, each record once. Without -n, N is what the file allows that is used up first. Rows of
other programs become records. Memory is bounded: what is more than --memory lies in temporary files (TMPDIR),
as large as the input, so a file may be a pipe: /dev/stdin=1, or <(command)=1.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Annotated

from stages.formats.foreign import as_records
from stages.records import jsonl
from stages.records.ordering import Memory, shuffled
from stages.records.record import Record, group_of, seed_of
from stages.runtime.errors import BadInput, StreamError, UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.options import Doc, Flag, Range
from stages.settings.shares import share_of

EXAMPLES = (
    "r1 mix reasoning.jsonl=3 general.jsonl=1 > sft.jsonl",
    "r1 mix -n 800000 --repeat --seed 7 reasoning.jsonl=6 writing.jsonl=1.5 facts.jsonl=0.5 -o mixed.jsonl",
)
LARGEST = 1e12  # weight


def run(
    files: Annotated[
        tuple[str, ...],
        Doc("Each is FILE=WEIGHT, such as a.jsonl=3."),
    ],
    *,
    count: Annotated[
        int | None,
        Doc("Records of the mixture; as many as there are by default."),
        Flag("-n", "--count"),
        Range(low=1),
    ] = None,
    repeat: Annotated[
        bool, Doc("Take the records of a file that has too few again, in another order; with -n.")
    ] = False,
    seed: Annotated[int, Doc("Another seed, other records in another order."), Range(low=0)] = 0,
    memory: Memory = 256,
    report: Report = SILENT,
) -> Iterator[Record]:
    """The records of the mixture, as they are but for names that two files have.

    Raises UsageError for weights that make no sense and for more records than there are, StreamError for a
    file that cannot be read, BadInput for one without records.
    """
    weights = _weights(files)
    if repeat and count is None:
        raise UsageError("--repeat needs -n: there is no end of records otherwise")
    report.start(None, "records")
    room = (memory << 20) // len(weights)
    decks = [
        Deck(path, seed_of("mix", seed, k), room, again=repeat, report=report)
        for k, path in enumerate(weights)
    ]
    shares = list(weights.values())
    wanted = _counts(shares, _most(shares, decks) if count is None else count)
    for deck, many in zip(decks, wanted, strict=True):
        deck.refuse(many, repeat, _most(shares, decks))
    names = Names(decks)
    for k in _order(wanted, seed):
        yield names.of_its_own(k, *decks[k].draw())
    if names.changed:
        report.note(
            f"{names.changed} records of problems that another file, or an earlier turn, has too: "
            f"their names end with @ and the file's, such as {names.example}"
        )
    parts = ", ".join(f"{deck.path} {many} of {deck.size}" for deck, many in zip(decks, wanted, strict=True))
    again = sum(max(many - deck.size, 0) for deck, many in zip(decks, wanted, strict=True))
    report.summary(f"{sum(wanted)} records: {parts}" + (f"; {again} of them repeated" if again else ""))


def _weights(files: Sequence[str]) -> dict[str, Fraction]:
    """Weights by file. Raises UsageError where there are none, or one that is none; StreamError for a file
    that is not there.
    """
    found: dict[str, Fraction] = {}
    for text in files:
        path, weight = share_of(text, LARGEST)
        if not path or not weight:
            raise UsageError(f"{text}: must be FILE=WEIGHT with a weight above 0, such as a.jsonl=3")
        if path in found:
            raise UsageError(f"{path} is given twice; add up its weights")
        if not os.access(path, os.R_OK):
            reason = "permission denied" if os.path.exists(path) else "no such file"
            raise StreamError(f"cannot read {path}: {reason}")
        found[path] = weight
    return found


class Deck:
    """The records of a file in a random order, of which each is drawn once, or under `again` turn by turn."""

    def __init__(self, path: str, seed: int, memory: int, *, again: bool, report: Report) -> None:
        """Reads the whole file. Raises what reading raises."""
        self.path, self.size, self.drawn = path, 0, 0
        # A draw counts what has been read, and all is read before the first.
        order = shuffled(self._counted(path, report), memory, seed, again=again)
        self._order = chain([first], order) if (first := next(order, None)) is not None else order

    def _counted(self, path: str, report: Report) -> Iterable[Record]:
        with jsonl.open_input(path) as stream:
            for record in as_records(jsonl.read_lines(stream, path), report):
                self.size += 1
                report.advance()
                yield record

    def refuse(self, many: int, repeat: bool, most: int) -> None:
        """Raises BadInput where the file is empty, UsageError where it has fewer than `many`."""
        if not self.size:
            remedy = "leave the file out, or see what the stage before kept"
            raise BadInput("no records to mix", place=self.path, remedy=remedy)
        if many > self.size and not repeat:
            raise UsageError(
                f"{self.path} has {self.size} records, and {many} of it are wanted; give --repeat, "
                f"or -n {most} at most"
            )

    def draw(self) -> tuple[Record, int]:
        """The next record, and how often it has been drawn before."""
        turn = self.drawn // self.size
        self.drawn += 1
        return next(self._order), turn


def _most(weights: Sequence[Fraction], decks: Sequence[Deck]) -> int:
    """Records of the largest mixture that takes none twice."""
    whole = sum(weights)
    return min(int(deck.size * whole / weight) for deck, weight in zip(decks, weights, strict=True))


def _counts(weights: Sequence[Fraction], total: int) -> list[int]:
    """`total` shared out by weight: rounded down, what is left to the largest remainders, the first of equal
    ones.
    """
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(each) for each in exact]
    last = sorted(range(len(exact)), key=lambda k: counts[k] - exact[k])
    for k in last[: total - sum(counts)]:
        counts[k] += 1
    return counts


def _order(counts: Sequence[int], seed: int) -> Iterator[int]:
    """The number of the file of each record: every order of so many of each is as likely."""
    left, drawn = list(counts), random.Random(seed_of("mix", seed))
    for total in range(sum(counts), 0, -1):
        at = drawn.randrange(total)
        k = 0
        while at >= left[k]:
            at -= left[k]
            k += 1
        left[k] -= 1
        yield k


class Names:
    """Gives a problem that comes from two files, or for the second time from one, two names.

    Of each problem a number is remembered.
    """

    def __init__(self, decks: Sequence[Deck]) -> None:
        self.labels = [Path(deck.path).name.split(".")[0] or str(k) for k, deck in enumerate(decks)]
        self.changed, self.example = 0, ""
        self._owners: dict[int, tuple[int, int]] = {}

    def of_its_own(self, file: int, record: Record, turn: int) -> Record:
        """The record, with `id` and `group` changed where another file or turn has its problem."""
        if "id" not in record and "group" not in record:
            return record
        problem = name = group_of(record)
        label = self.labels[file] + (f".{turn + 1}" if turn else "")
        while self._owners.setdefault(hash(name), (file, turn)) != (file, turn):
            name = f"{name}@{label}"
        if name == problem:
            return record
        self.changed += 1
        given = str(record.get("id", problem))
        head, mark, tail = given.rpartition("#")
        if not (mark and tail.isdigit()):
            head, mark, tail = given, "", ""
        own = head + name.removeprefix(problem) + mark + tail
        self.example = self.example or own
        return record.adding(id=own, **({"group": name} if "group" in record else {}))
