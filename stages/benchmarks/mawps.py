"""MAWPS: 2,065 word problems of one or two steps, the easiest of the sets here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import Reader, records_of
from stages.formats.sources import local, rows_of
from stages.records.record import Record

SPLITS = ("train+validation+test",)  # local copies are one file
REWARDS = ("accuracy",)
SAMPLES = 4
LOCAL = {"id": "", "prompt": "input", "answer": "target"}
HUB = {"id": "", "prompt": "question", "answer": "result"}


def problems(*, split: str = "train+validation+test", data: Path | None = None) -> Iterator[Record]:
    """Records of the local file, or of the hub's Calc-mawps, which holds another selection of them."""
    file = "math/mawps.jsonl"
    rows = rows_of(file=file, hub=("MU-NLPC/Calc-mawps", None, split), data=data)
    mapping = HUB if local(file, data) is None else LOCAL
    for record in records_of(rows, stem="mawps", reader=Reader(mapping)):
        yield record.adding(lang="en")
