"""Distillation as the paper does it: a teacher's traces, verified and filtered, become the student's SFT.

What is made on the way stays: `traces/completions.jsonl` (scored), `traces/kept.jsonl` and
`traces/rejected.jsonl`, first under `OUT.partial`, at the end inside the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.data import checkpoint, jsonl
from stages.data.errors import BadInput, R1Error
from stages.data.jsonl import Journal
from stages.data.options import Endpoint, Engine, Sampling
from stages.data.record import Record, digest
from stages.data.report import Report
from stages.data.selection import Selection, select
from stages.data.templates import Template
from stages.inference.complete import complete
from stages.inference.loading import check_files
from stages.rewards.scorer import Scorer


def traces(
    problems: Sequence[Record],
    *,
    teacher: str,
    out: Path,
    template: Template,
    samples: int,
    rewards: Sequence[str],
    selection: Selection,
    workers: int,
    seed: int,
    sampling: Sampling,
    engine: Engine,
    endpoint: Endpoint,
    resume: bool,
    report: Report,
) -> list[Record]:
    """The teacher's completions worth learning from; all of them are kept on disk.

    Raises UsageError where unfinished work is in the way and `resume` is not set, R1Error where nothing is left.
    """
    checkpoint.refuse_unfinished(out, resume=resume)
    work = checkpoint.partial_of(out)
    if not problems:
        raise BadInput(
            "no problems to distil", place="stdin", remedy="see what the stage before kept"
        )
    if engine.backend != "openai":
        check_files(teacher)
    folder = work / "traces"
    folder.mkdir(parents=True, exist_ok=True)
    identity = digest(
        problems,
        checkpoint.revision(teacher),
        asdict(template),
        samples,
        list(rewards),
        asdict(selection),
        seed,
        asdict(sampling),
    )
    scored_path, kept_path = folder / "completions.jsonl", folder / "kept.jsonl"
    done = work / "traces.done"
    if not (done.exists() and done.read_text() == identity):
        journal = Journal(work / "traces.journal", resume=True)
        try:
            report.start(len(problems) * samples, "completions")
            made = complete(
                problems,
                model=teacher,
                template=template,
                sampling=sampling,
                engine=engine,
                endpoint=endpoint,
                samples=samples,
                seed=seed,
                report=report,
                journal=journal,
            )
            with Scorer(list(rewards), workers=workers) as scorer:
                jsonl.write(scored_path, scorer.score(made))
        finally:
            journal.close()
        _keep(scored_path, kept_path, folder / "rejected.jsonl", selection)
        done.write_text(identity)
        journal.discard()
    with jsonl.open_input(kept_path) as stream:
        kept = list(jsonl.read_lines(stream, str(kept_path)))
    report.note(f"kept {len(kept)} of {len(problems) * samples} traces")
    if not kept:
        raise R1Error(
            f"no trace of the teacher was kept; see {folder}/rejected.jsonl for the reasons"
        )
    return kept


def _keep(source: Path, kept: Path, rejected: Path, selection: Selection) -> None:
    dropped: list[dict[str, Any]] = []

    def reject(record: Record, why: str) -> None:
        dropped.append(record.adding(dropped=why))

    def scored() -> Iterator[Record]:
        with jsonl.open_input(source) as stream:
            yield from jsonl.read_lines(stream, str(source))

    jsonl.write(kept, select(scored(), selection, reject))
    jsonl.write(rejected, dropped)
