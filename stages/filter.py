"""Keep the records worth keeping: correct, best, short, clean, of the right difficulty.

Rules on one record stream; a pass-rate band, --keep best and --keep shortest hold one problem at a
time. Rules that look at a problem as a whole need its records to follow one another. --sample reads all of
them first; what is more than --memory lies in temporary files (TMPDIR). A null reward is never correct. What
is dropped goes to --rejects with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from stages.formats.foreign import as_records
from stages.records.jsonl import encode, open_output
from stages.records.record import Record, group_of, stamp
from stages.runtime.errors import BadInput
from stages.runtime.report import SILENT, Report
from stages.selection.rules import judges_records, select
from stages.selection.sampling import Sample, sampled
from stages.selection.sampling import check as check_sample
from stages.settings.criteria import Selection
from stages.settings.options import Doc, Flag, Written

EXAMPLES: tuple[str, ...] = (
    "r1 filter --keep correct --dedup normalised scored.jsonl > cold.jsonl",
    "r1 filter --min-pass 0.1 --max-pass 0.9 --rejects dropped.jsonl scored.jsonl > useful.jsonl",
    "r1 filter --well-formed --pass-of small.jsonl --max-pass 0 --sample 1000 --domain kind traces.jsonl",
)


def run(
    records: Iterable[Record],
    *,
    selection: Selection = Selection(),
    sample: Sample = Sample(),
    rejects: Annotated[
        Path | None,
        Doc("Write what is dropped to this file, with the reason in `dropped`."),
        Flag("--rejects", metavar="FILE"),
        Written(),
    ] = None,
    report: Report = SILENT,
) -> Iterator[Record]:
    """The records that every rule keeps, in order.

    Raises UsageError for rules that make no sense, BadInput for a record that lacks what one needs.
    """
    before: set[int] = set()
    after: set[int] = set()
    why: Counter[str] = Counter()
    kept = read = 0
    check_sample(sample)
    given = _given(selection) | (_given(sample) if sample.sample else {})
    judges = judges_records(selection) or sample.sample is not None

    def counted() -> Iterator[Record]:
        nonlocal read
        for record in as_records(records, report) if judges else records:
            read += 1
            before.add(_problem(record))
            report.advance(1)
            yield record

    with ExitStack() as stack:
        sink = stack.enter_context(open_output(rejects)) if rejects else None

        def reject(record: Record, reason: str) -> None:
            why[reason.partition(":")[0]] += 1
            if sink is not None:
                sink.write(encode(record.adding(dropped=reason)))

        report.start(None, "records")
        chosen = select(counted(), selection, reject)
        for record in sampled(chosen, sample, reject) if sample.sample else chosen:
            kept += 1
            after.add(_problem(record))
            yield record.adding(meta=stamp(record, "filter", **given))
    if why:
        report.note("dropped: " + ", ".join(f"{n} {rule}" for rule, n in why.most_common()))
    share = f" ({kept / read:.1%})".replace("%", " %") if read else ""
    unjudged = f", {why['null']} could not be judged" if why["null"] else ""
    report.summary(f"kept {kept} of {read}{share}, {len(before)} groups -> {len(after)}{unjudged}")


def _problem(record: Record) -> int:
    """A number for the record's problem; a record without a name counts as its own."""
    try:
        return hash(group_of(record))
    except BadInput:
        return hash(record.place or id(record))


def _given(options: Selection | Sample) -> dict[str, object]:
    """The options that differ from their defaults, for `meta`."""
    default = type(options)()
    return {name: value for name, value in vars(options).items() if value != getattr(default, name)}
