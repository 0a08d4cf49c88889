"""MBPP+: 378 of MBPP's short Python tasks with EvalPlus' tests, some 35 times as many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.benchmarks.mbpp import PROMPT
from stages.formats import evalplus
from stages.formats.sources import rows_of
from stages.records.record import Record, need

SPLITS = ("test",)
REWARDS = ("code",)
SAMPLES = 4


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records asked as `mbpp` is, where the row has MBPP's asserts. Source: arXiv 2305.01210, Apache 2.0.

    The file is the package's MbppPlus.jsonl, whose prompt is a docstring with one assert, or rows of the data
    set on the hub.
    """
    for row in rows_of(file="code/MbppPlus.jsonl", hub=("evalplus/mbppplus", None, split), data=data):
        name = need(row, "task_id", (str, int), evalplus.WHOLE)
        asked = need(row, "prompt", str, evalplus.WHOLE)
        test = evalplus.of_program(row)
        if test is not None:
            shown = "\n".join(need(row, "test_list", list, evalplus.WHOLE))
            about = {"prompt": PROMPT.format(asked.strip(), shown), "tests": [test]}
        else:
            test = evalplus.of_inputs(row, "mbpp")
            about = {"prompt": asked, "entry_point": row["entry_point"], "test": test}
        yield Record(
            id=f"mbpp-plus-{str(name).rpartition('/')[2]}",
            **about,
            time_limit=evalplus.SECONDS,
            lang="en",
            place=row.place,
        )
