"""GPQA Diamond: 198 questions of four options that graduates of other fields cannot answer with a search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import SIMPLE_EVALS, WHOLE, posed
from stages.formats.multiple_choice import GPQA, shuffled
from stages.formats.sources import rows_of
from stages.harness.official import Task
from stages.records.record import Record, need

SPLITS = ("train",)  # the hub's name for all of it
REWARDS = ("accuracy",)
SAMPLES = 64  # as for AIME: few problems
OFFICIAL = Task("gpqa_diamond_cot_zeroshot", {"train": "knowledge/gpqa_diamond.csv"})


def problems(*, split: str = "train", data: Path | None = None) -> Iterator[Record]:
    """Records whose options decide their own order. Source: arXiv 2311.12022, under CC BY 4.0.

    Its authors ask that no example appears in plain text where a crawler finds it: the set is behind terms on
    the hub, nothing of it is in this project, and what is generated from it should not be published.
    """
    file = "knowledge/gpqa_diamond.csv"
    rows = rows_of(file=file, hub=("Idavidrein/gpqa", "gpqa_diamond", split), data=data, gated=True)
    return (_posed(row) for row in rows)


def _posed(row: Record) -> Record:
    options, right = shuffled([need(row, name, str, WHOLE).strip() for name in GPQA])
    return posed(
        row,
        f"gpqa-{need(row, 'Record ID', str, WHOLE)}",
        SIMPLE_EVALS,
        question=need(row, "Question", str, WHOLE),
        options=options,
        right=right,
        subject=str(row.get("High-level domain") or ""),
        lang="en",
    )
