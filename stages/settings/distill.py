"""The settings of `distill`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from stages.settings import training as common
from stages.settings.criteria import Selection
from stages.settings.evaluation import Evaluation
from stages.settings.groups import Endpoint, Engine, Lora, Optimizer, Parallelism, Sampling, Saving, Transfer
from stages.settings.options import Doc, Range


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `distill` is asked for: student, teacher, and how traces are made and learned."""

    model: Annotated[common.Model, Doc("The student to start from.")]
    teacher: Annotated[str, Doc("The model whose completions are learned.")]
    out: common.Out
    on_policy: Annotated[
        bool, Doc("The student samples; the reverse KL from the teacher on its tokens is learned.")
    ] = False
    samples: Annotated[common.Samples, Doc("Completions of each problem."), Range(1, 2**20)] = 4
    steps: Annotated[common.Steps, Doc("Batches of problems, under --on-policy: one update each.")] = 100
    problems: Annotated[int, Doc("Problems of a step, under --on-policy."), Range(low=1)] = 16
    reward: common.Rewards = ("accuracy",)
    template: common.TemplateName = "r1"
    student_template: Annotated[
        str | None, Doc("The student's template; the teacher's where none is given.")
    ] = None
    epochs: Annotated[common.Epochs, Doc("Passes over the kept traces.")] = 2.0
    batch: common.Batch = 32
    row_tokens: common.RowTokens = 1024
    context: common.Context = 0
    workers: common.Workers = 0
    seed: common.Seed = 0
    sampling: Sampling = Sampling(temperature=0.6, top_p=0.95)
    selection: Selection = Selection(keep="correct")
    optimizer: Optimizer = Optimizer()
    lora: Lora = Lora()
    saving: common.AnySaving = Saving()
    evaluation: Evaluation = Evaluation()
    engine: common.TrainingEngine = Engine()
    endpoint: common.AnyEndpoint = Endpoint()
    transfer: common.AnyTransfer = Transfer()
    parallelism: common.AnyParallelism = Parallelism()
