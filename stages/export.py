"""Write records in the form another trainer reads: TRL, verl or ShareGPT.

JSON Lines go to standard output, and with --parquet also to a parquet file. Reading these forms needs no
command of its own: `r1 prompts FILE` and every stage's input understand them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from stages.data.export import exported
from stages.data.options import Doc
from stages.data.record import Record
from stages.data.report import SILENT, Report
from stages.data.tables import write_parquet

EXAMPLES = (
    "r1 export --to messages kept.jsonl -o trl.jsonl",
    "r1 prompts gsm8k --split train | r1 export --to verl --parquet train.parquet > /dev/null",
)


def run(
    records: Iterable[Record],
    *,
    to: Annotated[
        Literal["messages", "prompt-completion", "sharegpt", "verl"],
        Doc("The form; the first two are TRL's, verl's rows are problems."),
    ] = "messages",
    parquet: Annotated[
        Path | None, Doc("Write this parquet file too, once all is read; holds the rows in memory.")
    ] = None,
    report: Report = SILENT,
) -> Iterator[Record]:
    """Yields one row for each record. Raises BadInput where a record lacks what the form needs."""
    count = 0
    kept: list[Record] = []
    for row in exported(records, to):
        count += 1
        if parquet is not None:
            kept.append(row)
        yield row
    if parquet is not None:
        write_parquet(parquet, kept)
    report.summary(f"{count} rows as {to}" + (f", also in {parquet}" if parquet else ""))
