"""Pass records on, as a stage that does nothing would.

Its options have every type that a flag can have.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from stages.records.record import Record
from stages.runtime.report import SILENT, Report
from stages.settings.groups import Sampling
from stages.settings.options import Doc, Flag

EXAMPLES = ("r1 relay records.jsonl", "r1 relay --tag a --tag b < records.jsonl")


def run(
    records: Iterable[Record],
    *,
    shape: Annotated[Literal["plain", "options"], Doc("What comes out.")] = "plain",
    tag: Annotated[tuple[str, ...], Doc("A tag. Repeatable."), Flag("-t", "--tag")] = (),
    limit: Annotated[int | None, Doc("Stop after this many.")] = None,
    folder: Annotated[Path, Doc("A path.")] = Path("here"),
    keep: Annotated[bool, Doc("On by default.")] = True,
    noise: Annotated[bool, Doc("Print from Python and from a child process.")] = False,
    sampling: Sampling = Sampling(temperature=0.5),
    report: Report = SILENT,
) -> Iterator[Record]:
    if noise:
        print("noise of a library")
        print("noise written directly", file=sys.__stdout__, flush=True)
        subprocess.run(["echo", "noise of a child"], check=True)
    report.start(limit, "records")
    options = {
        "tag": tag,
        "limit": limit,
        "folder": str(folder),
        "keep": keep,
        "sampling": vars(sampling) | {"stop": sampling.stop},
    }
    for count, record in enumerate(records):
        if count == limit:
            break
        report.advance(reward=0.25)
        yield Record(options) if shape == "options" else record
