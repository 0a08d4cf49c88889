"""Show records as a person reads them: the problem, the thinking, the answer, and why it got its rewards.

On a terminal in colour, with keys to turn the records over: n next, p previous, w next wrong completion, q
end. In a pipe as plain text. A group's completions come best first. With --diff the records are compared with
those of another file by problem and id, and what became other is shown, the greatest loss first.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from stages.formats.foreign import as_records
from stages.overview import record_text
from stages.overview.differences import Differences
from stages.overview.shelf import Shelf, rank
from stages.records import jsonl
from stages.records.record import Record, group_of, seed_of
from stages.records.where import Where
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.options import Doc, Flag, Range

EXAMPLES = (
    "r1 show --where 'rewards.accuracy == 0' -n 3 scored.jsonl",
    "r1 show --sample 5 --seed 1 scored.jsonl",
    "r1 show --diff before.jsonl after.jsonl",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which records are shown, and how much of each."""

    id: Annotated[str | None, Doc("Only the record of this id."), Flag("--id", metavar="ID")] = None
    group: Annotated[
        str | None,
        Doc("The completions of this problem, the highest reward first."),
        Flag("--group", metavar="ID"),
    ] = None
    where: Annotated[
        str | None,
        Doc("A condition on fields, as in filter, such as 'reward < 1 and finish == \"stop\"'."),
        Flag("--where", metavar="EXPR"),
    ] = None
    sample: Annotated[
        int | None, Doc("This many of them, drawn at random, in their order."), Range(low=1)
    ] = None
    seed: Annotated[int, Doc("Another seed, another sample."), Range(low=0)] = 0
    limit: Annotated[
        int | None,
        Doc("Show the first N, and read no further than needed."),
        Flag("-n", "--limit"),
        Range(low=0),
    ] = None
    diff: Annotated[
        Path | None,
        Doc("Show what became other since this file, problem by problem."),
        Flag("--diff", metavar="OTHER"),
    ] = None
    fold: Annotated[
        int, Doc("Characters of thinking to show, its beginning and its end; 0 shows all."), Range(low=0)
    ] = 2000
    keys: Annotated[bool, Doc("On a terminal, turn the records over with keys; else in a pager.")] = True


def run(
    records: Iterable[Record],
    settings: Settings = Settings(),
    *,
    report: Report = SILENT,
) -> Iterator[str]:
    """Yields the text of each record, in pieces of whole lines; each is a `Styled`.

    Raises UsageError for options that make no sense together, an id that no record has and a condition on a
    field that none has; BadInput for a record without an id where problems are told apart.
    """
    if settings.diff is not None and settings.sample is not None:
        raise UsageError("--diff compares whole problems; leave out --sample")
    chosen = _Chosen(settings)
    counted = chosen.counted(as_records(records, report), report)
    if settings.diff is not None:
        other = as_records(jsonl.read_file(settings.diff), report)
        return _compared(Differences(counted, other, chosen), chosen, report)
    found: Iterator[Record] = filter(chosen, counted)
    if settings.sample is not None:
        found = _sampled(found, settings.sample, settings.seed)
    if settings.group is not None:
        return _together(found, chosen, report)
    shelf = Shelf(
        itertools.islice(found, settings.limit), settings.fold, lambda shown: chosen.end(shown, report)
    )
    return shelf if settings.keys else (piece for piece in shelf)


class _Chosen:
    """Whether the options choose a record. `read` counts all; `ended`: these were all there are."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.where = Where(settings.where) if settings.where is not None else None
        self.read = 0
        self.ended = self.met = False

    def counted(self, records: Iterable[Record], report: Report) -> Iterator[Record]:
        """All `records`."""
        report.start(None, "records")
        for record in records:
            self.read += 1
            report.advance()
            yield record
        self.ended = True

    def __call__(self, record: Record) -> bool:
        wanted, group = self.settings.id, self.settings.group
        if wanted is not None and str(record.get("id")) != wanted:
            return False
        if group is not None and group_of(record) != group:
            return False
        self.met = True
        return self.where is None or self.where(record)

    def end(self, shown: int, report: Report) -> None:
        """Says how many were shown. Raises as `check` does."""
        self.check()
        report.summary(f"{shown} of {self.read} records" + ("" if self.ended else " read so far"))

    def check(self) -> None:
        """Once all is read: raises UsageError for an id, a problem or a field that no record has."""
        if not self.ended:
            return
        for flag, name in (("--id", self.settings.id), ("--group", self.settings.group)):
            if name is not None and self.read and not self.met:
                raise UsageError(f"{flag} {name}: none of the {self.read} records has it")
        if self.where is not None:
            self.where.check()


def _sampled(records: Iterable[Record], size: int, seed: int) -> Iterator[Record]:
    """`size` of them, each as likely as any other (Vitter's algorithm R); they alone are held."""
    drawn = random.Random(seed_of("show", seed))
    held: list[tuple[int, Record]] = []
    for count, record in enumerate(records):
        if count < size:
            held.append((count, record))
        elif (place := drawn.randrange(count + 1)) < size:
            held[place] = count, record
    yield from (record for _, record in sorted(held, key=lambda each: each[0]))


def _together(found: Iterable[Record], chosen: _Chosen, report: Report) -> Iterator[str]:
    """The completions of a problem, the best first."""
    batch = sorted(found, key=rank)
    kept = batch[: chosen.settings.limit]
    if batch:
        yield from record_text.together(batch, kept, chosen.settings.fold)
    chosen.end(len(kept), report)


def _compared(differences: Differences, chosen: _Chosen, report: Report) -> Iterator[str]:
    """The first problems that changed, and how many there are."""
    settings = chosen.settings
    for count, pieces in enumerate(differences):
        if settings.limit is not None and count >= settings.limit:
            break
        yield from pieces
    counts = differences.counts
    if not counts["in both"] and counts:
        report.note("no problem is in both: they are told apart by `group`, else by `id` without its #<k>")
    order = ("in both", "worse", "better", "as good, and other", "unchanged", "only in FILE", "only in OTHER")
    told = [f"{counts[name]} {name}" for name in order if counts[name]]
    report.summary("problems: " + (", ".join(told) or "none"))
    chosen.check()
