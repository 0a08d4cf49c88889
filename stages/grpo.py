"""Reinforcement learning with verifiable rewards: GRPO.

Reads problems, samples groups of completions with the policy itself, scores them as `score`
does, and trains. With `--rollouts` the input is what `generate --tokens | score` made, and one step is
trained on it. A recipe sets defaults; every flag wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from stages.data import templates
from stages.data.checkpoint import Checkpoint
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

EXAMPLES = (
    "r1 prompts gsm8k --split train | r1 grpo -m ckpt/base -o ckpt/zero --recipe r1-zero --steps 100",
    "r1 generate -m ckpt/base -n 8 --tokens problems.jsonl | r1 score"
    " | r1 grpo --rollouts - -m ckpt/base -o ckpt/step1",
)

# Sources: arXiv 2501.12948 (hyper-parameters of its supplement), 2503.20783 section 3, 2503.14476 section 3,
# 2507.18071 section 5.1 (clipping ranges, 4 mini-batches a rollout).
_PAPER: dict[str, Any] = {
    "lr": 3e-6,
    "schedule": "constant",
    "beta": 0.001,
    "samples": 16,
    "problems": 32,
    "temperature": 1.0,
    "ref_reset": 400,
    "minibatches": 16,
}
RECIPES: dict[str, dict[str, Any]] = {
    "r1-zero": {**_PAPER, "template": "r1-zero", "reward": ("accuracy", "format")},
    "r1": {
        **_PAPER,
        "template": "r1",
        "clip_low": 10.0,
        "clip_high": 10.0,
        "reward": ("accuracy", "format", "language"),
    },
    "dr-grpo": {
        "scale": "none",
        "aggregate": "constant",
        "lr": 1e-6,
        "schedule": "constant",
        "template": "r1",
    },
    "dapo": {
        "aggregate": "token",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "dynamic_sampling": 10,
        "samples": 16,
        "lr": 1e-6,
        "schedule": "constant",
        "template": "r1",
    },
    "gspo": {
        "ratio": "sequence",
        "clip_low": 3e-4,
        "clip_high": 4e-4,
        "minibatches": 4,
        "lr": 1e-6,
        "schedule": "constant",
        "template": "r1",
    },
}


def run(
    records: Iterable[Record],
    *,
    model: Annotated[str, Doc("The policy to start from."), Flag("-m", "--model")],
    out: Annotated[Path, Doc("The checkpoint to make."), Flag("-o", "--out")],
    recipe: Annotated[
        Literal["r1-zero", "r1", "dr-grpo", "dapo", "gspo"] | None,
        Doc("Set the defaults of a paper."),
    ] = None,
    reward: Annotated[
        tuple[str, ...],
        Doc("NAME[:option=value…][*weight], as for score. Repeatable."),
        Flag("-r", "--reward", metavar="SPEC"),
    ] = ("accuracy",),
    template: Annotated[
        str,
        Doc("r1-zero, r1, chat, none, or a file that holds {prompt}."),
        Flag("--template", "-t"),
    ] = "chat",
    prefill: Annotated[
        str | None, Doc("Begin each completion with this text instead of the template's.")
    ] = None,
    one_step_off: Annotated[
        bool,
        Doc(
            "Sample the next step's completions while this one's are learned; turns on --correction."
        ),
    ] = False,
    steps: Annotated[int, Doc("Batches of problems to train on."), Range(low=1)] = 100,
    problems: Annotated[int, Doc("Problems of a step."), Range(low=1)] = 16,
    samples: Annotated[
        int, Doc("Completions of each problem: G."), Flag("-n", "--samples"), Range(low=2)
    ] = 8,
    rollouts: Annotated[bool, Doc("The input is scored rollouts: train one step on them.")] = False,
    row_tokens: Annotated[
        int, Doc("Tokens computed at once; bounds memory, changes no result."), Range(low=1)
    ] = 1536,
    gap_limit: Annotated[
        float,
        Doc("Stop where the sampler's log-probabilities differ by more on average."),
        Range(above=0),
    ] = 0.05,
    workers: Annotated[int, Doc("Processes that score; 0 takes all cores."), Range(low=0)] = 0,
    seed: Annotated[int, Doc("Names the random numbers of the run.")] = 0,
    dry_run: Annotated[bool, Doc("Say what would be done and stop.")] = False,
    sampling: Sampling = Sampling(),
    objective: Objective = Objective(),
    optimizer: Optimizer = Optimizer(lr=1e-6, schedule="constant", warmup=0.0, beta2=0.999),
    lora: Lora = Lora(),
    saving: Saving = Saving(save_every=10),
    engine: Engine = Engine(),
    endpoint: Endpoint = Endpoint(),
    parallelism: Parallelism = Parallelism(),
    resume: bool = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Trains and returns the checkpoint. Buffers all problems.

    Raises BadInput for a problem that cannot be used, UsageError for options that contradict each other,
    R1Error where a guard finds the run going wrong.
    """
    from stages.training.online import described, reinforce
    from stages.training.world import joined

    if one_step_off and objective.correction == "none":
        objective = replace(objective, correction="truncate")
    with joined(parallelism) as world:
        return reinforce(
            records,
            model=model,
            out=out,
            template=templates.load(template, prefill=prefill),
            rewards=reward,
            steps=steps,
            problems=problems,
            samples=samples,
            rollouts=rollouts,
            row_tokens=row_tokens,
            gap_limit=gap_limit,
            one_step_off=one_step_off,
            saving=saving,
            workers=workers,
            seed=seed,
            sampling=sampling,
            objective=objective,
            optimizer=optimizer,
            lora=lora,
            engine=engine,
            endpoint=endpoint,
            world=world,
            options=described(
                recipe=recipe,
                reward=reward,
                template=template,
                prefill=prefill,
                steps=steps,
                problems=problems,
                samples=samples,
                one_step_off=one_step_off,
                seed=seed,
                sampling=sampling,
                objective=objective,
                optimizer=optimizer,
                lora=lora,
            ),
            resume=resume,
            dry_run=dry_run,
            report=report,
        )
