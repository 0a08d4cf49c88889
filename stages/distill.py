"""Distil a teacher into a student: sample, verify, filter, fine-tune.

Reads problems. The teacher's completions are scored and filtered as `score` and `filter` do, and the
student is fine-tuned on what is kept as `sft` does. The traces stay inside the checkpoint. With `--on-policy` the
student samples, and learns to give its own tokens the teacher's probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

from stages.data import templates
from stages.data.checkpoint import Checkpoint, revision
from stages.data.options import (
    Doc,
    Endpoint,
    Engine,
    Flag,
    Lora,
    Objective,
    Optimizer,
    Parallelism,
    Range,
    Sampling,
    Saving,
)
from stages.data.record import Record
from stages.data.report import SILENT, Report
from stages.data.selection import Selection

EXAMPLES = (
    "r1 prompts gsm8k --split train | r1 distill -m ckpt/small --teacher ckpt/r1 -o ckpt/distilled",
    "r1 distill -m ckpt/small --teacher ckpt/r1 -o ckpt/distilled -n 4 --keep shortest problems.jsonl",
    "r1 distill --on-policy -m ckpt/distilled --teacher ckpt/r1 -o ckpt/closer --steps 50 problems.jsonl",
)

# On tokens that the student drew, the gradient of (log r)^2 / 2 is that of the reverse KL from the teacher.
REVERSE_KL = Objective(beta=1.0, kl="k2", aggregate="token")


def run(
    records: Iterable[Record],
    *,
    model: Annotated[str, Doc("The student to start from."), Flag("-m", "--model")],
    teacher: Annotated[str, Doc("The model whose completions are learned.")],
    out: Annotated[Path, Doc("The checkpoint to make."), Flag("-o", "--out")],
    on_policy: Annotated[
        bool, Doc("The student samples; the reverse KL from the teacher on its tokens is learned.")
    ] = False,
    samples: Annotated[
        int, Doc("Completions of each problem."), Flag("-n", "--samples"), Range(low=1)
    ] = 4,
    steps: Annotated[
        int, Doc("Batches of problems, under --on-policy: one update each."), Range(low=1)
    ] = 100,
    problems: Annotated[int, Doc("Problems of a step, under --on-policy."), Range(low=1)] = 16,
    reward: Annotated[
        tuple[str, ...],
        Doc("NAME[:option=value…][*weight], as for score. Repeatable."),
        Flag("-r", "--reward", metavar="SPEC"),
    ] = ("accuracy",),
    template: Annotated[
        str,
        Doc("r1-zero, r1, chat, none, or a file that holds {prompt}."),
        Flag("--template", "-t"),
    ] = "r1",
    student_template: Annotated[
        str | None, Doc("The student's template; the teacher's where none is given.")
    ] = None,
    epochs: Annotated[float, Doc("Passes over the kept traces."), Range(above=0)] = 2.0,
    batch: Annotated[int, Doc("Examples of one update."), Range(low=1)] = 32,
    row_tokens: Annotated[
        int, Doc("Tokens computed at once; bounds memory, changes no result."), Range(low=1)
    ] = 1024,
    context: Annotated[
        int,
        Doc("Longest example in tokens, the rest is cut; 0 is the model's context."),
        Range(low=0),
    ] = 0,
    workers: Annotated[int, Doc("Processes that score; 0 takes all cores."), Range(low=0)] = 0,
    seed: Annotated[int, Doc("Names the random numbers of the run.")] = 0,
    sampling: Sampling = Sampling(temperature=0.6, top_p=0.95),
    selection: Selection = Selection(keep="correct"),
    optimizer: Optimizer = Optimizer(),
    lora: Lora = Lora(),
    saving: Saving = Saving(),
    engine: Engine = Engine(),
    endpoint: Endpoint = Endpoint(),
    parallelism: Parallelism = Parallelism(),
    resume: bool = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Trains the student and returns its checkpoint. Buffers all problems.

    Raises what `generate`, `score`, `filter` and `sft` raise, and R1Error where no trace is kept.
    """
    from stages.training.distillation import traces
    from stages.training.imitation import imitate
    from stages.training.online import reinforce
    from stages.training.run import digest_of, finished
    from stages.training.world import joined

    chosen = templates.load(template)
    taught = chosen if student_template is None else templates.load(student_template)
    common = {
        "teacher": teacher,
        "teacher_revision": revision(teacher),
        "samples": samples,
        "reward": reward,
        "template": template,
        "student_template": student_template,
        "seed": seed,
        "optimizer": asdict(optimizer),
        "lora": asdict(lora),
    }
    if on_policy:
        whole = replace(sampling, top_p=1.0, top_k=0)
        with joined(parallelism) as world:
            return reinforce(
                records,
                stage="distill",
                model=model,
                teacher=teacher,
                out=out,
                template=taught,
                rewards=reward,
                steps=steps,
                problems=problems,
                samples=samples,
                rollouts=False,
                row_tokens=row_tokens,
                gap_limit=0.05,
                saving=saving,
                workers=workers,
                seed=seed,
                sampling=whole,
                objective=REVERSE_KL,
                optimizer=optimizer,
                lora=lora,
                engine=engine,
                endpoint=endpoint,
                world=world,
                options={**common, "steps": steps, "problems": problems, "sampling": asdict(whole)},
                resume=resume,
                dry_run=False,
                report=report,
            )
    options = {
        **common,
        "epochs": epochs,
        "batch": batch,
        "context": context,
        "sampling": asdict(sampling),
        "selection": asdict(selection),
    }
    with joined(parallelism) as world:
        done = finished(out, "distill", resume, records, report, options=options, parent=model)
        if done is not None:
            return done
        asked = list(records)
        world.gather(None)  # none looks for unfinished work once rank 0 has begun its own
        made = world.rank or traces(
            asked,
            teacher=teacher,
            out=out,
            template=chosen,
            samples=samples,
            rewards=reward,
            selection=selection,
            workers=workers,
            seed=seed,
            sampling=sampling,
            engine=world.placed(engine),
            endpoint=endpoint,
            resume=resume,
            report=report,
        )
        kept = world.gather(made)[0]
        return imitate(
            kept,
            stage="distill",
            model=model,
            out=out,
            template=taught,
            epochs=epochs,
            batch=batch,
            row_tokens=row_tokens,
            context=context,
            saving=saving,
            seed=seed,
            optimizer=optimizer,
            lora=lora,
            engine=engine,
            world=world,
            options=options,
            resume=True,
            dry_run=False,
            report=report,
            inputs={"problems": len(asked), "digest": digest_of(asked)},
        )
