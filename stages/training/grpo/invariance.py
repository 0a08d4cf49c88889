"""`--batch-invariant`: what it is refused for, and the proof before the first step that it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from stages.inference.invariant.model import make_invariant
from stages.inference.transformers.execution import execution_of, packing
from stages.inference.transformers.flat import FlatSlots
from stages.inference.transformers.sampling import draw
from stages.objectives.products import packed
from stages.runtime.errors import Unavailable, UsageError
from stages.settings.groups import Sampling
from stages.training.policy import Policy
from stages.training.rows import Sample, rows

PROMPTS = 58, 5  # tokens: the completions of the first come to look at more than 64 keys
STEPS = 10  # of decoding
LIMITS = 256, 80  # tokens of a row: all in one, and each prompt in its own


@dataclass
class _Text:
    prompt_ids: list[int]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


def begin(policy: Policy, sampling: Sampling, *, ranks: int, planned: bool) -> None:
    """Makes the policy batch-invariant and, unless it is `planned` only, proves it on a few tokens.

    Raises UsageError where it is on a GPU or trained by several processes, Unavailable for a model that has
    parts whose numbers depend on the batch.
    """
    if policy.device.type != "cpu":
        raise UsageError(f"--batch-invariant: not on {policy.device}; give --device cpu, or leave it out")
    if ranks > 1:
        raise UsageError(
            f"--batch-invariant: one process samples and learns, and here are {ranks}; leave it out"
        )
    model = policy.unwrapped
    execution = execution_of(model)
    why = execution.why if not execution.flat else "its positions have two ranges" * bool(execution.border)
    if why:
        raise Unavailable(f"--batch-invariant is not for {type(model).__name__}: {why}; leave it out")
    if planned:
        return
    make_invariant(model)
    try:
        gap = _gap(policy, sampling)
    except RuntimeError as error:  # of a kernel that does not take the shape of its heads
        raise Unavailable(
            f"--batch-invariant is not for {type(model).__name__}: {error}; leave it out"
        ) from error
    if gap:
        raise Unavailable(
            f"--batch-invariant is not for {type(model).__name__}: it has parts whose numbers depend on the "
            f"batch, and sampler and trainer are {gap:.2g} apart; leave it out"
        )


@torch.no_grad()
def _gap(policy: Policy, sampling: Sampling) -> float:
    """The largest difference between the log-probabilities of sampler and trainer, for a few tokens."""
    model = policy.unwrapped
    texts = _drawn(model, sampling, half=policy.autocast)
    samples = [
        Sample(
            text.prompt_ids,
            text.ids,
            [1.0] * len(text.ids),
            old_logp=text.logprobs,
            group=str(len(text.prompt_ids)),
        )
        for text in texts
    ]
    worst = 0.0
    for limit in LIMITS:
        for row in rows(samples, limit, policy.device, packing=packing([model], drawn=True)):
            logp, _ = policy.logprobs(row, sampling.temperature)
            assert row.old_logp is not None
            worst = max(worst, float((logp - row.old_logp).abs().max()))
    return worst


def _drawn(model: Any, sampling: Sampling, *, half: bool) -> list[_Text]:
    """Two completions of a long prompt and one of a short one, of which one ends before the others."""
    size = model.get_input_embeddings().weight.shape[0]
    long, short = ([(i * 31 + 7 * n) % size for i in range(n)] for n in PROMPTS)
    texts = [_Text(long), _Text(long), _Text(short)]
    running = list(texts)
    uniform = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
    with packed(model, len(texts), half=half):
        slots = FlatSlots(model, len(texts), half=half)
        first, second = slots.prefill([long, short])
        logits = [slots.put(0, 2, first), slots.put(2, 3, second)]
        for step in range(STEPS):
            tokens, logps = draw(torch.cat(logits), uniform[: len(running)], sampling)
            for text, token, logp in zip(running, tokens.tolist(), logps.tolist(), strict=True):
                text.ids.append(token)
                text.logprobs.append(logp)
            if step == STEPS // 2:
                running.pop()
            logits = slots.decode(running)
    return texts
