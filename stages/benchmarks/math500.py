"""MATH-500: 500 competition problems of seven subjects and five levels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import records_of
from stages.formats.sources import rows_of
from stages.harness.official import Task
from stages.records.record import Record

SPLITS = ("test",)
REWARDS = ("accuracy",)
SAMPLES = 4
OFFICIAL = Task("minerva_math500", {"test": "math/math500.jsonl"})


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records with `subject`, `level` and the worked `solution`. Source: arXiv 2305.20050."""
    rows = rows_of(file="math/math500.jsonl", hub=("HuggingFaceH4/MATH-500", None, split), data=data)
    for record in records_of(rows, stem="math500"):
        yield record.adding(lang="en")
