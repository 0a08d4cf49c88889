"""LiveCodeBench: problems of LeetCode, AtCoder and Codeforces by date of contest, run against tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stages.formats.sources import hub_files, local
from stages.formats.tables import read_rows
from stages.records.record import Record, bad_record, need
from stages.runtime.errors import UsageError

SPLITS = ("test",)
REWARDS = ("code",)
SAMPLES = 16
HUB = "livecodebench/code_generation_lite"
FILES = tuple(f"code/livecodebench/test{n}.jsonl" for n in ("", 2, 3, 4, 5, 6))
DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?")
WHOLE = "take the published file"
ASKED = (
    "You will be given a question (problem specification) and will generate a correct Python program that "
    "matches the specification and passes all tests.\n\nQuestion: {}\n\n{}"
)
FUNCTION = (
    "You will use the following starter code to write the solution to the problem and enclose your code "
    "within delimiters.\n```python\n{}\n```\n\n"
)
PROGRAM = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on "
    "the sample inputs). Enclose your code within delimiters as follows. Ensure that when the python program "
    "runs, it reads the inputs, runs the algorithm and writes output to STDOUT.\n"
    "```python\n# YOUR CODE HERE\n```\n\n"
)


def problems(
    *, split: str = "test", data: Path | None = None, since: str = "2024-08", until: str = "2025-01"
) -> Iterator[Record]:
    """Records of contests from `since` to `until`, each a day or a month that is taken whole.

    The default window is the paper's. Source: arXiv 2403.07974; the prompt is that of its program for R1.
    Raises UsageError for a date that is none, and for a window that ends before it begins.
    """
    for name, given in (("since", since), ("until", until)):
        if not DAY.fullmatch(given):
            raise UsageError(f"{name}={given}: write a day as 2024-08-01, or a month as 2024-08")
    if until < since[: len(until)]:
        raise UsageError(f"since={since} is after until={until}")
    return _within(data, since, until)


def _within(data: Path | None, since: str, until: str) -> Iterator[Record]:
    for row in _rows(data):
        date = need(row, "contest_date", str, WHOLE)
        if not DAY.fullmatch(date[:10]) or len(date) < 10:
            raise bad_record(row, f"contest_date {date!r} is no date", WHOLE)
        if date[: len(since)] >= since and date[: len(until)] <= until:
            starter = row.get("starter_code") or ""
            form = FUNCTION.format(starter) if starter else PROGRAM
            prompt = ASKED.format(need(row, "question_content", str, WHOLE), form)
            name = need(row, "question_id", str, WHOLE)
            yield row.adding(id=f"livecodebench-{name}", prompt=prompt, lang="en")


def _rows(data: Path | None) -> Iterator[Record]:
    """Of the published files that are on this machine, else of all that are on the hub."""
    here = [path for file in FILES if (path := local(file, data)) is not None]
    for path in here or hub_files(HUB, [Path(file).name for file in FILES], otherwise=FILES[0]):
        yield from read_rows(str(path))
