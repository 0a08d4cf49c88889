"""Take problems from a benchmark, a file or the hub, one record each.

SOURCE is a benchmark (see docs/prompts.md), `reasoning_gym:TASK`, a file (JSON Lines, a JSON array, CSV, TSV or
parquet, in any of the known formats), or OWNER/NAME of a data set on the hub. Problems come out as
they are read, except with --shuffle, which reads them all first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from stages.benchmarks import load, parse_settings, take
from stages.data.formats import parse_mapping
from stages.data.options import Doc, Flag, Range
from stages.data.record import Record
from stages.data.report import SILENT, Report

EXAMPLES = (
    "r1 prompts sums --split train -n 1000 --set digits=3",
    "r1 prompts word_problems.csv --map prompt='{Body} {Question}' --map answer=Answer -n 8",
)


def run(
    source: Annotated[
        str, Doc("A benchmark, reasoning_gym:TASK, a file, or OWNER/NAME on the hub.")
    ],
    *,
    split: Annotated[str | None, Doc("Part of the source; each has its own default.")] = None,
    limit: Annotated[
        int | None, Doc("Problems to take."), Flag("-n", "--limit"), Range(low=1)
    ] = None,
    skip: Annotated[int, Doc("Problems to leave out first."), Range(low=0)] = 0,
    shuffle: Annotated[bool, Doc("Take them in random order; reads all of them first.")] = False,
    seed: Annotated[int, Doc("Of --shuffle, and of sources that make their problems.")] = 0,
    map: Annotated[
        tuple[str, ...],
        Doc(
            "FIELD=SOURCE, where SOURCE is a field, a path a.b, or text with {fields}. Repeatable."
        ),
        Flag("--map", metavar="FIELD=SOURCE"),
    ] = (),
    columns: Annotated[
        str, Doc("Names of a CSV or TSV file's columns where it has no header.")
    ] = "",
    set: Annotated[
        tuple[str, ...],
        Doc("A setting of the source, such as digits=3. Repeatable."),
        Flag("--set", metavar="KEY=VALUE"),
    ] = (),
    data: Annotated[
        Path | None, Doc("Folder with local copies of benchmarks; R1_DATA by default.")
    ] = None,
    report: Report = SILENT,
) -> Iterator[Record]:
    """Yields the problems. Raises UsageError for a source, split or setting that is not known."""
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    benchmark = load(source, mapping=parse_mapping(map), columns=names)
    settings = parse_settings(benchmark, set)
    count = 0
    for record in take(
        benchmark,
        split=split,
        data=data,
        settings=settings,
        skip=skip,
        limit=limit,
        shuffle=shuffle,
        seed=seed,
    ):
        count += 1
        yield record
    report.summary(f"{count} problems of {source}")
