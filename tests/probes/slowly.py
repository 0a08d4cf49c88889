"""Work on each record for a while, so that there is time to kill it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Annotated

from stages.data.jsonl import Journal
from stages.data.options import Doc
from stages.data.record import Record

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
