"""Train a reward model on preference pairs, or on labelled completions.

Reads `prompt`, `chosen` and `rejected`, as texts or messages, or completions with a `label`: safe or unsafe,
1 or 0. The model gets a fresh head of one number, which its last state goes through. What comes out is a
sequence-classification checkpoint: `--reward reward_model:model=OUT` judges with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from stages.checkpoints.checkpoint import Checkpoint
from stages.records.record import Record
from stages.runtime.report import SILENT, Report
from stages.settings.groups import refuse_backend, refuse_float16
from stages.settings.reward_model import Settings as Settings

EXAMPLES = (
    "r1 reward-model -m ckpt/sft -o ckpt/helpful --part summary --eval held.jsonl pairs.jsonl",
    "r1 reward-model -m ckpt/sft -o ckpt/safe labelled.jsonl",
)


def run(
    records: Iterable[Record],
    settings: Settings,
    *,
    resume: bool = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Trains and returns the checkpoint. Buffers all records.

    Raises BadInput for a record that cannot be used, UsageError where `out` exists, R1Error where
    loss or gradient is not finite.
    """
    refuse_float16(settings.engine)
    refuse_backend(settings.engine)
    from stages.training.reward_model.lessons import looked_over

    records, held = looked_over(records, settings, resume=resume)  # torch takes seconds to load
    from stages.training.loop.job import RATE, Job, with_rate
    from stages.training.parallel.world import joined
    from stages.training.reward_model.learner import train

    with joined(settings.parallelism) as world:
        report = world.main_report(report)
        settings = with_rate(settings, RATE, resume=resume, report=report)
        job = Job("reward-model", settings, world, report, resume, held)
        return train(records, settings, job)
