"""MMLU-Pro: 12,032 questions of up to ten options from 14 fields; `mmlu_pro:law` takes one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import STEPWISE, WHOLE, letter_place, posed
from stages.formats.sources import parts_of, rows_of
from stages.records.record import Record, need

SPLITS = ("test", "validation")
REWARDS = ("accuracy", "mmlu_pro")
SAMPLES = 1
FIELDS = (
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history",
    "law", "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip


def problems(*, task: str = "", split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records of the field `task`, or of all. Source: arXiv 2406.01574, under the MIT licence.

    Options that are `N/A` are left out, as in the published program. Raises UsageError for a field that it
    does not have.
    """
    asked = parts_of("mmlu_pro", task.replace("_", " "), FIELDS)
    rows = rows_of(
        file=f"knowledge/mmlu_pro_{split}.jsonl", hub=("TIGER-Lab/MMLU-Pro", None, split), data=data
    )
    return (_posed(row) for row in rows if need(row, "category", str, WHOLE) in asked)


def _posed(row: Record) -> Record:
    options = [text for text in need(row, "options", list, WHOLE) if text != "N/A"]
    return posed(
        row,
        f"mmlu-pro-{need(row, 'question_id', int, WHOLE)}",
        STEPWISE,
        question=need(row, "question", str, WHOLE),
        options=options,
        right=letter_place(need(row, "answer", str, WHOLE)),
        subject=row["category"],
        lang="en",
    )
