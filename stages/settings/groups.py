"""The options that several stages share, in groups: the same flag means the same everywhere."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from stages.runtime.errors import UsageError
from stages.settings.options import Alias, Doc, Flag, Range, ranges_of, refuse_password

DEVICE = re.compile(r"auto|cpu|cuda(?::\d{1,3})?")
SENT = {"model", "prompt", "messages", "n", "stream"}  # fields of a request that are not for --extra-body
EXTRA = """write such as '{"reasoning_effort": "low", "temperature": null}'"""


def check(group: Any) -> None:
    """Raises UsageError where a field of a dataclass of options is outside its range, or stops everywhere."""
    if isinstance(group, Sampling) and not all(group.stop):
        raise UsageError("--stop '': an empty text stops everywhere")
    if isinstance(group, Engine):
        check_device(group.device)
    for name, bounds in ranges_of(type(group)).items():  # type: ignore[arg-type]
        bounds.refuse(f"--{name.replace('_', '-')}", getattr(group, name))


def check_device(device: str) -> None:
    """Raises UsageError for what is no name of a device; whether it is there, torch knows."""
    if DEVICE.fullmatch(device) is None:
        raise UsageError(f"--device {device}: must be auto, cpu, cuda or cuda:N")


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn."""

    temperature: Annotated[float, Doc("Divides the logits; 0 is greedy."), Range(low=0)] = 1.0
    top_p: Annotated[
        float, Doc("Keep the smallest set of tokens with this probability."), Range(above=0, high=1)
    ] = 1.0
    top_k: Annotated[int, Doc("Keep the k likeliest tokens; 0 keeps all."), Range(low=0)] = 0
    max_tokens: Annotated[
        int,
        Doc("Tokens a completion may have."),
        Range(low=1),
        Alias("--max-new-tokens", "--max-completion-length"),
    ] = 1024
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
            "What generates: auto is vllm where it is installed and there is a GPU, else transformers; "
            "openai is a server; echo repeats the prompt, for dry runs."
        ),
    ] = "auto"
    batch_size: Annotated[
        int | None,
        Doc("Sequences decoded at once: 64, or 256 for vllm on a GPU."),
        Range(1, 65536),
    ] = None
    device: Annotated[str, Doc("auto, cpu, cuda or cuda:N.")] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Doc("auto is bfloat16 on a GPU that has it, float32 elsewhere."),
    ] = "auto"
    trust_remote_code: Annotated[
        bool | None,
        Doc(
            "Run the Python that a model's files bring along, as any program of yours; --no-… does without. "
            "By default such a model is refused."
        ),
    ] = None
    threads: Annotated[int, Doc("CPU threads; 0 takes OMP_NUM_THREADS, else all cores."), Range(0, 1024)] = 0
    deterministic: Annotated[
        bool, Doc("Fixed batch shapes: the same bytes at any batch size or shard. Slower.")
    ] = False
    tp: Annotated[
        int, Doc("GPUs that share each layer, under vllm."), Range(1, 1024), Alias("--tensor-parallel-size")
    ] = 1
    dp: Annotated[
        int,
        Doc("Engines beside each other under vllm, each with --tp GPUs of its own."),
        Range(1, 1024),
        Alias("--data-parallel-size"),
    ] = 1
    gpu_memory: Annotated[
        float | None,
        Doc(
            "Share of the GPU's memory that vllm takes: 0.9, in grpo 0.3. On a CPU, share of the free memory "
            "for keys and values: 0.25."
        ),
        Range(above=0, high=1),
        Alias("--gpu-memory-utilization"),
    ] = None
    vllm: Annotated[
        tuple[str, ...],
        Doc("Any engine argument of vllm; the value is JSON, or a text. Repeatable."),
        Flag("--vllm", metavar="KEY=VALUE"),
    ] = ()


def refuse_float16(engine: Engine) -> None:
    """Raises UsageError where training is asked for in float16, in which gradients vanish unless the loss is
    scaled.
    """
    if engine.dtype == "float16":
        raise UsageError("--dtype float16: not for training; give bfloat16 or float32")


def refuse_backend(engine: Engine) -> None:
    """Raises UsageError where another program is asked for by training that samples nothing to learn from."""
    if engine.backend not in ("auto", "transformers"):
        raise UsageError(f"--backend {engine.backend}: this training computes by transformers; leave it out")


Adapter = Annotated[
    Path | None,
    Doc("LoRA adapter to put on the model: a directory as peft saves it."),
    Flag("--adapter", metavar="DIR"),
]


@dataclass(frozen=True)
class Endpoint:
    """The servers that --backend openai asks, --batch-size requests at once."""

    base_url: Annotated[
        tuple[str, ...],
        Doc(
            "Where a server answers, such as http://HOST:8000/v1. Repeatable: requests are spread over all "
            "that answer."
        ),
        Flag("--base-url", metavar="URL"),
    ] = ()
    patience: Annotated[float, Doc("Seconds to go on asking while no server answers."), Range(low=0)] = 600.0
    request_timeout: Annotated[float, Doc("Seconds to wait for one answer."), Range(above=0)] = 3600.0
    extra_body: Annotated[
        str | None,
        Doc("Fields that each request has besides, as a JSON object; null leaves one out."),
        Flag("--extra-body", metavar="JSON"),
    ] = None

    def __post_init__(self) -> None:
        """Raises UsageError where an address is empty, is given twice, or holds a password, as it would be
        written into records and manifests, or `extra_body` is not what a request may have.
        """
        given: object = self.base_url
        if given is None or isinstance(given, str):  # none, or one, as Python code may give it
            object.__setattr__(self, "base_url", (given,) if given else ())
        known: set[str] = set()
        for url in self.base_url:
            if not url:
                raise UsageError("--base-url '': no address; write http://HOST:PORT/v1")
            refuse_password("--base-url", url)
            root = url.rstrip("/").removesuffix("/v1")
            if root in known:
                raise UsageError(f"--base-url {url}: it is given twice; name each server once")
            known.add(root)
        taken = SENT & self.fields.keys()
        if taken:
            raise UsageError(f"--extra-body: {min(taken)!r} is what r1 itself asks with; leave it out")

    @property
    def fields(self) -> dict[str, Any]:
        """What `extra_body` says; {} where it says nothing. Raises UsageError for what is no JSON object."""
        try:
            said = json.loads(self.extra_body or "{}", parse_constant=lambda name: _refuse(name))
        except ValueError as error:
            raise UsageError(f"--extra-body {self.extra_body!r}: {error}; {EXTRA}") from None
        if not isinstance(said, dict):
            raise UsageError(f"--extra-body {self.extra_body!r}: no JSON object; {EXTRA}")
        return said


@dataclass(frozen=True)
class Transfer:
    """How the weights under training reach the servers that sample with them."""

    weights_dir: Annotated[
        Path | None,
        Doc("Write them here, mostly what changed, where the servers read; else the servers fetch them."),
        Flag("--weights-dir", metavar="DIR"),
    ] = None
    weights_dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Doc("Their type there, the one the servers compute in; auto is bfloat16 for a model that is in it."),
    ] = "auto"

    def __post_init__(self) -> None:
        """Raises UsageError for a type of files that are not asked for."""
        if self.weights_dir is None and self.weights_dtype != "auto":
            raise UsageError(f"--weights-dtype {self.weights_dtype}: it is of files; add --weights-dir DIR")


def _refuse(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


@dataclass(frozen=True)
class Optimizer:
    """AdamW and its schedule."""

    lr: Annotated[
        float | None,
        Doc(
            "Peak learning rate. By default 1e-5, in grpo that of the recipe or 1e-6; under --lora ten times "
            "as much."
        ),
        Range(above=0),
        Alias("--learning-rate"),
    ] = None
    schedule: Annotated[
        Literal["cosine", "linear", "constant"],
        Doc("Shape of the rate after warm-up."),
        Alias("--lr-scheduler-type"),
    ] = "cosine"
    min_lr: Annotated[float, Doc("Where the rate ends, as a share of the peak."), Range(0, 1)] = 0.1
    warmup: Annotated[
        float, Doc("Share of the steps with a rising rate."), Range(0, 1), Alias("--warmup-ratio")
    ] = 0.03
    weight_decay: Annotated[float, Doc("Decoupled weight decay of matrices."), Range(low=0)] = 0.0
    beta1: Annotated[
        float, Doc("Decay of the gradient's mean."), Range(low=0, below=1), Alias("--adam-beta1")
    ] = 0.9
    beta2: Annotated[
        float, Doc("Decay of the gradient's variance."), Range(low=0, below=1), Alias("--adam-beta2")
    ] = 0.95
    clip: Annotated[
        float, Doc("Largest gradient norm; 0 does not clip."), Range(low=0), Alias("--max-grad-norm")
    ] = 1.0

    @property
    def peak(self) -> float:
        """The peak learning rate, which a stage has settled by the time it trains."""
        assert self.lr is not None
        return self.lr


@dataclass(frozen=True)
class Objective:
    """What GRPO maximises. A recipe sets these; each flag still wins over it."""

    scale: Annotated[
        Literal["group", "batch", "none"],
        Doc("Divide advantages by the group's or the batch's standard deviation, or not (Dr. GRPO)."),
        Alias("--scale-rewards"),
    ] = "group"
    baseline: Annotated[
        Literal["group", "others"],
        Doc("Compare a reward with the mean of its group, or of the others in it (RLOO)."),
    ] = "group"
    aggregate: Annotated[
        Literal["sequence", "token", "constant", "local"],
        Doc(
            "Mean over completions of their token means (the paper), over all tokens (DAPO), by a constant "
            "(Dr. GRPO), or over the tokens of each row (BNPO)."
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
        float, Doc("The ratio counts no lower than 1 minus this."), Range(above=0), Alias("--clip-ratio-low")
    ] = 0.2
    clip_high: Annotated[
        float, Doc("The ratio counts no higher than 1 plus this."), Range(above=0), Alias("--clip-ratio-high")
    ] = 0.2
    dual_clip: Annotated[
        float,
        Doc("A bad token's ratio counts no higher than this, such as 3; 0: no such limit."),
        Range(low=0),
    ] = 0.0
    correction: Annotated[
        Literal["none", "truncate", "mask"],
        Doc("Weigh by trainer over sampler probability, cut at --correction-cap or masked beyond it."),
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
        int,
        Doc("Steps after which the policy becomes the reference; 0: never."),
        Range(low=0),
        Alias("--ref-model-sync-steps"),
    ] = 0
    minibatches: Annotated[int, Doc("Updates that share the completions of a step."), Range(low=1)] = 1
    inner_epochs: Annotated[
        int, Doc("Times each completion is used."), Range(low=1), Alias("--num-iterations")
    ] = 1
    dynamic_sampling: Annotated[
        int,
        Doc("Rounds of further problems to replace groups whose rewards are all equal (DAPO); 0: none."),
        Range(low=0),
    ] = 0
    mask_truncated: Annotated[
        bool, Doc("Learn nothing from completions cut at the limit."), Alias("--mask-truncated-completions")
    ] = False


ShardSize = Annotated[float, Doc("GB of the largest file of weights in a checkpoint."), Range(above=0)]


@dataclass(frozen=True)
class Saving:
    """What stays on disk beside the result, and where metrics go."""

    save_every: Annotated[
        int,
        Doc("Steps, or updates of sft, between saved states; 0 saves none."),
        Range(low=0),
        Alias("--save-steps"),
    ] = 100
    keep_last: Annotated[
        int,
        Doc("Saved states that stay as checkpoints in OUT/steps, with the best in OUT/best."),
        Range(low=0),
        Alias("--save-total-limit"),
    ] = 0
    save_dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Doc("Of the weights in checkpoints; auto is that of the model it began with."),
    ] = "auto"
    shard_size: ShardSize = 50.0
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
        Alias("--zero-stage"),
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
        bool,
        Doc("Compute activations again in the backward pass: less memory, a third slower."),
        Alias("--gradient-checkpointing"),
    ] = False
    peer_timeout: Annotated[
        float,
        Doc("Minutes without a sign of life from a process after which the others end the run."),
        Range(above=0, high=1e5),
    ] = 10.0


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters instead of full fine-tuning."""

    lora: Annotated[
        int, Doc("Rank of the adapters; 0 trains all weights."), Range(0, 8192), Alias("--lora-r")
    ] = 0
    lora_alpha: Annotated[
        float, Doc("Scale of the adapters; the update is times alpha / rank."), Range(above=0)
    ] = 32.0
    lora_targets: Annotated[
        str,
        Doc("Layers that get adapters: peft's names, comma-separated, or all-linear."),
        Alias("--lora-target-modules"),
    ] = "all-linear"
