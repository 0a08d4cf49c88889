"""IFEval: 541 prompts with instructions of 25 kinds that a program can check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.sources import rows_of
from stages.records.record import Record, need

SPLITS = ("train",)
REWARDS = ("ifeval",)
SAMPLES = 1
OFFICIAL = {"sampling": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 1280}}  # as lm-eval asks it
WHOLE = "take the published file"


def problems(*, split: str = "train", data: Path | None = None) -> Iterator[Record]:
    """Records with `instruction_id_list` and `kwargs` as published. Source: arXiv 2311.07911.

    The published problems are one split, which the hub calls train. No language is named: some prompts ask
    for an answer in another than theirs.
    """
    for row in rows_of(file="knowledge/ifeval.jsonl", hub=("google/IFEval", None, split), data=data):
        need(row, "prompt", str, WHOLE)
        need(row, "instruction_id_list", list, WHOLE)
        need(row, "kwargs", list, WHOLE)
        yield row.adding(id=f"ifeval-{need(row, 'key', int, WHOLE)}")
