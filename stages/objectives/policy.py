"""The clipped policy-gradient loss of GRPO, token by token, and how tokens are weighed.

    L_it = -min(rho_it A_i, clip(rho_it, 1 - low, 1 + high) A_i) + beta KL_it          to be minimised
    rho_it = pi(o_it) / pi_old(o_it)

Sources: DeepSeekMath (arXiv 2402.03300) eq. 3 and 4; low != high is DAPO's clip-higher (2503.14476).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Aggregate = Literal["sequence", "token", "constant"]
Estimator = Literal["k1", "k2", "k3"]


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
) -> PolicyLoss:
    """All arguments `[T]`, `advantage` repeated for each token of its completion.

    `ref_logp` is the reference model's; without it the KL term is 0 and `beta` plays no part.
    """
    ratio = (logp - old_logp).exp()
    limited = ratio.clamp(1 - low, 1 + high)
    loss = -torch.minimum(ratio * advantage, limited * advantage)
    with torch.no_grad():
        clipped_low = (ratio < 1 - low) & (advantage < 0)
        clipped_high = (ratio > 1 + high) & (advantage > 0)
    divergence = torch.zeros_like(loss)
    if ref_logp is not None:
        divergence = kl(logp, ref_logp, estimator)
        loss = loss + beta * divergence
    return PolicyLoss(loss, ratio.detach(), clipped_low, clipped_high, divergence.detach())


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
