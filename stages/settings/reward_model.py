"""The settings of `reward-model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.settings.evaluation import EarlyStopping, EvalEvery, Evaluation
from stages.settings.groups import Engine, Lora, Optimizer, Parallelism, Saving
from stages.settings.options import Alias, Doc, Flag, Range
from stages.settings.training import (
    AnyParallelism,
    AnySaving,
    Batch,
    DryRun,
    Epochs,
    Model,
    Out,
    RowTokens,
    TrainingEngine,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `reward-model` is asked for: the model, what it sees of a completion, and how it learns."""

    model: Annotated[Model, Doc("Checkpoint directory or hub name.")]
    out: Out
    part: Annotated[
        Literal["whole", "summary"],
        Doc("What it sees of a completion: all of it, or what follows the thinking."),
    ] = "whole"
    center: Annotated[
        float,
        Doc("Weight of the squared sum of a pair's rewards, which keeps them about 0, such as 0.01."),
        Range(low=0),
        Alias("--center-rewards-coefficient"),
    ] = 0.0
    epochs: Annotated[Epochs, Doc("Passes over the examples.")] = 1.0
    batch: Batch = 32
    row_tokens: RowTokens = 1024
    context: Annotated[
        int,
        Doc("Longest text in tokens, an example with a longer one is left out; 0 is the model's context."),
        Range(low=0),
        Alias("--max-length"),
    ] = 0
    seed: Annotated[int, Doc("Names the order of the examples."), Range(low=0)] = 0
    eval: Annotated[
        tuple[str, ...],
        Doc(
            "Measure accuracy and calibration on this file of pairs or labels, at the start too. Repeatable."
        ),
        Flag("--eval", metavar="FILE"),
    ] = ()
    eval_every: EvalEvery = 0
    early_stopping: EarlyStopping = 0
    dry_run: DryRun = False
    optimizer: Optimizer = Optimizer()
    saving: AnySaving = Saving()
    engine: TrainingEngine = Engine()
    parallelism: AnyParallelism = Parallelism()

    @property
    def evaluation(self) -> Evaluation:
        """What says when it is measured, as the loop of training asks for it."""
        return Evaluation(eval=self.eval, eval_every=self.eval_every, early_stopping=self.early_stopping)

    @property
    def lora(self) -> Lora:
        """None: all weights are trained."""
        return Lora()
