"""FRAMES: 824 questions that take facts of several pages together, for a model to judge by its reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import Reader, records_of
from stages.formats.sources import rows_of
from stages.records.record import Record

SPLITS = ("test",)
REWARDS = ("facts",)
SAMPLES = 1
FIELDS = {"id": "", "prompt": "Prompt", "answer": "Answer"}


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records whose prompt is the question alone, without the pages. Source: arXiv 2409.12941, Apache-2.0."""
    rows = rows_of(file="knowledge/frames.jsonl", hub=("google/frames-benchmark", None, split), data=data)
    for record in records_of(rows, stem="frames", reader=Reader(FIELDS)):
        yield record.adding(lang="en")
