"""GSM8K: school word problems with whole-number answers (1,319 test, 7,473 train)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import records_of
from stages.formats.sources import rows_of
from stages.harness.official import Task
from stages.records.record import Record

SPLITS = ("test", "train")
REWARDS = ("accuracy",)
SAMPLES = 4
OFFICIAL = Task("gsm8k", {"test": "math/gsm8k_test.jsonl", "train": "math/gsm8k_train.jsonl"})
CALCULATION = re.compile(r"<<[^<>]*>>")  # a calculator's marks, which no reader should learn


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records with the worked `solution` beside the answer. Source: arXiv 2110.14168."""
    rows = rows_of(file=f"math/gsm8k_{split}.jsonl", hub=("openai/gsm8k", "main", split), data=data)
    for record in records_of(rows, stem=f"gsm8k-{split}"):
        record["solution"] = CALCULATION.sub("", record["solution"])
        record["answer"] = record["answer"].replace(",", "")
        yield record.adding(lang="en")
