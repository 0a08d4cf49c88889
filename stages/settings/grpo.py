"""The settings of `grpo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.settings import training as common
from stages.settings.evaluation import Evaluation
from stages.settings.groups import (
    Endpoint,
    Engine,
    Lora,
    Objective,
    Optimizer,
    Parallelism,
    Sampling,
    Saving,
    Transfer,
)
from stages.settings.options import Alias, Doc, Incidental, Range


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `grpo` is asked for: the policy, the problems of a step, and the shared groups."""

    model: Annotated[common.Model, Doc("The policy to start from.")]
    out: common.Out
    recipe: Annotated[
        Literal["r1-zero", "r1", "dr-grpo", "dapo", "gspo"] | None,
        Doc("Set the defaults of a paper."),
    ] = None
    reward: common.Rewards = ("accuracy",)
    template: common.TemplateName = "chat"
    prefill: common.Prefill = None
    staleness: Annotated[
        int,
        Doc(
            "Sample up to K steps ahead while others are learned; turns on --correction. 0: none, 1: exactly "
            "one, and the same result each time."
        ),
        Range(0, 8),
    ] = 0
    one_step_off: Annotated[bool, Doc("The same as --staleness 1.")] = False
    steps: Annotated[common.Steps, Doc("Batches of problems to train on.")] = 100
    problems: Annotated[int, Doc("Problems of a step."), Range(low=1)] = 16
    samples: Annotated[common.Samples, Doc("Completions of each problem: G."), Range(2, 2**20)] = 8
    order: Annotated[
        Literal["shuffled", "given"],
        Doc("Take the problems of an epoch shuffled, or as they come: a curriculum (r1 sort)."),
    ] = "shuffled"
    rollouts: Annotated[bool, Doc("The input is scored rollouts: train one step on them.")] = False
    row_tokens: common.RowTokens = 1536
    logp_diff_limit: Annotated[
        float,
        Doc("Stop where the sampler's log-probabilities differ by more on average."),
        Range(above=0),
        Incidental(),
        Alias("--gap-limit", old=True),
    ] = 0.05
    idle_steps: Annotated[
        int,
        Doc("Say why nothing is learned after so many steps in which no group's rewards differ; 0: never."),
        Range(low=0),
        Incidental(),
    ] = 10
    batch_invariant: Annotated[
        bool,
        Doc(
            "Compute each token alike in sampler and trainer, on a CPU: their log-probabilities are the same "
            "in every bit, or the run stops. Slower."
        ),
    ] = False
    policy_logprobs: Annotated[
        bool,
        Doc("Keep in the rollouts what the policy made of each token when it learned it: `policy_logprobs`."),
        Incidental(),
    ] = False
    workers: common.Workers = 0
    seed: common.Seed = 0
    dry_run: common.DryRun = False
    sampling: Sampling = Sampling()
    objective: Objective = Objective()
    optimizer: Optimizer = Optimizer(schedule="constant", warmup=0.0, beta2=0.999)
    lora: Lora = Lora()
    saving: common.AnySaving = Saving(save_every=10)
    evaluation: Evaluation = Evaluation()
    engine: common.TrainingEngine = Engine()
    endpoint: common.AnyEndpoint = Endpoint()
    transfer: common.AnyTransfer = Transfer()
    parallelism: common.AnyParallelism = Parallelism()
