"""Judge completions by rules: accuracy, format, language, length, or a function of yours.

Each record gets `rewards`, `reasons` and `reward`, the weighted sum. Null means that a rule could
not judge, with the reason: it is never a 0. Streams; a reward over groups holds one group, and needs
the records of a problem to follow one another. Slow verdicts run in worker processes under a deadline.

With --check it reads problems instead and writes those whose completions the rules could not judge.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from stages.data.errors import R1Error, UsageError
from stages.data.jsonl import Journal
from stages.data.options import Doc, Flag, Range
from stages.data.record import Record, place_of, stamp
from stages.data.report import SILENT, Report
from stages.data.shard import Shard, sharded
from stages.rewards.preflight import Checked, faults
from stages.rewards.scorer import Scorer

EXAMPLES: tuple[str, ...] = (
    "r1 score completions.jsonl > scored.jsonl",
    "r1 score --reward accuracy --reward 'format*0.5' --reward language:lang=en completions.jsonl",
    "r1 score --check --reward accuracy --reward format --template r1 problems.jsonl > faults.jsonl",
)
KINDS = 20  # of faults that are counted apart


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
    check: Annotated[
        bool, Doc("Read problems, not completions; write those that cannot be judged, and fail.")
    ] = False,
    template: Annotated[
        str | None,
        Doc("The template to check the rewards with: one of generate's, or a file."),
        Flag("--template", "-t"),
    ] = None,
    shard: Shard = None,
    report: Report = SILENT,
    journal: Journal | None = None,
) -> Iterator[Record]:
    """The records with their rewards, in order.

    Raises UsageError for a reward that makes no sense, BadInput for a record without a completion,
    R1Error where a reward fails or, under `check`, at the end where a problem has a fault.
    """
    records = sharded(records, shard)
    if check:
        if journal is not None:
            raise UsageError(
                "--check fails where it finds faults, and -o FILE would not appear: use > FILE"
            )
        checked = faults(
            records,
            reward,
            template=template,
            workers=workers,
            timeout=timeout,
            on_error=on_error,
            report=report,
        )
        yield from _faulty(checked, reward, report)
        return
    if template is not None:
        raise UsageError("--template is for --check: completions say themselves what opened them")
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


def _faulty(checked: Iterator[Checked], specs: tuple[str, ...], report: Report) -> Iterator[Record]:
    """The problems with a fault, each with its `reasons`. Raises R1Error at the end if there was one."""
    count = faulty = 0
    kinds: Counter[str] = Counter()
    report.start(None, "problems")
    for problem, found in checked:
        count += 1
        report.advance(1)
        if not found:
            continue
        faulty += 1
        for name, why in found.items():
            kind = f"{name}: {_kind(why)}"
            kinds[kind if kind in kinds or len(kinds) < KINDS else f"{name}: other"] += 1
        held = problem.get("reasons")
        reasons = {**(held if isinstance(held, dict) else {}), **found}
        meta = stamp(problem, "score", rewards=list(specs), place=place_of(problem))
        yield problem.adding(reasons=reasons, meta=meta)
    for kind, number in kinds.most_common():
        report.note(f"{number} × {kind}")
    report.summary(f"checked {count} problems, {faulty} cannot be judged")
    if faulty:
        raise R1Error(f"{faulty} of {count} problems cannot be judged by all rewards")


def _kind(why: str) -> str:
    """A reason without what is quoted of its problem."""
    return re.sub(r"""'[^']*'|"[^"]*"|\d+""", "…", why)[:100]
