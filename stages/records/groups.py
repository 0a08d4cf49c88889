"""Runs of records of one problem, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from stages.records.record import Record, bad_record, group_of


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
