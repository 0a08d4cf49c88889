"""Take problems from a benchmark, a file or the hub, one record each.

SOURCE is a benchmark (see docs/prompts.md), `reasoning_gym:TASK`, `lm_eval:TASK`, a file (JSON Lines, a JSON
array, CSV, TSV or parquet, in any of the known formats), OWNER/NAME of a data set on the hub, or a TOML or
Python file of a benchmark of your own. Problems come out as they are read, except with --shuffle, which reads
them all first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from stages.evaluation.benchmark import load, parse_settings, take
from stages.formats.mapping import parse_mapping
from stages.formats.rows import Reader, records_of
from stages.formats.tables import read_rows, stem_of
from stages.records.record import Record
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.options import Doc, Flag, Range

EXAMPLES = (
    "r1 prompts sums --split train -n 1000 --set digits=3",
    "r1 prompts word_problems.csv --map prompt='{Body} {Question}' --map answer=Answer -n 8",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which problems of the source are taken."""

    split: Annotated[str | None, Doc("Part of the source; each has its own default.")] = None
    limit: Annotated[int | None, Doc("Problems to take."), Flag("-n", "--limit"), Range(low=1)] = None
    skip: Annotated[int, Doc("Problems to leave out first."), Range(low=0)] = 0
    shuffle: Annotated[bool, Doc("Take them in random order; reads all of them first.")] = False
    seed: Annotated[int, Doc("Of --shuffle, and of sources that make their problems."), Range(low=0)] = 0
    map: Annotated[
        tuple[str, ...],
        Doc("FIELD=SOURCE, where SOURCE is a field, a path a.b.0, or text with {fields}. Repeatable."),
        Flag("--map", metavar="FIELD=SOURCE"),
    ] = ()
    columns: Annotated[str, Doc("Names of a CSV or TSV file's columns where it has no header.")] = ""
    set: Annotated[
        tuple[str, ...],
        Doc("A setting of the source, such as digits=3. Repeatable."),
        Flag("--set", metavar="KEY=VALUE"),
    ] = ()
    index_base: Annotated[
        int | None,
        Doc("What an answer that is an option's place counts from; a JSON number's is 0."),
        Range(0, 1),
    ] = None
    requests: Annotated[
        Path | None,
        Doc("The input of a batch, or its problems, for the prompts of the batch's output in SOURCE."),
        Flag("--requests", metavar="FILE"),
    ] = None
    data: Annotated[Path | None, Doc("Folder with local copies of benchmarks; R1_DATA by default.")] = None


def run(
    source: Annotated[str, Doc("A benchmark, lm_eval:TASK, a file, or OWNER/NAME on the hub.")],
    settings: Settings = Settings(),
    *,
    report: Report = SILENT,
) -> Iterator[Record]:
    """Yields the problems. Raises UsageError for a source, split or setting that is not known."""
    if source.partition(":")[0].lower().endswith((".toml", ".py")):
        _refuse_reading(source, settings)
    names = tuple(name.strip() for name in settings.columns.split(",") if name.strip())
    reader = Reader(parse_mapping(settings.map), settings.index_base, _problems(settings))
    benchmark = load(source, reader=reader, columns=names)
    count = 0
    for record in take(
        benchmark,
        split=settings.split,
        data=settings.data,
        settings=parse_settings(benchmark, settings.set),
        skip=settings.skip,
        limit=settings.limit,
        shuffle=settings.shuffle,
        seed=settings.seed,
    ):
        count += 1
        yield record
    benchmark.notes.tell(report)
    report.summary(f"{count} problems of {source}")


def _refuse_reading(source: str, settings: Settings) -> None:
    """Raises UsageError for options that say how rows are read, where the source does."""
    asked = {
        "--map": settings.map,
        "--columns": settings.columns,
        "--requests": settings.requests is not None,
        "--index-base": settings.index_base is not None,
    }
    for flag, value in asked.items():
        if value:
            raise UsageError(f"{flag}: {source} says itself how its rows are read; leave it out")


def _problems(settings: Settings) -> dict[str, Record] | None:
    """The problems that a batch's output refers to, by their id."""
    if settings.requests is None:
        return None
    path = str(settings.requests)
    reader = Reader(index_base=settings.index_base)
    return {record["id"]: record for record in records_of(read_rows(path), stem=stem_of(path), reader=reader)}
