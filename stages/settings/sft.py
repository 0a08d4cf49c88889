"""The settings of `sft`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.settings import training as common
from stages.settings.evaluation import Evaluation
from stages.settings.groups import Engine, Lora, Optimizer, Parallelism, Saving
from stages.settings.options import Alias, Doc, Range


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `sft` is asked for: the model, which turns are learned, and how."""

    model: Annotated[common.Model, Doc("Checkpoint directory or hub name.")]
    out: common.Out
    template: common.TemplateName = "chat"
    learn: Annotated[
        Literal["completion", "last", "all"],
        Doc(
            "The assistant's turns to learn: those of the completion, the last, or all. "
            "A turn's own `train` or `weight` goes before it."
        ),
    ] = "completion"
    epochs: Annotated[common.Epochs, Doc("Passes over the examples.")] = 2.0
    batch: common.Batch = 32
    row_tokens: common.RowTokens = 1024
    context: Annotated[common.Context, Alias("--max-length")] = 0
    seed: Annotated[int, Doc("Names the order of the examples."), Range(low=0)] = 0
    dry_run: common.DryRun = False
    optimizer: Optimizer = Optimizer()
    lora: Lora = Lora()
    saving: common.AnySaving = Saving()
    evaluation: Evaluation = Evaluation()
    engine: common.TrainingEngine = Engine()
    parallelism: common.AnyParallelism = Parallelism()
