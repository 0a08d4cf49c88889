"""MMLU-Redux 2.0: 5,700 questions of MMLU that people looked over, those with one right option."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.benchmarks.mmlu import SUBJECTS
from stages.formats.choice_prompts import WHOLE, ZERO_EVAL, letter_place, posed
from stages.formats.sources import hub_rows, local, parts_of
from stages.formats.tables import read_rows
from stages.records.record import Record, need

SPLITS = ("test",)
REWARDS = ("accuracy",)
SAMPLES = 1
FILE = "knowledge/mmlu_redux.jsonl"
HUB = "edinburgh-dawg/mmlu-redux-2.0"


def problems(*, task: str = "", split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records of the subject `task`, or of all 57. Source: arXiv 2406.04127, under CC BY 4.0.

    A question whose published answer was wrong has the one that its readers give; one that has no right
    option, or several, or is not clear, is left out. The file on this machine has `subject` in each row, as
    the hub's configurations are called. Raises UsageError for a subject that it does not have.
    """
    asked = parts_of("mmlu_redux", task, SUBJECTS)
    return _posed(_rows(asked, split, data), asked)


def _rows(asked: tuple[str, ...], split: str, data: Path | None) -> Iterator[Record]:
    path = local(FILE, data)
    if path is not None:
        yield from read_rows(str(path))
        return
    for subject in asked:
        for row in hub_rows(HUB, subject, split, otherwise=FILE):
            yield row.adding(subject=subject)


def _posed(rows: Iterator[Record], asked: tuple[str, ...]) -> Iterator[Record]:
    seen: Counter[str] = Counter()
    for row in rows:
        subject = need(row, "subject", str, WHOLE)
        name = f"mmlu-redux-{subject}-{seen[subject]}"
        seen[subject] += 1
        right = _right(row) if subject in asked else None
        if right is not None:
            question, options = need(row, "question", str, WHOLE), row.get("choices")
            about = {"subject": subject, "lang": "en"}
            yield posed(row, name, ZERO_EVAL, question=question, options=options, right=right, **about)


def _right(row: Record) -> Any:
    """The place of the right option; None where the readers found no single one."""
    kind = need(row, "error_type", str, WHOLE)
    if kind == "ok":
        return row.get("answer", -1)
    said = str(row.get("correct_answer") or "").strip()
    if kind != "wrong_groundtruth":
        return None
    return int(said) if said in ("0", "1", "2", "3") else letter_place(said)
