"""SVAMP: 1,000 one- and two-step word problems that vary what is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import Reader, records_of
from stages.formats.sources import rows_of
from stages.records.record import Record

SPLITS = ("train+test",)  # the published 1,000, which the hub's copy holds in two parts
REWARDS = ("accuracy",)
SAMPLES = 4
FIELDS = {"id": "ID", "prompt": "{Body} {Question}", "answer": "Answer"}


def problems(*, split: str = "train+test", data: Path | None = None) -> Iterator[Record]:
    """Records with the `Equation` that solves each. Source: arXiv 2103.07191."""
    rows = rows_of(file="math/svamp.jsonl", hub=("ChilleD/SVAMP", None, split), data=data)
    for record in records_of(map(_named, rows), stem="svamp", reader=Reader(FIELDS)):
        yield record.adding(lang="en")


def _named(row: Record) -> Record:
    return row.adding(ID=f"svamp-{row['ID']}", Body=_sentence(row["Body"].strip()))


def _sentence(body: str) -> str:
    """Some bodies lack their full stop, and the question would run into them."""
    return body if body.endswith((".", "!", "?", ",")) else body + "."
