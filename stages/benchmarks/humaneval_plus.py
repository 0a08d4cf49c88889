"""HumanEval+: HumanEval's 164 functions with EvalPlus' tests, some 80 times as many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.benchmarks import humaneval
from stages.formats import evalplus
from stages.formats.sources import rows_of
from stages.records.record import Record, need

SPLITS = ("test",)
REWARDS = ("code",)
SAMPLES = 4
OFFICIAL = humaneval.OFFICIAL  # lm-eval's `humaneval_plus` is its `humaneval` over other rows


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records asked as `humaneval` is. Source: arXiv 2305.01210, under Apache 2.0.

    The file is the package's HumanEvalPlus.jsonl, or rows of the data set on the hub.
    """
    hub = ("evalplus/humanevalplus", None, split)
    for row in rows_of(file="code/HumanEvalPlus.jsonl", hub=hub, data=data):
        name = need(row, "task_id", str, evalplus.WHOLE)
        test = evalplus.of_program(row) or evalplus.of_inputs(row, "humaneval")
        kept = {key: row[key] for key in ("entry_point", "canonical_solution") if key in row}
        need(row, "entry_point", str, evalplus.WHOLE)
        yield Record(
            id=name,
            prompt=need(row, "prompt", str, evalplus.WHOLE),
            **kept,
            test=test,
            time_limit=evalplus.SECONDS,
            lang="en",
            place=row.place,
        )
