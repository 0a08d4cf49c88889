"""HumanEval: 164 Python functions to complete from signature and docstring, run against hidden tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.sources import rows_of
from stages.records.record import Record, need

SPLITS = ("test",)
REWARDS = ("code",)
SAMPLES = 4
OFFICIAL = {  # greedy pass@1, with the ends that the set's paper names, as lm-eval's `humaneval` asks it
    "samples": 1,
    "rewards": ("code:part=whole",),
    "template": "none",
    "sampling": {
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 1024,
        "stop": ("\nclass", "\ndef", "\n#", "\nif", "\nprint"),
    },
}


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records whose prompt is the code to go on with. Source: arXiv 2107.03374.

    A completion may continue it or give the whole function.
    """
    rows = rows_of(file="code/HumanEval.jsonl.gz", hub=("openai/openai_humaneval", None, split), data=data)
    for row in rows:
        yield row.adding(id=need(row, "task_id", str, "take the published file"), lang="en")
