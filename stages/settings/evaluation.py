"""The options that say what a model under training is measured by: the same for `sft`, `grpo`, `distill`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from stages.settings.options import Alias, Doc, Flag, Range

EvalEvery = Annotated[
    int,
    Doc(
        "Steps, or updates of sft, between evaluations; 0: 20 of them, fewer where they would take more "
        "than 4 % of the run's work."
    ),
    Range(low=0),
    Alias("--eval-steps"),
]
EarlyStopping = Annotated[
    int,
    Doc("End the run after so many evaluations in a row that are no better than the best; 0: never."),
    Range(low=0),
    Alias("--early-stopping-patience"),
]


@dataclass(frozen=True)
class Evaluation:
    """Measuring on held-out problems during the run, by the sampler that it has."""

    eval: Annotated[
        tuple[str, ...],
        Doc("Measure the model on this benchmark or file, at the start too. Repeatable."),
        Flag("--eval", metavar="BENCHMARK|FILE"),
    ] = ()
    eval_every: EvalEvery = 0
    eval_samples: Annotated[
        int | None,
        Doc("Completions of each problem; each benchmark has its default."),
        Range(low=1),
        Alias("--num-generations-eval"),
    ] = None
    eval_limit: Annotated[int | None, Doc("Problems to take of each benchmark."), Range(low=1)] = None
    eval_reward: Annotated[
        tuple[str, ...],
        Doc("Score by this reward; the first decides. The benchmark's by default. Repeatable."),
        Flag("--eval-reward", metavar="SPEC"),
    ] = ()
    eval_max_tokens: Annotated[
        int | None,
        Doc("Tokens a completion may have: by default --max-tokens, in sft 1024."),
        Range(low=1),
    ] = None
    eval_temperature: Annotated[float, Doc("Divides the logits; 0 is greedy."), Range(low=0)] = 0.6
    eval_top_p: Annotated[
        float, Doc("Keep the smallest set of tokens with this probability."), Range(above=0, high=1)
    ] = 0.95
    early_stopping: EarlyStopping = 0
