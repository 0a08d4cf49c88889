"""AIME 2024: the 30 problems of both contests, answers from 0 to 999."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import records_of
from stages.formats.sources import rows_of
from stages.harness.official import Task
from stages.records.record import Record

SPLITS = ("train",)  # the hub's name for all of it
REWARDS = ("accuracy",)
SAMPLES = 64  # as the paper: cons@64, and too few problems for less
OFFICIAL = Task("aime24", {"train": "math/aime24.json"}, {"Problem": "problem", "Answer": "answer"})
PLACE = re.compile(r"AIME_(I+)_Problems/Problem_(\d+)")


def problems(*, split: str = "train", data: Path | None = None) -> Iterator[Record]:
    """Records called after contest and number, such as `aime24-II-4`."""
    rows = rows_of(file="math/aime24.json", hub=("HuggingFaceH4/aime_2024", None, split), data=data)
    for record in records_of(map(_named, rows), stem="aime24"):
        record["answer"] = str(int(record["answer"]))  # printed with leading zeros
        yield record.adding(lang="en")


def _named(row: Record) -> Record:
    if "aime_number" in row:  # this copy counts the fifteenth problem as 0
        number = row["problem_number"] or 15
        return row.adding(id=f"aime24-{'I' * row['aime_number']}-{number}")
    found = PLACE.search(str(row.get("url", "")))
    return row.adding(id=f"aime24-{found[1]}-{found[2]}") if found else row
