"""The parts of one step of GRPO: sampling, log-probabilities, the update, weights to the samplers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stages.planning.machines import (
    ACROSS,
    DECODED,
    FIXED,
    FREE,
    GPUS,
    NODE,
    SCORED,
    SENT,
    SPARSE,
    TRAINED,
    WITHIN,
)
from stages.planning.shape import Shape

SLICES = 256  # of the longest completion, in which sampling is followed
FOLLOWED = 512  # completions of a copy that are followed one by one, at most


@dataclass(frozen=True)
class Work:
    """What a step does: completions, tokens of a prompt, mean and longest completion, forward passes besides
    the update (log-probabilities of the policy, of a reference), and whether activations are computed twice.
    """

    completions: int
    prompt: float
    mean: float
    longest: float
    passes: int
    checkpointing: bool


@dataclass(frozen=True)
class Cluster:
    """`gpus` train; `samplers` others sample, or the same ones where that is 0. `together` serve a copy."""

    gpu: str
    gpus: int
    samplers: int
    together: int


@dataclass(frozen=True)
class Parts:
    """Seconds of a step, and bytes for each GPU: what training holds, what a sampler does."""

    sampling: float
    scoring: float
    update: float
    transfer: float
    training_memory: float
    sampler_memory: float
    at_once: float  # completions that one copy holds

    def step(self, beside: bool) -> float:
        """Of one step; where others sample `beside` it, one step off the policy, the longer half counts."""
        trained = self.scoring + self.update
        return (max(self.sampling, trained) if beside else self.sampling + trained) + self.transfer + FIXED


def lengths(work: Work, count: int) -> list[float]:
    """`count` completions from the longest to the shortest, with the mean and the longest as given.

    They are exponentially distributed below the longest, or as far above as the mean asks for; nothing is
    published that says more.
    """
    low, high = -60.0, 60.0
    share = min(max(work.mean / work.longest, 0.02), 0.98)
    for _ in range(60):
        rate = (low + high) / 2
        mean = 0.5 if abs(rate) < 1e-9 else 1 / rate - 1 / math.expm1(rate)
        low, high = (rate, high) if mean > share else (low, rate)
    quantiles = [(k + 0.5) / count for k in range(count)]
    if abs(rate) < 1e-6:
        return [work.longest * (1 - q) for q in quantiles]
    shrunk = -math.expm1(-rate)
    return [-work.longest * math.log1p(-(1 - q) * shrunk) / rate for q in quantiles]


def sampling(model: Shape, work: Work, cluster: Cluster) -> tuple[float, float, float]:
    """Seconds, bytes of memory for a GPU, and completions at once in each copy of the model.

    Continuous batching: what ends makes room for what waits. A token takes the time in which the weights that
    are used and all keys and values are read, or multiplied, whichever is longer.
    """
    gpu = GPUS[cluster.gpu]
    copies = max((cluster.samplers or cluster.gpus) // cluster.together, 1)
    weights, kept = 2 * model.weights, 2 * model.cached
    room = FREE * gpu.memory * cluster.together - weights
    most = room / (kept * (work.prompt + work.mean))
    if most < 1:
        return math.inf, weights / cluster.together, 0.0
    each = work.completions / copies
    waiting = lengths(work, min(math.ceil(each), FOLLOWED))[::-1]  # pop() gives the longest
    alike = min(each / len(waiting), most)  # completions that one of those followed stands for
    again = each / len(waiting) / alike  # times that it does, where not even they have room at once
    layer = ACROSS if cluster.together > NODE else WITHIN
    width, seconds, held = work.longest / SLICES, 0.0, 0.0
    running: list[tuple[float, float]] = []  # tokens made, tokens to make
    while waiting or running:
        while waiting and alike * (len(running) + 1) <= most:
            running.append((0.0, waiting.pop()))
        count = alike * len(running)
        held = max(held, count)
        read = 2 * model.touched(count) + kept * alike * sum(work.prompt + made for made, _ in running)
        token = max(
            read / (gpu.bandwidth * DECODED * cluster.together),
            2 * model.active * count / (gpu.peak * SCORED * cluster.together),
        )
        seconds += again * (token + model.layers * layer) * width
        running = [(made + width, length) for made, length in running if made + width < length]
    per = (weights + kept * held * (work.prompt + work.mean)) / cluster.together
    return seconds, per, held


def parts(model: Shape, work: Work, cluster: Cluster) -> Parts:
    """The parts of a step, from the sizes of model, work and cluster."""
    gpu = GPUS[cluster.gpu]
    seconds, sampler, held = sampling(model, work, cluster)
    tokens = work.completions * (work.prompt + work.mean)
    # Multiplications of a forward pass: two for a weight, and each token with half of those before it.
    forward = tokens * (2 * model.active + 2 * model.layers * model.attention * (work.prompt + work.mean))
    sparse = SPARSE if model.experts else 1.0
    rate = gpu.peak * cluster.gpus * sparse
    scoring = work.passes * forward / (rate * SCORED)
    update = (4 if work.checkpointing else 3) * forward / (rate * TRAINED)
    # ZeRO 3: weights, gradients and AdamW's two moments in float32, and a copy in bfloat16, over all GPUs;
    # a layer gathered, and what the longest completion leaves for the backward pass in bfloat16.
    row = work.prompt + work.longest
    kept = model.layers * model.hidden * 2 * row if work.checkpointing else 0.0
    kept += model.hidden * 45 * row * (1 if work.checkpointing else model.layers)
    training = 18 * model.weights / cluster.gpus + 4 * model.weights / model.layers + kept
    transfer = 2 * model.weights / (SENT * max(cluster.gpus // NODE, 1))
    return Parts(seconds, scoring, update, transfer, training, sampler, held)
