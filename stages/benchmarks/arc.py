"""ARC Challenge: 1,172 questions of school science that retrieval and co-occurrence of words got wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import SIMPLE_EVALS, WHOLE, posed
from stages.formats.sources import rows_of
from stages.harness.official import Task
from stages.records.record import Record, bad_record, need

SPLITS = ("test", "validation", "train")
REWARDS = ("accuracy",)
SAMPLES = 4
OFFICIAL = Task(
    "arc_challenge",
    {split: f"knowledge/arc_challenge_{split}.jsonl" for split in SPLITS},
)
REVISION = "210d026faf9955653af8916fad021475a3f00453"


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records with letters also where the set counts its options. Source: arXiv 1803.05457, CC BY-SA 4.0."""
    rows = rows_of(
        file=f"knowledge/arc_challenge_{split}.jsonl",
        hub=("allenai/ai2_arc", "ARC-Challenge", split),
        data=data,
        revision=REVISION,
    )
    return (_posed(row) for row in rows)


def _posed(row: Record) -> Record:
    choices = need(row, "choices", dict, WHOLE)
    labels, key = choices.get("label"), need(row, "answerKey", str, WHOLE)
    if not isinstance(labels, list) or key not in labels:
        raise bad_record(row, f"answerKey {key!r} is no label of its choices", WHOLE)
    return posed(
        row,
        need(row, "id", str, WHOLE),
        SIMPLE_EVALS,
        question=need(row, "question", str, WHOLE),
        options=choices.get("text"),
        right=labels.index(key),
        lang="en",
    )
