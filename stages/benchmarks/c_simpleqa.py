"""C-SimpleQA: 3,000 short Chinese questions with one answer each, for a model to judge by its reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import Reader, records_of
from stages.formats.sources import rows_of
from stages.records.record import Record

SPLITS = ("train",)  # the hub's name for all of it
REWARDS = ("facts",)
SAMPLES = 1
HUB = "OpenStellarTeam/Chinese-SimpleQA"
FIELDS = {"id": "", "prompt": "question", "answer": "answer"}


def problems(*, split: str = "train", data: Path | None = None) -> Iterator[Record]:
    """Records whose prompt is the question alone. Source: arXiv 2411.07140; its page has the licence."""
    rows = rows_of(file="knowledge/chinese_simpleqa.jsonl", hub=(HUB, None, split), data=data)
    for record in records_of(rows, stem="c-simpleqa", reader=Reader(FIELDS)):
        yield record.adding(lang="zh")
