"""Fine-tune a model on prompts and completions.

Reads `prompt` and `completion`, `messages`, or the record that `generate` made. The loss counts
the assistant's turns that are learned; examples are packed into rows without seeing each other.
"""

from __future__ import annotations

from collections.abc import Iterable

from stages.checkpoints.checkpoint import Checkpoint
from stages.records.record import Record
from stages.runtime.report import SILENT, Report
from stages.settings.groups import refuse_backend, refuse_float16
from stages.settings.sft import Settings as Settings

EXAMPLES = (
    "r1 filter --keep correct scored.jsonl | r1 sft -m ckpt/base -o ckpt/sft --template r1",
    "r1 sft -m ckpt/base -o ckpt/lora --lora 16 --lr 2e-4 --epochs 2 cold.jsonl",
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
    from stages.training.sft.lessons import looked_over

    records, held = looked_over(records, settings, resume=resume)  # torch takes seconds to load
    from stages.training.loop.job import RATE, Job, with_rate
    from stages.training.parallel.world import joined
    from stages.training.sft.learner import fine_tune

    with joined(settings.parallelism) as world:
        report = world.main_report(report)
        settings = with_rate(settings, RATE, resume=resume, report=report)
        job = Job("sft", settings, world, report, resume, held)
        return fine_tune(records, settings, job)
