"""Runs, evaluations and files of records to one page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from stages.formats.foreign import as_records
from stages.page import figures, run_folder
from stages.page.document import document
from stages.page.evaluations import Measured
from stages.page.funnel import Funnel
from stages.page.run_folder import RunFolder
from stages.page.traces import Drawn, columns
from stages.records import jsonl
from stages.records.record import Record
from stages.runtime import shown
from stages.runtime.errors import BadInput
from stages.runtime.report import Report


@dataclass
class Gathered:
    """What the page will show, as it is read."""

    drawn: Drawn
    measured: Measured = field(default_factory=Measured)
    sources: list[dict[str, Any]] = field(default_factory=list)
    tokenizers: list[list[Path]] = field(default_factory=list)  # folders of each source


def page(
    target: Path,
    runs: Sequence[RunFolder],
    named: Sequence[tuple[str, Path]],
    most: int,
    report: Report,
    *,
    price_hour: float | None = None,
) -> str:
    """Writes the page of `runs`, and of files with their names, with at most `most` completions.

    An hour of a run costs `price_hour`; without it the page tells no cost in money.

    Returns what the last line may say of it. Raises BadInput for a file that is neither figures of `r1 eval`
    nor records, StreamError where one cannot be read or the page cannot be written.
    """
    gathered = Gathered(Drawn(most))
    report.start(None, "records")
    for run in runs:
        for line in run.evaluations:
            gathered.measured.take(line, run.name)
        for source in run_folder.completions(run):
            found = (line for each in source.paths for line in jsonl.read_file(each))
            gathered.tokenizers.append(source.tokenizers)
            _records(gathered, source.name, found, report, measured=source.measured)
    for name, path in named:
        lines = jsonl.read_file(path)
        first = list(islice(lines, 1))
        if first and _are_figures(first[0], path):
            for line in chain(first, lines):
                gathered.measured.take(line, name)
        else:
            gathered.tokenizers.append([])
            _records(gathered, name, chain(first, lines), report, measured=True)
    drawn = gathered.drawn
    made = columns(drawn.records(), gathered.tokenizers)
    overview = {
        "runs": [figures.of_run(run) for run in runs],
        "price_hour": price_hour,
        **gathered.measured.told(),
        "sources": gathered.sources,
        "completions": {"held": drawn.held, "seen": drawn.seen},
    }
    with jsonl.open_output(target) as stream:
        for piece in document(overview, made.index(), made.chunks()):
            stream.write(piece)
    if drawn.held < drawn.seen:
        return f"{target} with {drawn.held} of {drawn.seen} completions, drawn by whole problems"
    return f"{target} with {drawn.held} completions"


def _records(
    gathered: Gathered, name: str, lines: Iterable[Record], report: Report, *, measured: bool
) -> None:
    """Counts and draws the records of one source, which may be `measured` as an evaluation."""
    funnel, number, counting = Funnel(), len(gathered.sources), gathered.measured.completions(name)
    for record in as_records(lines, report):
        report.advance()
        funnel.add(record)
        if "completion" in record:
            if measured:
                counting.add(record)
            gathered.drawn.add(number, record)
    counting.end()
    gathered.sources.append({"name": shown.line(name), **funnel.told()})


def _are_figures(first: Record, path: Path) -> bool:
    """Whether a file is of `r1 eval` and not of records, by its first line; BadInput for a run's metrics."""
    if "completion" in first or "prompt" in first:
        return False
    if "pass@1" in first or "curve" in first or ("step" in first and "name" in first):
        return True
    if "step" in first and "loss" in first:
        raise BadInput("metrics of a run", place=str(path), remedy="give the directory that it lies in")
    return False
