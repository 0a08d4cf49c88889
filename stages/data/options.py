"""What a stage's signature may say about an option, and the options that several stages share.

A stage declares `name: Annotated[T, Doc("help"), Flag("-x", "--name")] = default`. T is one of
str, int, float, bool, Path, a Literal of strings, `tuple[str, ...]` (repeatable), or one of
these `| None`. A `Range` beside the Doc says what a number may be; NaN and infinity it may never be.
A parameter whose type is a frozen dataclass of such fields becomes one flag for each field, in a
help panel named after the dataclass: the same flag, the same meaning everywhere.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from typing_extensions import Doc

from stages.data.errors import UsageError

__all__ = [
    "Adapter",
    "Doc",
    "Endpoint",
    "Engine",
    "Flag",
    "Lora",
    "Objective",
    "Optimizer",
    "Parallelism",
    "Range",
    "Sampling",
    "Saving",
]

LARGEST = 2**63  # whole numbers beyond it fit neither torch nor a seed's digest


@dataclass(frozen=True)
class Flag:
    """The spellings of an option where `--its-name` is not enough, and what its value is called."""

    names: tuple[str, ...]
    metavar: str | None

    def __init__(self, *names: str, metavar: str | None = None) -> None:
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "metavar", metavar)


@dataclass(frozen=True)
class Range:
    """What a number may be, as words (`str`) and as a test (`in`).

    `low` and `high` belong to it, `above` and `below` do not; without any, it is every finite number.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (abs(value) < LARGEST if isinstance(value, int) else math.isfinite(value))
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"from {self.low} to {self.high}"
        words = {
            "at least": self.low,
            "above": self.above,
            "at most": self.high,
            "below": self.below,
        }
        return " and ".join(f"{word} {end}" for word, end in words.items() if end is not None)

    def refuse(self, flag: str, value: Any) -> None:
        """Raises UsageError where `value`, or one of several, is a number outside."""
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if type(each) in (int, float) and each not in self:
                wanted = str(self) or f"a finite number below {LARGEST:.2g}"
                raise UsageError(f"{flag} {each}: must be {wanted}")


FINITE = Range()
NATURAL = Range(low=0)


def check(group: Any) -> None:
    """Raises UsageError where a field of a dataclass of options is outside its range, or stops everywhere."""
    if isinstance(group, Sampling) and not all(group.stop):
        raise UsageError("--stop '': an empty text stops everywhere")
    for name, hint in get_type_hints(type(group), include_extras=True).items():
        range_of(hint).refuse(f"--{name.replace('_', '-')}", getattr(group, name))


def range_of(hint: Any) -> Range:
    """The range that an annotation declares; every finite number where it declares none."""
    return next((note for note in get_args(hint)[1:] if isinstance(note, Range)), FINITE)


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn."""

    temperature: Annotated[float, Doc("Divides the logits; 0 is greedy."), Range(low=0)] = 1.0
    top_p: Annotated[
        float, Doc("Keep the smallest set of tokens with this probability."), Range(above=0, high=1)
    ] = 1.0
    top_k: Annotated[int, Doc("Keep the k likeliest tokens; 0 keeps all."), Range(low=0)] = 0
    max_tokens: Annotated[int, Doc("Tokens a completion may have."), Range(low=1)] = 1024
    stop: Annotated[
        tuple[str, ...], Doc("End the completion at this text, which is cut off. Repeatable.")
    ] = ()
    think_budget: Annotated[
        int | None, Doc("Force the end of thinking after this many tokens (s1)."), Range(low=0)
    ] = None
    think_extend: Annotated[
        int, Doc("Replace the end of thinking by 'Wait' this many times (s1)."), Range(low=0)
    ] = 0


@dataclass(frozen=True)
class Engine:
    """What generates the text, and on what."""

    backend: Annotated[
        Literal["auto", "transformers", "vllm", "openai", "echo"],
        Doc(
            "What generates: auto is vllm where it is installed and there is a GPU, else transformers; openai is a server; echo repeats the prompt, for dry runs."
        ),
    ] = "auto"
    batch_size: Annotated[
        int | None,
        Doc("Sequences decoded at once: 64, or 256 for vllm on a GPU."),
        Range(low=1),
    ] = None
    device: Annotated[str, Doc("auto, cpu, cuda or cuda:N.")] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Doc("auto is bfloat16 on a GPU, float32 elsewhere."),
    ] = "auto"
    threads: Annotated[
        int, Doc("CPU threads; 0 takes OMP_NUM_THREADS, else all cores."), Range(0, 1024)
    ] = 0
    deterministic: Annotated[
        bool, Doc("Fixed batch shapes: the same bytes at any batch size or shard. Slower.")
    ] = False
    tp: Annotated[int, Doc("GPUs that share each layer, under vllm."), Range(low=1)] = 1
    dp: Annotated[
        int,
        Doc("Engines beside each other under vllm, each with --tp GPUs of its own."),
        Range(low=1),
    ] = 1
    gpu_memory: Annotated[
        float | None,
        Doc(
            "Share of the GPU's memory that vllm takes: 0.9, in grpo 0.3. On a CPU, share of the free memory for keys and values: 0.25."
        ),
        Range(above=0, high=1),
    ] = None
    vllm: Annotated[
        tuple[str, ...],
        Doc("Any engine argument of vllm; the value is JSON, or a text. Repeatable."),
        Flag("--vllm", metavar="KEY=VALUE"),
    ] = ()


Adapter = Annotated[
    Path | None,
    Doc("LoRA adapter to put on the model: a directory as peft saves it."),
    Flag("--adapter", metavar="DIR"),
]


@dataclass(frozen=True)
class Endpoint:
    """The server that --backend openai asks, --batch-size requests at once."""

    base_url: Annotated[
        str | None, Doc("Where it answers, such as http://HOST:8000/v1."), Flag("--base-url", metavar="URL")
    ] = None  # fmt: skip
    patience: Annotated[
        float, Doc("Seconds to go on asking a server that fails."), Range(low=0)
    ] = 600.0
    request_timeout: Annotated[float, Doc("Seconds to wait for one answer."), Range(above=0)] = (
        3600.0
    )


@dataclass(frozen=True)
class Optimizer:
    """AdamW and its schedule."""

    lr: Annotated[float, Doc("Peak learning rate."), Range(above=0)] = 1e-5
    schedule: Annotated[
        Literal["cosine", "linear", "constant"], Doc("Shape of the rate after warm-up.")
    ] = "cosine"
    min_lr: Annotated[float, Doc("Where the rate ends, as a share of the peak."), Range(0, 1)] = 0.1
    warmup: Annotated[float, Doc("Share of the steps with a rising rate."), Range(0, 1)] = 0.03
    weight_decay: Annotated[float, Doc("Decoupled weight decay of matrices."), Range(low=0)] = 0.0
    beta1: Annotated[float, Doc("Decay of the gradient's mean."), Range(low=0, below=1)] = 0.9
    beta2: Annotated[float, Doc("Decay of the gradient's variance."), Range(low=0, below=1)] = 0.95
    clip: Annotated[float, Doc("Largest gradient norm; 0 does not clip."), Range(low=0)] = 1.0


@dataclass(frozen=True)
class Objective:
    """What GRPO maximises. A recipe sets these; each flag still wins over it."""

    scale: Annotated[
        Literal["group", "batch", "none"],
        Doc(
            "Divide advantages by the group's or the batch's standard deviation, or not (Dr. GRPO)."
        ),
    ] = "group"
    baseline: Annotated[
        Literal["group", "others"],
        Doc("Compare a reward with the mean of its group, or of the others in it (RLOO)."),
    ] = "group"
    aggregate: Annotated[
        Literal["sequence", "token", "constant", "local"],
        Doc(
            "Mean over completions of their token means (the paper), over all tokens (DAPO), by a constant (Dr. GRPO), or over the tokens of each row (BNPO)."
        ),
    ] = "sequence"
    ratio: Annotated[
        Literal["token", "sequence"],
        Doc("Probability ratio of each token, or the mean one of its completion (GSPO)."),
    ] = "token"
    surrogate: Annotated[
        Literal["clip", "cispo"],
        Doc("Clip the objective (PPO), or the ratio as a weight that has no gradient (CISPO)."),
    ] = "clip"
    clip_low: Annotated[
        float, Doc("The ratio counts no lower than 1 minus this."), Range(above=0)
    ] = 0.2
    clip_high: Annotated[
        float, Doc("The ratio counts no higher than 1 plus this."), Range(above=0)
    ] = 0.2
    dual_clip: Annotated[
        float,
        Doc("A bad token's ratio counts no higher than this, such as 3; 0: no such limit."),
        Range(low=0),
    ] = 0.0
    correction: Annotated[
        Literal["none", "truncate", "mask"],
        Doc(
            "Weigh by trainer over sampler probability, cut at --correction-cap or masked beyond it."
        ),
    ] = "none"
    correction_of: Annotated[
        Literal["token", "sequence"], Doc("Take that weight for each token, or for the completion.")
    ] = "token"
    correction_cap: Annotated[float, Doc("The largest such weight."), Range(low=1)] = 2.0
    beta: Annotated[
        float,
        Doc("Weight of the KL divergence from the reference model; 0 keeps none in memory."),
        Range(low=0),
    ] = 0.0
    kl: Annotated[Literal["k1", "k2", "k3"], Doc("Estimator of that divergence.")] = "k3"
    kl_in: Annotated[
        Literal["loss", "reward"],
        Doc("Add it to the loss of each token, or take it from the completion's reward."),
    ] = "loss"
    ref_reset: Annotated[
        int, Doc("Steps after which the policy becomes the reference; 0: never."), Range(low=0)
    ] = 0
    minibatches: Annotated[
        int, Doc("Updates that share the completions of a step."), Range(low=1)
    ] = 1
    inner_epochs: Annotated[int, Doc("Times each completion is used."), Range(low=1)] = 1
    dynamic_sampling: Annotated[
        int,
        Doc(
            "Rounds of further problems to replace groups whose rewards are all equal (DAPO); 0: none."
        ),
        Range(low=0),
    ] = 0
    mask_truncated: Annotated[bool, Doc("Learn nothing from completions cut at the limit.")] = False


@dataclass(frozen=True)
class Saving:
    """What stays on disk beside the result, and where metrics go."""

    save_every: Annotated[
        int, Doc("Steps, or updates of sft, between saved states; 0 saves none."), Range(low=0)
    ] = 100
    keep_last: Annotated[
        int,
        Doc("Saved states that stay as checkpoints in OUT/steps, with the best in OUT/best."),
        Range(low=0),
    ] = 0
    track: Annotated[
        Literal["tensorboard", "wandb", "trackio"] | None,
        Doc("Send the metrics to a tracker as well."),
    ] = None


@dataclass(frozen=True)
class Parallelism:
    """Several processes that train one model, and what each keeps in memory."""

    nproc: Annotated[
        int, Doc("Start this many processes on this machine, one for each GPU."), Range(1, 1024)
    ] = 1
    zero: Annotated[
        int,
        Doc(
            "Share out optimiser (1), gradients too (2), weights too (3) by DeepSpeed; 0: all is everywhere."
        ),
        Range(0, 3),
    ] = 0
    offload: Annotated[
        Literal["none", "optimizer", "all"],
        Doc("Keep the optimiser, or under --zero 3 the weights too, in the CPU's memory."),
    ] = "none"
    deepspeed: Annotated[
        Path | None,
        Doc("DeepSpeed's configuration, a JSON file; these options fill in what it leaves open."),
        Flag("--deepspeed", metavar="FILE"),
    ] = None
    checkpointing: Annotated[
        bool, Doc("Compute activations again in the backward pass: less memory, a third slower.")
    ] = False


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters instead of full fine-tuning."""

    lora: Annotated[int, Doc("Rank of the adapters; 0 trains all weights."), Range(low=0)] = 0
    lora_alpha: Annotated[
        float, Doc("Scale of the adapters; the update is times alpha / rank."), Range(above=0)
    ] = 32.0
    lora_targets: Annotated[
        str, Doc("Layers that get adapters: peft's names, comma-separated, or all-linear.")
    ] = "all-linear"


def threads(asked: int = 0) -> int:
    """CPU threads to compute with: those asked for, else OMP_NUM_THREADS, else one for each core."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    return asked or (int(named) if named.isdigit() and int(named) else cores())


def cores() -> int:
    """CPU cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
