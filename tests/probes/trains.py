"""Make a checkpoint that holds the options it was made with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from stages.checkpoints.checkpoint import Checkpoint, appearing, refuse_existing, write_manifest
from stages.records.record import Record
from stages.settings.groups import Optimizer
from stages.settings.options import Alias, Doc, Flag

EXAMPLES = ("r1 trains -o ckpt/a records.jsonl", "r1 trains --recipe bold -o ckpt/b records.jsonl")
RECIPES = {"bold": {"lr": 0.5, "epochs": 9}, "shy": {"lr": 0.25}}


def run(
    records: Iterable[Record],
    *,
    out: Annotated[Path, Doc("The checkpoint to make."), Flag("-o", "--out")],
    recipe: Annotated[str | None, Doc("Defaults that go together: bold or shy.")] = None,
    epochs: Annotated[int, Doc("Passes over the records."), Alias("--passes", old=True)] = 1,
    optimizer: Optimizer = Optimizer(lr=0.125),
    resume: bool = False,
) -> Checkpoint:
    refuse_existing(out)
    count = sum(1 for _ in records)
    with appearing(out) as directory:
        manifest = write_manifest(
            directory,
            stage="trains",
            options={"recipe": recipe, "epochs": epochs, "lr": optimizer.lr, "resume": resume},
            parent=None,
            inputs={"records": count},
            metrics={},
        )
    return Checkpoint(out, manifest)
