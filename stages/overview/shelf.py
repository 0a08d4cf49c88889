"""Records to turn over one by one, in both directions: what was passed once is kept in a temporary file.

Of a record that was passed 17 bytes stay in memory, so a file of a million opens at once and can be read to
its end. The file is deleted when its process ends, however that ends.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator
from typing import IO

from stages.overview import record_text
from stages.overview.values import is_number, short
from stages.records import jsonl
from stages.records.record import Record, group_of, object_of
from stages.runtime.errors import R1Error, naming
from stages.runtime.results import Browsable, Looking, Styled

BREATH = 200  # records between two looks at what the user does
AHEAD = 20_000  # records in which the other completions of a problem are looked for


class Shelf(Browsable):
    """Some records: their text, one after the other, or by their place, which counts from 0.

    `fold` is how many characters of a thinking are shown; `done` is called with their number at the end of
    the text. `error` is what ended the records before their end.
    """

    def __init__(self, records: Iterator[Record], fold: int, done: Callable[[int], None]) -> None:
        self.fold = fold
        self.error: R1Error | None = None
        self.ended = False
        self._records = records
        self._text = self._whole(done)
        self._starts, self._groups = array("Q", [0]), array("q")
        self._wrong = bytearray()
        self._opened: IO[bytes] | None = None

    def __next__(self) -> Styled:
        return next(self._text)

    def view(self) -> Turning:
        return Turning(self)

    def _whole(self, done: Callable[[int], None]) -> Iterator[Styled]:
        shown = 0
        for record in itertools.chain(self._passed(), self._records):
            shown += 1
            yield from record_text.of_record(record, self.fold)
        done(shown)

    def _passed(self) -> Iterator[Record]:
        for place in range(len(self)):
            yield self.at(place)
        if self.error is not None:
            raise self.error

    def __len__(self) -> int:
        """How many were passed so far."""
        return len(self._groups)

    def has(self, place: int) -> bool:
        """Whether there is a record at `place`; reads up to it."""
        while len(self) <= place and not self.ended:
            try:
                record = next(self._records, None)
                if record is not None:
                    self._keep(record)
            except R1Error as error:
                record, self.error = None, error
            self.ended = record is None
        return 0 <= place < len(self)

    def at(self, place: int) -> Record:
        """The record at a place that there is."""
        with naming("read", "a temporary file"):
            self._file.seek(self._starts[place])
            line = self._file.read(self._starts[place + 1] - self._starts[place])
        found = jsonl.decode(line)
        return Record(found["record"], place=found["place"])

    def wrong(self, begin: int, step: int) -> Looking:
        """The next record from `begin` on whose completion is wrong, or the one before with `step` -1."""
        yield from self._look(begin, step, lambda place: bool(self._wrong[place]))

    def holding(self, begin: int, words: str) -> Looking:
        """The next record from `begin` on in whose texts `words` stand, in capitals or not."""
        wanted = words.casefold()
        yield from self._look(begin, 1, lambda place: wanted in _said(self.at(place)).casefold())

    def group(self, place: int) -> list[int]:
        """The places of the completions of the problem at `place`, the highest reward first.

        Looks through what was passed and, while there are more, through the next ones of the problem.
        """
        mark = self._groups[place]
        while self.has(len(self)) and self._groups[-1] == mark:
            pass
        low = max(place - AHEAD, 0)
        near = self._groups[low : place + AHEAD]
        places = [low + k for k, each in enumerate(near) if each == mark]
        return sorted(places, key=lambda each: rank(self.at(each)))

    def _look(self, begin: int, step: int, meets: Callable[[int], bool]) -> Looking:
        place = begin
        while self.has(place):
            if meets(place):
                yield place
                return
            place += step
            if not place % BREATH:
                yield None

    @property
    def _file(self) -> IO[bytes]:
        """The temporary file; there is none while the records are only told one after the other."""
        if self._opened is None:
            import tempfile  # 9 ms of each start

            with naming("write", "a temporary file"):
                self._opened = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the shelf
        return self._opened

    def _keep(self, record: Record) -> None:
        line = _line(record)
        with naming("write", "a temporary file"):
            self._file.seek(self._starts[-1])
            self._file.write(line)
        self._starts.append(self._starts[-1] + len(line))
        named = "group" in record or isinstance(record.get("id"), (str, int))
        self._groups.append(hash(group_of(record)) if named else len(self._groups))
        self._wrong.append(record_text.is_wrong(record))


def _line(record: Record) -> bytes:
    return jsonl.encode({"place": record.place, "record": record})


def _said(record: Record) -> str:
    """All that a person may look for in a record."""
    told = [record.get("id"), record.get("answer"), *object_of(record.get("reasons")).values()]
    if "prompt" in record:
        told.append(record_text.asked(record))
    if "completion" in record:
        told.append(record_text.words(record))
    return "\n".join(map(str, told))


def rank(record: Record) -> tuple[bool, float]:
    """The highest reward first, what has none last."""
    reward = record.get("reward")
    return (False, -reward) if reward is not None and is_number(reward) else (True, 0)


class Turning:
    """A `View` of a shelf that has a record."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._place = 0
        self._whole = self._together = False

    @property
    def count(self) -> int:
        return len(self._shelf)

    @property
    def error(self) -> R1Error | None:
        return self._shelf.error

    def title(self) -> Styled:
        known = f" of {self.count}" if self._shelf.ended else ""
        name = short(self._shelf.at(self._place).get("id", "no id"))
        return Styled(f"record {self._place + 1}{known}: {name}", "title")

    def verdict(self) -> Styled:
        record = self._shelf.at(self._place)
        return Styled(record_text.verdict(record), "bad" if record_text.is_wrong(record) else "good")

    def body(self) -> Iterator[Styled]:
        fold = 0 if self._whole else self._shelf.fold
        if self._together:
            batch = [self._shelf.at(place) for place in self._shelf.group(self._place)]
            return record_text.together(batch, batch, fold)
        return record_text.of_record(self._shelf.at(self._place), fold)

    def has(self, step: int) -> bool:
        return self._shelf.has(self._place + step)

    def go(self, place: int) -> None:
        self._place, self._together = place, False

    def turn(self, step: int) -> None:
        self.go(self._place + step)

    def fold(self) -> None:
        self._whole = not self._whole

    def group(self) -> None:
        self._together = not self._together

    def wrong(self, step: int) -> Looking:
        return self._shelf.wrong(self._place + step, step)

    def holding(self, words: str, step: int) -> Looking:
        return self._shelf.holding(self._place + step, words)
