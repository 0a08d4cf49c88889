"""The clipped policy-gradient loss of GRPO, token by token, and how tokens are weighed.

    L_it = -min(rho_it A_i, clip(rho_it, 1 - low, 1 + high) A_i) + beta KL_it          to be minimised
    rho_it = pi(o_it) / pi_old(o_it)

Sources: DeepSeekMath (arXiv 2402.03300) eq. 3 and 4; low != high is DAPO's clip-higher (2503.14476); the ratio of
a whole sequence is GSPO's (2507.18071, eq. 5 and 7); the dual clip Ye et al.'s (1912.09729, eq. 5); CISPO is
MiniMax-M1's (2506.13585, eq. 4 and 5); truncated and masked importance weights are for a sampler whose
probabilities are not the trainer's (Yao et al. 2025, "Your efficient RL framework secretly brings you
off-policy RL training").
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Aggregate = Literal["sequence", "token", "constant"]
Estimator = Literal["k1", "k2", "k3"]
Surrogate = Literal["clip", "cispo"]
Correction = Literal["none", "truncate", "mask"]


class PolicyLoss(NamedTuple):
    """`loss [T]` before weighing; the rest are measurements without gradient, `[T]` each."""

    loss: Tensor
    ratio: Tensor
    clipped_low: Tensor
    clipped_high: Tensor
    kl: Tensor


def policy_loss(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    *,
    low: float,
    high: float,
    ref_logp: Tensor | None = None,
    beta: float = 0.0,
    estimator: Estimator = "k3",
    surrogate: Surrogate = "clip",
    dual_clip: float = 0.0,
    sequences: Tensor | None = None,
    drawn: Tensor | None = None,
    importance: Tensor | None = None,
) -> PolicyLoss:
    """All tensors `[T]`, `advantage` repeated for each token of its completion.

    `ref_logp` is the reference model's; without it the KL term is 0 and `beta` plays no part. With
    `sequences`, which numbers the completions from 0, the ratio is that of the whole completion, the geometric mean
    over its tokens that `drawn` marks. `dual_clip` c > 1 keeps the loss of a bad token at c |A| at most; 0
    is off. `importance` multiplies all but the KL.
    """
    log_ratio = logp - old_logp
    if sequences is not None:
        log_ratio = sequence_mean(log_ratio, sequences, drawn)[sequences]
    ratio = log_ratio.exp()
    limited = ratio.clamp(1 - low, 1 + high)
    if surrogate == "cispo":
        loss = -limited.detach() * advantage * (logp if sequences is None else log_ratio)
    else:
        gain = torch.minimum(ratio * advantage, limited * advantage)
        if dual_clip:
            gain = torch.where(advantage < 0, gain.maximum(dual_clip * advantage), gain)
        loss = -gain
    if importance is not None:
        loss = loss * importance
    with torch.no_grad():
        clipped_low = (ratio < 1 - low) & (advantage < 0)
        clipped_high = (ratio > 1 + high) & (advantage > 0)
    divergence = torch.zeros_like(loss)
    if ref_logp is not None:
        divergence = kl(logp, ref_logp, estimator)
        loss = loss + beta * divergence
    return PolicyLoss(loss, ratio.detach(), clipped_low, clipped_high, divergence.detach())


def sequence_mean(values: Tensor, sequences: Tensor, drawn: Tensor | None = None) -> Tensor:
    """The mean `[N]` of `values [T]` over the tokens of each completion that `drawn [T]` marks, or all."""
    counted = torch.ones_like(values) if drawn is None else drawn.to(values)
    size = int(sequences.max()) + 1 if len(sequences) else 0
    total = values.new_zeros(size).index_add(0, sequences, values * counted)
    return total / values.new_zeros(size).index_add(0, sequences, counted).clamp_min(1)


def importance(
    logp: Tensor,
    sampler_logp: Tensor,
    *,
    correction: Correction,
    cap: float,
    sequences: Tensor | None = None,
    drawn: Tensor | None = None,
) -> Tensor:
    """How much likelier the trainer found each token `[T]` than the sampler did, when it was drawn; no gradient.

    With `sequences` it is the product over the completion. `truncate` keeps it at `cap` at most, `mask` gives
    0 outside 1 / cap to cap.
    """
    log_weight = (logp - sampler_logp).detach()
    if sequences is not None:
        counted = torch.ones_like(log_weight) if drawn is None else drawn.to(log_weight)
        size = int(sequences.max()) + 1 if len(sequences) else 0
        log_weight = log_weight.new_zeros(size).index_add(0, sequences, log_weight * counted)[
            sequences
        ]
    weight = log_weight.exp()
    if correction == "truncate":
        return weight.clamp_max(cap)
    return torch.where((weight >= 1 / cap) & (weight <= cap), weight, torch.zeros_like(weight))


def kl(logp: Tensor, ref_logp: Tensor, estimator: Estimator) -> Tensor:
    """An estimate `[T]` of KL(pi || ref) at tokens drawn from pi, with log r = ref_logp - logp.

    k1 = -log r; k2 = (log r)^2 / 2; k3 = r - 1 - log r (Schulman 2020; the paper's is k3).
    """
    log_r = ref_logp - logp
    if estimator == "k1":
        return -log_r
    if estimator == "k2":
        return log_r.square() / 2
    return torch.expm1(log_r) - log_r


def weights(
    lengths: Tensor, *, aggregate: Aggregate, completions: int, tokens: int, constant: int
) -> Tensor:
    """The weight `[N]` of each token of completion i in the loss of the whole batch.

    lengths `[N]` are the trained tokens of each completion. `sequence` is the paper's mean over completions of
    the mean over tokens; `token` the mean over all tokens of the batch (DAPO); `constant` divides by
    completions x `constant` (Dr. GRPO). `completions` and `tokens` count the whole batch, whatever part of it is
    in hand, so a split into micro-batches adds up to the same gradient.
    """
    if aggregate == "sequence":
        return 1.0 / (completions * lengths.clamp_min(1))
    if aggregate == "token":
        return torch.full_like(lengths, 1.0 / max(tokens, 1))
    return torch.full_like(lengths, 1.0 / max(completions * constant, 1))
