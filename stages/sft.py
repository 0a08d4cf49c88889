"""Fine-tune a model on prompts and completions.

Reads `prompt` and `completion`, `messages`, or the record that `generate` made. The loss counts
completion tokens only; examples are packed into rows without seeing each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from stages.data import templates
from stages.data.checkpoint import Checkpoint
from stages.data.options import Doc, Engine, Flag, Lora, Optimizer, Parallelism, Range, Saving
from stages.data.record import Record
from stages.data.report import SILENT, Report

EXAMPLES = (
    "r1 filter --keep correct scored.jsonl | r1 sft -m ckpt/base -o ckpt/sft --template r1",
    "r1 sft -m ckpt/base -o ckpt/lora --lora 16 --lr 2e-4 --epochs 2 cold.jsonl",
)


def run(
    records: Iterable[Record],
    *,
    model: Annotated[str, Doc("Checkpoint directory or hub name."), Flag("-m", "--model")],
    out: Annotated[Path, Doc("The checkpoint to make."), Flag("-o", "--out")],
    template: Annotated[
        str,
        Doc("r1-zero, r1, chat, none, or a file that holds {prompt}."),
        Flag("--template", "-t"),
    ] = "chat",
    epochs: Annotated[float, Doc("Passes over the examples."), Range(above=0)] = 2.0,
    batch: Annotated[int, Doc("Examples of one update."), Range(low=1)] = 32,
    row_tokens: Annotated[
        int, Doc("Tokens computed at once; bounds memory, changes no result."), Range(low=1)
    ] = 1024,
    context: Annotated[
        int,
        Doc("Longest example in tokens, the rest is cut; 0 is the model's context."),
        Range(low=0),
    ] = 0,
    seed: Annotated[int, Doc("Names the order of the examples.")] = 0,
    dry_run: Annotated[bool, Doc("Say what would be done and stop.")] = False,
    optimizer: Optimizer = Optimizer(),
    lora: Lora = Lora(),
    saving: Saving = Saving(),
    engine: Engine = Engine(),
    parallelism: Parallelism = Parallelism(),
    resume: bool = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Trains and returns the checkpoint. Buffers all records.

    Raises BadInput for a record that cannot be used, UsageError where `out` exists, R1Error where
    loss or gradient is not finite.
    """
    from stages.training.imitation import imitate
    from stages.training.world import joined

    chosen = templates.load(template)
    options = {
        "template": template,
        "epochs": epochs,
        "batch": batch,
        "context": context,
        "seed": seed,
        "optimizer": asdict(optimizer),
        "lora": asdict(lora),
    }
    with joined(parallelism) as world:
        return imitate(
            records,
            stage="sft",
            model=model,
            out=out,
            template=chosen,
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
            resume=resume,
            dry_run=dry_run,
            report=report,
        )
