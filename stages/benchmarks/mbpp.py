"""MBPP: 974 short Python tasks, each with three asserts that the prompt shows; 500 of them are its test."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path

from stages.formats.sources import rows_of
from stages.records.record import Record, need
from stages.runtime.errors import UsageError

# The first task of each split, and the last.
PARTS = {"test": (11, 510), "prompt": (1, 10), "validation": (511, 600), "train": (601, 974)}
SPLITS = tuple(PARTS)
REWARDS = ("code",)
SAMPLES = 4
OFFICIAL = {  # greedy pass@1 after the three examples of the set's paper, as lm-eval's `mbpp` asks it
    "preset": {"shots": 3, "setup": False},
    "samples": 1,
    "rewards": ("code:part=whole",),
    "template": "none",
    "sampling": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 256, "stop": ("[DONE]",)},
}
WHOLE = "take the published file"
PROMPT = (
    "You are an expert Python programmer, and here is your task: {} Your code should pass these tests:\n\n{}"
)


SHOWN = (2, 3, 4)  # the examples of the set's paper
SETUP = "test_setup_code"
BEGIN, DONE = "[BEGIN]", "[DONE]"


def problems(
    *, split: str = "test", data: Path | None = None, shots: int = 0, setup: bool = True
) -> Iterator[Record]:
    """Records with the published prompt, after `shots` examples, 3 in the paper. Source: arXiv 2108.07732.

    Without `setup` they lack the code that the asserts of task 367 need, which lm-eval does not run.
    Raises UsageError for a number of examples that makes no sense.
    """
    if not 0 <= shots <= len(SHOWN):
        raise UsageError(f"shots={shots}: choose 0 to {len(SHOWN)}")
    return _posed(split, data, shots, setup)


def _posed(split: str, data: Path | None, shots: int, setup: bool) -> Iterator[Record]:
    examples = [_example(row) for row in _rows("prompt", data, SHOWN[:shots])] if shots else []
    first, last = PARTS[split]
    for row in _rows(split, data, range(first, last + 1)):
        asked = _prompt(row)
        if shots:
            asked = "\n\n".join([*examples, f"{asked}\n{BEGIN}\n"])
        left = {} if setup else {SETUP: ""}
        yield row.adding(id=f"mbpp-{row['task_id']}", prompt=asked, lang="en", **left)


def _rows(split: str, data: Path | None, numbers: Container[int]) -> Iterator[Record]:
    hub = ("google-research-datasets/mbpp", "full", split)
    for row in rows_of(file="code/mbpp.jsonl", hub=hub, data=data):
        if need(row, "task_id", int, WHOLE) in numbers:
            yield row


def _prompt(row: Record) -> str:
    tests = "\n".join(need(row, "test_list", list, WHOLE))
    return PROMPT.format(need(row, "text", str, WHOLE), tests)


def _example(row: Record) -> str:
    return f"{_prompt(row)}\n{BEGIN}\n{need(row, 'code', str, WHOLE)}\n{DONE}"
