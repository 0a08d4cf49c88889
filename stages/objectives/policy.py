"""The clipped policy-gradient loss of GRPO, token by token, and how tokens are weighed.

    L_it = -min(rho_it A_i, clip(rho_it, 1 - low, 1 + high) A_i) + beta KL_it          to be minimised
    rho_it = pi(o_it) / pi_old(o_it)

Sources: DeepSeekMath (arXiv 2402.03300) eq. 3 and 4; low != high is DAPO's clip-higher (2503.14476); the
ratio of a whole sequence is GSPO's (2507.18071, eq. 5 and 7); the dual clip Ye et al.'s (1912.09729, eq. 5);
CISPO is MiniMax-M1's (2506.13585, eq. 4 and 5); truncated and masked importance weights are for a sampler
whose probabilities are not the trainer's (Yao et al. 2025, "Your efficient RL framework secretly brings you
off-policy RL training").
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from stages.objectives.advantage import group_sums
from stages.settings.groups import Objective


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
    objective: Objective,
    *,
    sequences: Tensor,
    drawn: Tensor,
    ref_logp: Tensor | None = None,
    importance: Tensor | None = None,
) -> PolicyLoss:
    """The loss of each token. All tensors `[T]`; `advantage` is repeated for each token of its completion.

    `sequences` numbers the completions from 0 and `drawn` marks the tokens that were not forced: the ratio of
    a whole completion is the geometric mean over those. `ref_logp` is the reference model's; without it the
    KL term is 0. `importance` multiplies all but the KL.
    """
    log_ratio = logp - old_logp
    if objective.ratio == "sequence":
        log_ratio = sequence_mean(log_ratio, sequences, drawn)[sequences]
    ratio = log_ratio.exp()
    low, high = 1 - objective.clip_low, 1 + objective.clip_high
    limited = ratio.clamp(low, high)
    if objective.surrogate == "cispo":
        loss = -limited.detach() * advantage * (log_ratio if objective.ratio == "sequence" else logp)
    else:
        gain = torch.minimum(ratio * advantage, limited * advantage)
        if objective.dual_clip:
            gain = torch.where(advantage < 0, gain.maximum(objective.dual_clip * advantage), gain)
        loss = -gain
    if importance is not None:
        loss = loss * importance
    with torch.no_grad():
        clipped_low = (ratio < low) & (advantage < 0)
        clipped_high = (ratio > high) & (advantage > 0)
    divergence = torch.zeros_like(loss)
    if ref_logp is not None:
        divergence = kl(logp, ref_logp, objective.kl)
        loss = loss + objective.beta * divergence
    return PolicyLoss(loss, ratio.detach(), clipped_low, clipped_high, divergence.detach())


def sequence_mean(values: Tensor, sequences: Tensor, drawn: Tensor) -> Tensor:
    """The mean `[N]` of `values [T]` over the tokens of each completion that `drawn [T]` marks."""
    counted = drawn.to(values)
    return group_sums(values * counted, sequences) / group_sums(counted, sequences).clamp_min(1)


def importance(
    logp: Tensor, sampler_logp: Tensor, objective: Objective, *, sequences: Tensor, drawn: Tensor
) -> Tensor:
    """How much likelier the trainer found each token `[T]` than the sampler did; it has no gradient.

    Of a whole completion it is the product over its drawn tokens. `truncate` keeps it at `correction_cap` at
    most, `mask` gives 0 outside 1 / cap to cap.
    """
    log_weight = (logp - sampler_logp).detach()
    if objective.correction_of == "sequence":
        log_weight = group_sums(log_weight * drawn.to(log_weight), sequences)[sequences]
    weight, cap = log_weight.exp(), objective.correction_cap
    if objective.correction == "truncate":
        return weight.clamp_max(cap)
    return torch.where((weight >= 1 / cap) & (weight <= cap), weight, torch.zeros_like(weight))


def kl(logp: Tensor, ref_logp: Tensor, estimator: Literal["k1", "k2", "k3"]) -> Tensor:
    """An estimate `[T]` of KL(pi || ref) at tokens drawn from pi, with log r = ref_logp - logp.

    k1 = -log r; k2 = (log r)^2 / 2; k3 = r - 1 - log r (Schulman 2020; the paper's is k3).
    """
    log_r = ref_logp - logp
    if estimator == "k1":
        return -log_r
    if estimator == "k2":
        return log_r.square() / 2
    return torch.expm1(log_r) - log_r


def weights(lengths: Tensor, *, aggregate: str, completions: int, tokens: int, constant: int) -> Tensor:
    """The weight `[N]` of each token of completion i in the loss of the whole batch.

    lengths `[N]` are the trained tokens of each completion. `sequence` is the paper's mean over completions
    of the mean over tokens; `token` the mean over all tokens of the batch (DAPO); `constant` divides by
    completions x `constant` (Dr. GRPO). `completions` and `tokens` count the whole batch, whatever part of it
    is in hand, so a split into micro-batches adds up to the same gradient.
    """
    if aggregate == "sequence":
        return 1.0 / (completions * lengths.clamp_min(1))
    if aggregate == "token":
        return torch.full_like(lengths, 1.0 / max(tokens, 1))
    return torch.full_like(lengths, 1.0 / max(completions * constant, 1))
