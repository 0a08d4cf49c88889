"""AIME 2025: the 30 problems of both contests, answers from 0 to 999."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import rows_of
from stages.harness.official import Task
from stages.records.record import Record, bad_record, need

SPLITS = ("test",)
REWARDS = ("accuracy",)
SAMPLES = 64
OFFICIAL = Task("aime25", {"test": "math/aime25.jsonl"})
REVISION = "563bb8404243c5f09de6ec262f2db674fe5bce9b"


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records in the order of the published file, called `aime25-0` and so on."""
    rows = rows_of(
        file="math/aime25.jsonl", hub=("math-ai/aime25", None, split), data=data, revision=REVISION
    )
    for k, row in enumerate(rows):
        prompt, answer = need(row, "problem", str, WHOLE), str(row.get("answer", "")).strip()
        if not answer.isdecimal():
            raise bad_record(row, f"field 'answer' is {answer!r}, not a number from 0 to 999", WHOLE)
        number = str(int(answer))  # may be printed with leading zeros
        yield Record(id=f"aime25-{k}", prompt=prompt, answer=number, lang="en", place=row.place)
