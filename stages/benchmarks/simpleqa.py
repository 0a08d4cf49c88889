"""SimpleQA: 4,326 short questions with one undisputed answer each, for a model to judge by its reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import rows_of
from stages.records.record import Record, need

SPLITS = ("test",)
REWARDS = ("facts",)
SAMPLES = 1


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records whose prompt is the question alone. Source: arXiv 2411.04368, under the MIT licence."""
    rows = rows_of(
        file="knowledge/simple_qa_test_set.csv", hub=("basicv8vc/SimpleQA", None, split), data=data
    )
    for k, row in enumerate(rows):
        prompt, answer = need(row, "problem", str, WHOLE), need(row, "answer", str, WHOLE)
        yield Record(id=f"simpleqa-{k}", prompt=prompt, answer=answer, lang="en", place=row.place)
