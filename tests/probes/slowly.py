"""Work on each record for a while, so that there is time to kill it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Annotated

from stages.records.jsonl import Journal
from stages.records.record import Record
from stages.settings.options import Doc

EXAMPLES = ("r1 slowly records.jsonl -o done.jsonl", "r1 slowly --wait 1 records.jsonl")


def run(
    records: Iterable[Record],
    *,
    wait: Annotated[float, Doc("Seconds for each record.")] = 0.0,
    journal: Journal | None = None,
) -> Iterator[Record]:
    for record in records:
        key = str(record["id"])
        done = journal.get(key) if journal is not None else None
        if done is None:
            time.sleep(wait)
            done = {**record, "square": record["id"] ** 2}
            if journal is not None:
                journal.put(key, done)
        yield Record(done)
