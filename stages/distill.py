"""Distil a teacher into a student: sample, verify, filter, fine-tune.

Reads problems. The teacher's completions are scored and filtered as `score` and `filter` do, and the
student is fine-tuned on what is kept as `sft` does. The traces stay inside the checkpoint. With `--on-policy`
the student samples, and learns to give its own tokens the teacher's probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stages.checkpoints.checkpoint import Checkpoint, revision
from stages.formats.foreign import as_records
from stages.records.record import Record
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.settings import grpo, sft
from stages.settings.distill import Settings as Settings
from stages.settings.groups import Objective, refuse_float16

if TYPE_CHECKING:
    from stages.evaluation.held_out import HeldOut
    from stages.training.loop.job import Job

EXAMPLES = (
    "r1 prompts gsm8k --split train | r1 distill -m ckpt/small --teacher ckpt/r1 -o ckpt/distilled",
    "r1 distill -m ckpt/small --teacher ckpt/r1 -o ckpt/distilled -n 4 --keep shortest problems.jsonl",
    "r1 distill --on-policy -m ckpt/distilled --teacher ckpt/r1 -o ckpt/closer --steps 50 problems.jsonl",
)

# On tokens that the student drew, the gradient of (log r)^2 / 2 is that of the reverse KL from the teacher.
REVERSE_KL = Objective(beta=1.0, kl="k2", aggregate="token")


def run(
    records: Iterable[Record],
    settings: Settings,
    *,
    resume: bool = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Trains the student and returns its checkpoint. Buffers all problems.

    Raises what `generate`, `score`, `filter` and `sft` raise, and R1Error where no trace is kept.
    """
    refuse_float16(settings.engine)
    if settings.on_policy:  # the student is sampled from as it is
        settings = replace(settings, sampling=replace(settings.sampling, top_p=1.0, top_k=0))
    # First, as torch takes seconds to load.
    records, held = _looked_over(as_records(records, report), settings, report, resume)
    from stages.training.loop.job import RATE, Job, with_rate
    from stages.training.parallel.world import joined

    also = {"teacher_revision": revision(settings.teacher)}
    with joined(settings.parallelism) as world:
        report = world.main_report(report)
        settings = with_rate(settings, RATE, resume=resume, report=report)
        job = Job("distill", settings, world, report, resume, held, also)
        return (_on_policy if settings.on_policy else _on_traces)(records, settings, job)


def _looked_over(
    records: Iterable[Record], settings: Settings, report: Report, resume: bool
) -> tuple[Iterable[Record], list[HeldOut]]:
    """The problems and what is held out, read and checked as far as that goes without a model."""
    if not settings.on_policy:
        from stages.training.distill.preflight import looked_over

        if settings.transfer.weights_dir is not None:
            raise UsageError(
                f"--weights-dir {settings.transfer.weights_dir}: the teacher's weights stay what they are; "
                "leave it out, or add --on-policy"
            )
        return looked_over(records, settings, report, resume=resume)
    from stages.checkpoints.contents import check_files
    from stages.training.grpo import checks

    teacher, asked = settings.teacher, _asked(settings)
    if not settings.out.exists():
        check_files(settings.model)
        check_files(teacher)
    return checks.looked_over(records, asked, "distill", report, resume=resume, teacher=teacher)


def _on_policy(records: Iterable[Record], settings: Settings, job: Job) -> Checkpoint:
    """The student's own completions, and the teacher as the reference that it is drawn to."""
    from stages.training.grpo.train import train

    return train(records, _asked(settings), job, teacher=settings.teacher)


def _asked(settings: Settings) -> grpo.Settings:
    """The same as settings of `grpo`: the divergence from the teacher is all that is learned."""
    return grpo.Settings(
        **_common(settings),
        steps=settings.steps,
        problems=settings.problems,
        samples=settings.samples,
        reward=settings.reward,
        workers=settings.workers,
        sampling=settings.sampling,
        objective=REVERSE_KL,
        endpoint=settings.endpoint,
        transfer=settings.transfer,
    )


def _on_traces(records: Iterable[Record], settings: Settings, job: Job) -> Checkpoint:
    """The teacher's completions, verified and filtered, as examples of sft."""
    from stages.training.distill.traces import traces
    from stages.training.loop.job import digest_of
    from stages.training.sft.learner import fine_tune

    done = job.finished(records)
    if done is not None:
        return done
    problems = list(records)
    job.world.gather(None)  # none looks for unfinished work once rank 0 has begun its own
    made = job.world.rank or traces(problems, settings, job)
    kept = job.world.gather(made)[0]
    asked = sft.Settings(
        **_common(settings), epochs=settings.epochs, batch=settings.batch, context=settings.context
    )
    inputs = {"problems": len(problems), "digest": digest_of(problems)}
    return fine_tune(kept, asked, replace(job, resume=True), inputs)


def _common(settings: Settings) -> dict[str, Any]:
    """What the student's training takes over under the same name."""
    names = (
        "model", "out", "row_tokens", "seed", "optimizer", "lora", "saving", "evaluation", "engine",
        "parallelism",
    )  # fmt: skip
    template = settings.template if settings.student_template is None else settings.student_template
    return {"template": template, **{name: getattr(settings, name) for name in names}}
