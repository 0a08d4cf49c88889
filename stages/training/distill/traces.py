"""Distillation as the paper does it: a teacher's traces, verified and filtered, become the student's SFT.

What is made on the way stays: `traces/completions.jsonl` (scored), `traces/kept.jsonl` and
`traces/rejected.jsonl`, first under `OUT.partial`, at the end inside the checkpoint.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.checkpoints import checkpoint
from stages.inference.complete import Plan, complete
from stages.records import jsonl
from stages.records.jsonl import Journal
from stages.records.record import Record, digest
from stages.records.references import advice
from stages.runtime.errors import R1Error
from stages.runtime.report import Report
from stages.scoring.scorer import Scorer
from stages.selection.rules import select
from stages.settings.criteria import Selection
from stages.settings.distill import Settings
from stages.training.distill.preflight import plan_of
from stages.training.loop.job import Job

COMPLETIONS, KEPT = "completions.jsonl", "kept.jsonl"


def traces(problems: Sequence[Record], settings: Settings, job: Job) -> list[Record]:
    """The teacher's completions worth learning from; all of them are kept on disk.

    Raises UsageError where unfinished work is in the way and the job does not resume, R1Error where nothing
    is left.
    """
    checkpoint.refuse_unfinished(settings.out, resume=job.resume)
    work = checkpoint.partial_of(settings.out)
    folder = work / "traces"
    plan = plan_of(settings, job.world.placed(settings.engine))
    with checkpoint.writing(work):
        folder.mkdir(parents=True, exist_ok=True)
    identity = digest(
        problems,
        checkpoint.revision(settings.teacher),
        asdict(plan.template),
        settings.samples,
        list(settings.reward),
        asdict(settings.selection),
        settings.seed,
        asdict(settings.sampling),
    )
    job.world.does("has the teacher sample")
    done = work / "traces.done"
    if not (done.exists() and done.read_text() == identity):
        journal = _sampled(problems, settings, plan, work, job.report)
        _keep(folder, settings.selection)
        with checkpoint.writing(done):
            done.write_text(identity)
        journal.discard()
    kept = list(jsonl.read_file(folder / KEPT))
    job.report.note(f"kept {len(kept)} of {len(problems) * settings.samples} traces")
    if not kept:
        raise R1Error(_nothing_kept(folder))
    return kept


def _nothing_kept(folder: Path) -> str:
    """Why no trace was kept, with the first as example."""
    first = next(jsonl.read_file(folder / "rejected.jsonl"), Record())
    reasons = "; ".join(f"{name}: {reason}" for name, reason in (first.get("reasons") or {}).items())
    lacking = f"; {advice(first)}" if "reference answer" in reasons and "answer" not in first else ""
    return (
        f"no trace of the teacher was kept; the first is {first.get('id')}, {first.get('dropped')} "
        f"({reasons or 'no reason given'}){lacking}; see {folder}/rejected.jsonl for the others"
    )


def _sampled(
    problems: Sequence[Record], settings: Settings, plan: Plan, work: Path, report: Report
) -> Journal:
    """Writes the teacher's scored completions; returns the journal that they are in until they are kept."""
    journal = Journal(work / "traces.journal", resume=True)
    folder = work / "traces"
    try:
        report.start(len(problems) * settings.samples, "completions")
        made = complete(problems, plan, endpoint=settings.endpoint, report=report, journal=journal)
        with Scorer(list(settings.reward), workers=settings.workers) as scorer:
            jsonl.write(folder / COMPLETIONS, scorer.score(made))
    except BaseException:
        if not len(journal):  # nothing is kept, so nothing is left
            journal.discard()
            with contextlib.suppress(OSError):
                folder.rmdir()
                work.rmdir()
        raise
    finally:
        journal.close()
    return journal


def _keep(folder: Path, selection: Selection) -> None:
    """What the rules keep of the completions, and what they reject, as files beside them."""
    dropped: list[dict[str, Any]] = []

    def reject(record: Record, why: str) -> None:
        dropped.append(record.adding(dropped=why))

    jsonl.write(folder / KEPT, select(jsonl.read_file(folder / COMPLETIONS), selection, reject))
    jsonl.write(folder / "rejected.jsonl", dropped)
