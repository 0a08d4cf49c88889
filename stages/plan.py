"""Plan a run of grpo on a cluster: time, memory, network and disk, from a model's config.json.

Arithmetic on stated constants: no weights are read and no GPU is needed. docs/scale.md has the formulas, the
constants, and how far plans are from what others have published.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from stages.planning.machines import GPUS, NODE, TRAINABLE
from stages.planning.shape import Shape, shape
from stages.planning.steps import Cluster, Parts, Work, parts
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.runtime.results import Results
from stages.settings.options import Doc, Flag, Range

EXAMPLES = (
    "r1 plan -m ckpt/base --gpus 8",
    "r1 plan -m config.json --gpus 64 --tensor-parallel 4 --prompts 128 -n 16 --mean-tokens 3200",
    "r1 plan -m config.json --gpus 32 --samplers 32 --gpu h20 -q | jq .seconds_per_step",
)
COUNT = Range(1, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The model, the work of a step, and the cluster."""

    model: Annotated[Path, Doc("A checkpoint directory, or a config.json."), Flag("-m", "--model")]
    gpus: Annotated[int, Doc("GPUs that train, and sample where no others do."), COUNT] = 8
    gpu: Annotated[Literal["a100", "h100", "h800", "h20", "h200", "b200"], Doc("What they are.")] = "h100"
    samplers: Annotated[
        int, Doc("Further GPUs that sample while others train, one step off the policy; 0: the same ones."),
        Range(0, 1_000_000),
    ] = 0  # fmt: skip
    tensor_parallel: Annotated[int, Doc("GPUs that serve one copy of the model."), COUNT] = 1
    prompts: Annotated[int, Doc("Problems of a step."), COUNT] = 32
    samples: Annotated[int, Doc("Completions of a problem."), Flag("-n", "--samples"), COUNT] = 16
    prompt_tokens: Annotated[int, Doc("Tokens of a prompt."), COUNT] = 200
    mean_tokens: Annotated[int, Doc("Tokens of a completion, on the mean."), COUNT] = 1000
    max_tokens: Annotated[int, Doc("Tokens of the longest completion."), COUNT] = 4096
    passes: Annotated[
        int, Doc("Forward passes beside the update: a reference (--beta), the policy's own."), Range(0, 8)
    ] = 1
    checkpointing: Annotated[bool, Doc("Compute activations again in the backward pass.")] = True
    steps: Annotated[int, Doc("Steps of the run."), COUNT] = 1000
    disk: Annotated[float, Doc("GB a second that a machine writes."), Range(0.001, 1e6)] = 2.0


def run(settings: Settings, *, report: Report = SILENT) -> Results:
    """One line of figures. Raises Unavailable and BadInput for the configuration, UsageError for sizes that
    contradict each other.
    """
    model = shape(settings.model)
    work = Work(
        settings.prompts * settings.samples,
        float(settings.prompt_tokens),
        float(settings.mean_tokens),
        float(settings.max_tokens),
        settings.passes,
        settings.checkpointing,
    )
    if settings.mean_tokens > settings.max_tokens:
        raise UsageError(
            f"--mean-tokens {settings.mean_tokens} is above --max-tokens {settings.max_tokens}: lower it"
        )
    serving = settings.samplers or settings.gpus
    if serving % settings.tensor_parallel:
        raise UsageError(
            f"--tensor-parallel {settings.tensor_parallel} does not divide the {serving} GPUs that sample"
        )
    cluster = Cluster(settings.gpu, settings.gpus, settings.samplers, settings.tensor_parallel)
    found = parts(model, work, cluster)
    made = figures(model, found, settings)
    lacking = unfit(found, settings)
    report.summary("no plan" if lacking else f"{made['hours']:.1f} hours for {settings.steps} steps")
    rows = [[name.replace("_", " "), _shown(value)] for name, value in made.items()]
    return Results([made], "Plan", ["figure", "value"], rows, failure=lacking)


def unfit(found: Parts, settings: Settings) -> str | None:
    """Why the plan cannot be, if so."""
    memory = GPUS[settings.gpu].memory
    if not found.at_once:
        return f"a copy does not fit {settings.tensor_parallel} GPUs of a sampler: raise --tensor-parallel"
    if found.training_memory > TRAINABLE * memory:
        need = found.training_memory / 1e9
        return f"training wants {need:.0f} GB of a GPU that has {memory / 1e9:.0f}: give more --gpus"
    return None


def figures(model: Shape, found: Parts, settings: Settings) -> dict[str, Any]:
    """What is printed; null where the model does not fit."""
    seconds = found.step(bool(settings.samplers))
    finite = bool(found.at_once)
    gpus = settings.gpus + settings.samplers
    tokens = settings.prompts * settings.samples * (settings.prompt_tokens + settings.mean_tokens)
    # Master weights and AdamW's two moments, 12 bytes a weight, which every machine writes its share of.
    saved = 12 * model.weights / (settings.disk * 1e9 * max(settings.gpus // NODE, 1))
    return {
        "weights": model.weights,
        "active_weights": model.active,
        "seconds_per_step": seconds if finite else None,
        "sampling_seconds": found.sampling if finite else None,
        "scoring_seconds": found.scoring,
        "update_seconds": found.update,
        "transfer_seconds": found.transfer,
        "hours": seconds * settings.steps / 3600 if finite else None,
        "gpu_hours": seconds * settings.steps / 3600 * gpus if finite else None,
        "tokens_per_second_per_gpu": tokens / seconds / gpus if finite else None,
        "completions_at_once": found.at_once,
        "training_gb_per_gpu": found.training_memory / 1e9,
        "sampler_gb_per_gpu": found.sampler_memory / 1e9,
        "checkpoint_gb": 2 * model.weights / 1e9,
        "state_gb": 12 * model.weights / 1e9,
        "state_seconds": saved,
    }


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"
