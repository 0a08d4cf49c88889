"""Judge completions by rules: accuracy, format, language, length, or a function of yours.

Each record gets `rewards`, `reasons` and `reward`, the weighted sum. Null means that a rule could
not judge, with the reason: it is never a 0. Streams; a reward over groups holds one group, and needs
the records of a problem to follow one another. Slow verdicts run in worker processes under a deadline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from stages.data.jsonl import Journal
from stages.data.options import Doc, Flag, Range
from stages.data.record import Record
from stages.data.report import SILENT, Report
from stages.rewards.scorer import Scorer

EXAMPLES: tuple[str, ...] = (
    "r1 score completions.jsonl > scored.jsonl",
    "r1 score --reward accuracy --reward 'format*0.5' --reward language:lang=en completions.jsonl",
)


def run(
    records: Iterable[Record],
    *,
    reward: Annotated[
        tuple[str, ...],
        Doc(
            "A rule: NAME[:option=value,...][*weight], such as accuracy:places=boxed or "
            "./mine.py:function*0.5. Repeatable."
        ),
        Flag("-r", "--reward", metavar="SPEC"),
    ] = ("accuracy",),
    workers: Annotated[
        int, Doc("Processes for slow verdicts; 0 takes one for each core."), Range(low=0)
    ] = 0,
    timeout: Annotated[
        float, Doc("Seconds of work on one verdict before it becomes null."), Range(above=0)
    ] = 10.0,
    on_error: Annotated[
        Literal["stop", "null"], Doc("What a rule that fails does: stop the run, or give null.")
    ] = "stop",
    report: Report = SILENT,
    journal: Journal | None = None,
) -> Iterator[Record]:
    """The records with their rewards, in order.

    Raises UsageError for a reward that makes no sense, BadInput for a record without a completion,
    R1Error where a reward fails.
    """
    count = null = 0
    total = 0.0
    with Scorer(reward, workers, timeout, on_error) as scorer:
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
        seconds, place = scorer.slowest
        if seconds > 1:
            report.note(f"slowest: {place}, {seconds:.1f} s")
    if journal is not None and journal.taken:
        report.note(f"{journal.taken} of them from the unfinished run")
    judged = count - null
    mean = f"mean reward {total / judged:.3f}" if judged else "no reward"
    report.summary(f"scored {count}, {mean}, {null} could not be judged")
