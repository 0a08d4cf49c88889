"""Measure something, in a table with a verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from stages.records.record import Record
from stages.runtime.report import SILENT, Report
from stages.runtime.results import Results
from stages.settings.options import Doc

EXAMPLES = ("r1 measures records.jsonl", "r1 measures --fail-under 0.5 records.jsonl")


def run(
    name: Annotated[str, Doc("What is measured.")],
    records: Iterable[Record] = (),
    *,
    fail_under: Annotated[float | None, Doc("Smallest count that passes.")] = None,
    report: Report = SILENT,
) -> Results:
    count = 0 if name == "nothing" else sum(1 for _ in records)
    short = fail_under is not None and count < fail_under
    report.summary(f"measured {name}")
    return Results(
        records=[{"name": name, "count": count}],
        title="A measurement",
        columns=["name", "count"],
        rows=[[name, str(count)], ["all", "1000"]],
        failure=f"count {count} is under {fail_under}" if short else None,
    )
