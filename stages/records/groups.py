"""Runs of records of one problem, one after the other, and the share of them that one of several takes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from stages.records.record import Record, bad_record, group_of
from stages.runtime.errors import UsageError
from stages.settings.options import Doc, Flag

WHOLE = re.compile("[0-9]{1,9}/[0-9]{1,9}")
Shard = Annotated[
    str | None,
    Doc("Take every n-th problem, with all its records, from the i-th: i/n, i from 0."),
    Flag("--shard", metavar="i/n"),
]


def groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records of each problem as one list, in order; only one problem is held at a time.

    Raises BadInput where a problem comes back after another: half a group would be judged as a
    whole one. Of each problem that went by, a number is remembered.
    """
    seen: set[int] = set()
    for name, run in itertools.groupby(records, group_of):
        batch = list(run)
        mark = hash(name)
        if mark in seen:
            raise bad_record(
                batch[0],
                f"problem {name!r} has records apart from each other",
                "bring them together with r1 sort --by group",
            )
        seen.add(mark)
        yield batch


def sharded(records: Iterable[Record], shard: str | None) -> Iterable[Record]:
    """The records of every n-th problem from the i-th, for `shard` = `i/n`; all of them for None.

    Records of one problem that follow one another stay together. Raises UsageError for anything else than
    i/n.
    """
    if shard is None:
        return records
    index, slash, count = shard.partition("/")
    if not (WHOLE.fullmatch(index + slash + count) and int(index) < int(count)):
        raise UsageError(f"--shard {shard}: must be i/n with i from 0 to n - 1, such as 0/4")
    return _part(records, int(index), int(count))


def _part(records: Iterable[Record], index: int, count: int) -> Iterator[Record]:
    for number, (_, run) in enumerate(itertools.groupby(records, group_of)):
        if number % count == index:
            yield from run
