"""End in each of the ways a run can end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error, StreamError, Unavailable, UsageError
from stages.settings.options import Doc

EXAMPLES = ("r1 fails --how bug records.jsonl", "r1 fails --how wait records.jsonl")

ERRORS = {
    "run": R1Error("the loss is not a number"),
    "usage": UsageError("--a and --b exclude each other"),
    "input": BadInput("no prompt", place="x.jsonl:7", remedy="add one"),
    "missing": Unavailable("vllm is not here", install="pip install vllm"),
    "stream": StreamError("cannot read x"),
    "disk": OSError(28, "No space left on device"),
    "pipe": BrokenPipeError(32, "Broken pipe"),
    "bug": KeyError("surprise"),
    "exit": SystemExit(0),
}


def run(
    records: Iterable[Record],
    *,
    how: Annotated[
        Literal[
            "run",
            "usage",
            "input",
            "missing",
            "stream",
            "disk",
            "pipe",
            "bug",
            "exit",
            "wait",
            "endless",
        ],
        Doc("Which way."),
    ],
    closed: Annotated[str, Doc("File to make when the stage is closed.")] = "",
) -> Iterator[Record]:
    try:
        yield from records
        while how == "endless":
            yield Record(id="more")
        if how == "wait":
            time.sleep(60)
        raise ERRORS[how]
    finally:
        if closed:
            os.close(os.open(closed, os.O_CREAT))
