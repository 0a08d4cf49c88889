"""Judge completions by rules: accuracy, format, language, length, or a function of yours.

Each record gets `rewards`, `reasons` and `reward`, the weighted sum. Null means that a rule could
not judge, with the reason: it is never a 0. Streams; a reward over groups holds one group, and needs
the records of a problem to follow one another. Slow verdicts run in worker processes under a deadline.

With --check it reads problems instead and writes those whose completions the rules could not judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from stages.formats.foreign import as_records
from stages.records.groups import Shard, sharded
from stages.records.jsonl import Journal
from stages.records.record import Record
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.scoring.preflight import faults, faulty, ready
from stages.scoring.scorer import Scorer
from stages.settings.options import Doc, Flag, Range

EXAMPLES: tuple[str, ...] = (
    "r1 score completions.jsonl > scored.jsonl",
    "r1 score --reward accuracy --reward 'format*0.5' --reward language:lang=en completions.jsonl",
    "r1 score --check --reward accuracy --reward format --template r1 problems.jsonl > faults.jsonl",
)
MEND = "mend it, or give --on-error null"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The rewards, and how they are run."""

    reward: Annotated[
        tuple[str, ...],
        Doc(
            "A rule: NAME[:option=value,...][*weight][ if CONDITION], such as accuracy:places=boxed or "
            "./mine.py:function*0.5. Repeatable."
        ),
        Flag("-r", "--reward", metavar="SPEC"),
    ] = ("accuracy",)
    workers: Annotated[int, Doc("Processes for slow verdicts; 0 takes one for each core."), Range(low=0)] = 0
    timeout: Annotated[
        float, Doc("Seconds of work on one verdict before it becomes null."), Range(above=0)
    ] = 10.0
    on_error: Annotated[
        Literal["stop", "null"], Doc("What a rule that fails does: stop the run, or give null.")
    ] = "stop"
    check: Annotated[
        bool, Doc("Read problems, not completions; write those that cannot be judged, and fail.")
    ] = False
    template: Annotated[
        str | None,
        Doc("The template to check the rewards with: one of generate's, or a file."),
        Flag("--template", "-t"),
    ] = None
    shard: Shard = None


def run(
    records: Iterable[Record],
    settings: Settings = Settings(),
    *,
    report: Report = SILENT,
    journal: Journal | None = None,
) -> Iterator[Record]:
    """The records with their rewards, in order.

    Raises UsageError for a reward that makes no sense, BadInput for a record without a completion,
    R1Error where a reward fails or, under `check`, at the end where a problem has a fault.
    """
    records = sharded(as_records(records, report), settings.shard)
    if not settings.check:
        if settings.template is not None:
            raise UsageError("--template is for --check: completions say themselves what opened them")
        yield from _scored(records, settings, report, journal)
        return
    if journal is not None:
        raise UsageError("--check fails where it finds faults, and -o FILE would not appear: use > FILE")
    checked = faults(
        records,
        settings.reward,
        template=settings.template,
        workers=settings.workers,
        timeout=settings.timeout,
        on_error=settings.on_error,
        remedy=MEND,
        report=report,
    )
    yield from faulty(checked, settings.reward, report)


def _scored(
    records: Iterable[Record], settings: Settings, report: Report, journal: Journal | None
) -> Iterator[Record]:
    """The records with their rewards, counted."""
    ready(settings.reward)
    count = null = 0
    total = 0.0
    with Scorer(settings.reward, settings.workers, settings.timeout, settings.on_error, MEND) as scorer:
        report.start(None, "records")
        for record in scorer.score(records, journal):
            count += 1
            if record["reward"] is None:
                null += 1
            else:
                total += record["reward"]
            report.advance(1, reward=total / max(1, count - null))
            yield record
        if scorer.timeouts:
            report.note(f"{scorer.timeouts} verdicts were not given in time or lost their worker")
        for each in scorer.spent():
            report.note(each.told())
        seconds, place = scorer.slowest
        if seconds > 1:
            report.note(f"slowest: {place}, {seconds:.1f} s")
    if journal is not None and journal.taken:
        report.note(f"{journal.taken} of them from the unfinished run")
    judged = count - null
    mean = f"mean reward {total / judged:.3f}" if judged else "no reward"
    report.summary(f"scored {count}, {mean}, {null} could not be judged")
