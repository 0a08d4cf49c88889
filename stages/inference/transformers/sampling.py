"""Drawing tokens: logits and one uniform number for each row in, tokens and their log-probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor

from stages.settings.groups import Sampling


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Tokens `[S]` and their log-probabilities `[S]` for logits `[S, V]` and numbers `[S]` in [0, 1).

    The token is the inverse of the cumulative distribution, in vocabulary order, at `uniform`: one
    number decides it, so equal logits give equal tokens whatever else is in the batch, and logits that
    differ by rounding give the same token all but about that rounding's share of the time.
    """
    logits = logits.float()
    if sampling.temperature == 0:
        tokens = logits.argmax(-1)
        logp = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        return tokens, logp
    logp = torch.log_softmax(logits / sampling.temperature, -1)
    weights = logp.exp()
    if sampling.top_k and sampling.top_k < weights.shape[-1]:
        least = weights.topk(sampling.top_k, -1).values[:, -1:]
        weights = weights.masked_fill(weights < least, 0.0)
    if sampling.top_p < 1:
        weights = weights.masked_fill(weights < nucleus(weights, sampling.top_p), 0.0)
    total = weights.cumsum(-1, dtype=torch.float64)
    goal = uniform.to(total) * total[:, -1]
    tokens = torch.searchsorted(total, goal[:, None], right=True)[:, 0]
    tokens = tokens.clamp_max(logits.shape[-1] - 1)
    # Rounding may put the goal at the very end, past the last token that has any weight.
    for row in (weights.gather(-1, tokens[:, None])[:, 0] == 0).nonzero()[:, 0]:
        tokens[row] = weights[row].nonzero()[-1, 0]
    return tokens, logp.gather(-1, tokens[:, None])[:, 0]


def nucleus(weights: Tensor, top_p: float) -> Tensor:
    """The smallest weight `[S, 1]` inside the nucleus of each row of `weights [S, V]`.

    The nucleus is the smallest set of likeliest tokens whose share of the row reaches `top_p`, and what is
    exactly as likely as the last of them.
    """
    # In float64, so that the sums do not depend on how many rows are summed at once.
    goal = top_p * weights.sum(-1, keepdim=True, dtype=torch.float64)
    size = min(256, weights.shape[-1])
    ordered = weights.topk(size, -1).values
    reached = ordered.cumsum(-1, dtype=torch.float64)
    if bool((reached[:, -1:] < goal).any()):
        ordered = weights.sort(-1, descending=True).values
        reached = ordered.cumsum(-1, dtype=torch.float64)
    last = (reached < goal).sum(-1, keepdim=True)  # the place of the token that reaches it
    return ordered.gather(-1, last.clamp_max(ordered.shape[-1] - 1))
