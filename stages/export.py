"""Write records in the form another program reads: TRL, verl, open-r1, LLaMA-Factory, axolotl, OpenAI, vLLM.

JSON Lines go to standard output, and with --parquet also to a parquet file. Reading these forms needs no
command of its own: `r1 prompts FILE` and the input of every stage understand them (docs/data.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from stages.formats.export import exported
from stages.formats.foreign import as_records
from stages.formats.tables import write_parquet
from stages.records.notes import Notes
from stages.records.record import Record
from stages.runtime.report import SILENT, Report
from stages.settings.options import Doc, Range, Written

EXAMPLES = (
    "r1 export --to messages kept.jsonl -o trl.jsonl",
    "r1 score -r helpfulness:model=judge completions.jsonl | r1 export --to preference --margin 0.2",
    "r1 prompts gsm8k --split train | r1 export --to verl --parquet train.parquet > /dev/null",
)


def run(
    records: Iterable[Record],
    *,
    to: Annotated[
        Literal[
            "messages",
            "prompt-completion",
            "prompt",
            "sharegpt",
            "alpaca",
            "open-r1",
            "openai",
            "openai-batch",
            "verl",
            "preference",
            "swe-bench",
        ],
        Doc(
            "The form; the first three and preference are TRL's; rows of prompt, openai-batch and verl are "
            "problems; one of preference is the best and the worst completion of a problem by their rewards; "
            "swe-bench is what SWE-bench's harness judges."
        ),
    ] = "messages",
    model: Annotated[str, Doc("The model that the requests of openai-batch ask.")] = "",
    margin: Annotated[
        float, Doc("For preference: leave out pairs whose rewards differ by less."), Range(low=0)
    ] = 0.0,
    parquet: Annotated[
        Path | None,
        Doc("Write this parquet file too, once all is read; holds the rows in memory."),
        Written(),
    ] = None,
    report: Report = SILENT,
) -> Iterator[Record]:
    """Yields the rows. Raises what `exported` raises."""
    count = 0
    kept: list[Record] = []
    notes = Notes()
    for row in exported(as_records(records, report), to, model, margin=margin, notes=notes):
        count += 1
        if parquet is not None:
            kept.append(row)
        yield row
    notes.tell(report)
    if parquet is not None:
        write_parquet(parquet, kept)
    report.summary(f"{count} rows as {to}" + (f", also in {parquet}" if parquet else ""))
