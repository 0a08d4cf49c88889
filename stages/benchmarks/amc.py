"""AMC 12 of 2022 and 2023: 83 problems with whole-number answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import records_of
from stages.formats.sources import rows_of
from stages.records.record import Record

SPLITS = ("train",)  # the hub's name for all of it
REWARDS = ("accuracy",)
SAMPLES = 16
PLACE = re.compile(r"/(\d+)_AMC_(\w+)_Problems/Problem_(\d+)")


def problems(*, split: str = "train", data: Path | None = None) -> Iterator[Record]:
    """Records called after year, contest and number, such as `amc-2022-12A-10`."""
    rows = rows_of(file="math/amc.json", hub=("AI-MO/aimo-validation-amc", None, split), data=data)
    for record in records_of(map(_named, rows), stem="amc"):
        yield record.adding(lang="en")


def _named(row: Record) -> Record:
    found = PLACE.search(str(row.get("url", "")))
    return row.adding(id=f"amc-{found[1]}-{found[2]}-{found[3]}") if found else row
