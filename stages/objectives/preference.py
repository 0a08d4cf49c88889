"""The loss of a reward model, from the rewards of texts: preference pairs, or texts with a label.

Axes: `n` texts, `B` examples. An example is a pair, its chosen text with sign +1 and its rejected one with −1
(Bradley and Terry 1952; Ouyang et al. 2022, arXiv 2203.02155), or one text, with +1 where its label is
good and −1 where it is bad. With d the sum of sign × reward,

    loss = −log σ(d − margin) + center × (sum of the rewards)²

which of a pair is −log σ(r_chosen − r_rejected − margin), and of a labelled text, without margin, the binary
cross-entropy of its logit. The last term keeps rewards of pairs about 0 (Eisenstein et al. 2023, arXiv
2312.09244).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class Preference(NamedTuple):
    """`loss [B]`; `difference [B]` is d, above 0 where the model agrees; `gradient [n]` that of the mean
    loss.
    """

    loss: Tensor
    difference: Tensor
    gradient: Tensor


def preference(rewards: Tensor, signs: Tensor, of: Tensor, margin: Tensor, center: float = 0.0) -> Preference:
    """`rewards [n]` of texts with `signs [n]`, each a part of example number `of [n]`; `margin [B]`."""
    with torch.enable_grad():
        given = rewards.detach().double().requires_grad_()
        nothing = torch.zeros_like(margin, dtype=torch.float64)
        difference = nothing.index_add(0, of, signs.double() * given)
        loss = -logsigmoid(difference - margin.double())
        if center:
            loss = loss + center * nothing.index_add(0, of, given) ** 2
        (gradient,) = torch.autograd.grad(loss.mean(), given)
    return Preference(loss.detach(), difference.detach(), gradient)
