"""Reinforcement learning with verifiable rewards: GRPO.

Reads problems, samples groups of completions with the policy itself, scores them as `score`
does, and trains. With `--rollouts` the input is what `generate --tokens | score` made, and one step is
trained on it. A recipe sets defaults; every flag wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from stages.checkpoints.checkpoint import Checkpoint
from stages.formats.foreign import as_records
from stages.records.record import Record
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.groups import refuse_float16
from stages.settings.grpo import Settings as Settings

EXAMPLES = (
    "r1 prompts gsm8k --split train | r1 grpo -m ckpt/base -o ckpt/zero --recipe r1-zero --steps 100",
    "r1 generate -m ckpt/base -n 8 --tokens problems.jsonl | r1 score"
    " | r1 grpo --rollouts - -m ckpt/base -o ckpt/step1",
)

# Sources: arXiv 2501.12948 (hyper-parameters of its supplement), 2503.20783 section 3, 2503.14476 section 3,
# 2507.18071 section 5.1 (clipping ranges, 4 mini-batches a rollout).
_PAPER: dict[str, Any] = {
    "schedule": "constant",
    "beta": 0.001,
    "samples": 16,
    "problems": 32,
    "temperature": 1.0,
    "ref_reset": 400,
    "minibatches": 16,
}
RATE = 1e-6  # peak learning rate where none is given
RATES = {"r1-zero": 3e-6, "r1": 3e-6}  # and those of the recipes that have another
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
        "schedule": "constant",
        "template": "r1",
    },
    "dapo": {
        "aggregate": "token",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "dynamic_sampling": 10,
        "samples": 16,
        "schedule": "constant",
        "template": "r1",
    },
    "gspo": {
        "ratio": "sequence",
        "clip_low": 3e-4,
        "clip_high": 4e-4,
        "minibatches": 4,
        "schedule": "constant",
        "template": "r1",
    },
}


def run(
    records: Iterable[Record],
    settings: Settings,
    *,
    resume: bool = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Trains and returns the checkpoint. Buffers all problems.

    Raises BadInput for a problem that cannot be used, UsageError for options that contradict each other,
    R1Error where a guard finds the run going wrong.
    """
    refuse_float16(settings.engine)
    settings = _one_step_off(settings)
    from stages.training.grpo.checks import looked_over

    # First, as torch takes seconds to load.
    records, held = looked_over(as_records(records, report), settings, "grpo", report, resume=resume)
    from stages.training.grpo.train import train
    from stages.training.loop.job import Job, with_rate
    from stages.training.parallel.world import joined

    if settings.staleness and settings.objective.correction == "none":
        settings = replace(settings, objective=replace(settings.objective, correction="truncate"))
    with joined(settings.parallelism) as world:
        report = world.main_report(report)
        rate = RATES.get(settings.recipe or "", RATE)
        settings = with_rate(settings, rate, resume=resume, report=report)
        return train(records, settings, Job("grpo", settings, world, report, resume, held))


def _one_step_off(settings: Settings) -> Settings:
    """`settings` in which --one-step-off and --staleness say the same."""
    if settings.one_step_off and settings.staleness > 1:
        raise UsageError(
            f"--one-step-off is --staleness 1, and --staleness {settings.staleness} is given; leave one out"
        )
    one = settings.one_step_off or settings.staleness == 1
    return replace(settings, staleness=1, one_step_off=True) if one else settings
