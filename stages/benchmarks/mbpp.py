"""MBPP: 974 short Python tasks, each with three asserts that the prompt shows; 500 of them are its test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.sources import rows_of
from stages.records.record import Record, need

# The first task of each split, and the last.
PARTS = {"test": (11, 510), "prompt": (1, 10), "validation": (511, 600), "train": (601, 974)}
SPLITS = tuple(PARTS)
REWARDS = ("code",)
SAMPLES = 4
WHOLE = "take the published file"
PROMPT = (
    "You are an expert Python programmer, and here is your task: {} Your code should pass these tests:\n\n{}"
)


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records with the published prompt, no examples before it. Source: arXiv 2108.07732."""
    first, last = PARTS[split]
    hub = ("google-research-datasets/mbpp", "full", split)
    for row in rows_of(file="code/mbpp.jsonl", hub=hub, data=data):
        number = need(row, "task_id", int, WHOLE)
        if first <= number <= last:
            tests = "\n".join(need(row, "test_list", list, WHOLE))
            prompt = PROMPT.format(need(row, "text", str, WHOLE).strip(), tests)
            yield row.adding(id=f"mbpp-{number}", prompt=prompt, lang="en")
