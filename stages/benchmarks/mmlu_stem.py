"""MMLU-STEM: 3,018 questions of four options from the 18 subjects of science and mathematics in MMLU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.rows import records_of
from stages.formats.sources import rows_of
from stages.harness.official import Task
from stages.records.record import Record, bad_record, need

SPLITS = ("test",)
REWARDS = ("accuracy",)
SAMPLES = 1
LETTERS = "ABCD"
SUBJECTS = (
    "abstract_algebra", "astronomy", "college_biology", "college_chemistry", "college_computer_science",
    "college_mathematics", "college_physics", "computer_security", "conceptual_physics",
    "electrical_engineering", "elementary_mathematics", "high_school_biology", "high_school_chemistry",
    "high_school_computer_science", "high_school_mathematics", "high_school_physics",
    "high_school_statistics", "machine_learning",
)  # fmt: skip
OFFICIAL = Task("mmlu_{part}", {"test": "knowledge/mmlu_stem.jsonl"}, parts=SUBJECTS, part="type")


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records whose prompt lists the options, with the letter of the right one. Source: arXiv 2009.03300."""
    rows = rows_of(file="knowledge/mmlu_stem.jsonl", hub=("TIGER-Lab/MMLU-STEM", None, split), data=data)
    for record in records_of(map(_lettered, rows), stem="mmlu-stem"):
        yield record.adding(lang="en")


def _lettered(row: Record) -> Record:
    """The row with a letter for the place from 0 that the data set gives."""
    place = need(row, "answer", int, "take the published file")
    if place not in range(len(LETTERS)):
        raise bad_record(row, f"field 'answer' is {place}", "it is a place from 0 among four options")
    return row.adding(answer=LETTERS[place])
