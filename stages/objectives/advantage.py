"""Advantages of completions within their groups.

    A_i = (r_i - mean(r_1..r_G)) / std(r_1..r_G)              DeepSeekMath, arXiv 2402.03300, eq. 3

Leave-one-out (RLOO, arXiv 2402.14740) compares with the mean of the others, which is G / (G - 1) times as
much.

The standard deviation is the sample's (G - 1), as in TRL and verl; nothing is added to it. A
group in which all rewards are equal teaches nothing: its advantages are 0. A reward of NaN could not be
judged: it leaves the group's statistics, and its own advantage is 0.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Scale = Literal["group", "batch", "none"]
Baseline = Literal["group", "others"]
EQUAL = 1e-6  # a spread of rewards below this is rounding


def advantages(rewards: Tensor, groups: Tensor, *, scale: Scale, baseline: Baseline = "group") -> Tensor:
    """`[N]` advantages of `rewards [N]` (NaN: not judged) with group numbers `groups [N]`, from 0.

    `scale` divides by the group's standard deviation, by the batch's, or not at all (Dr. GRPO). `baseline` is
    the mean that a reward is compared with: of all its group, or of the others.
    """
    judged = ~rewards.isnan()
    known = torch.where(judged, rewards, torch.zeros_like(rewards))
    count = group_sums(judged.to(rewards), groups)
    mean = group_sums(known, groups) / count.clamp_min(1)
    centred = torch.where(judged, rewards - mean[groups], torch.zeros_like(rewards))
    spread = (group_sums(centred.square(), groups) / (count - 1).clamp_min(1)).sqrt()
    if baseline == "others":
        centred = centred * (count / (count - 1).clamp_min(1))[groups]
    if scale == "group":
        deviation = spread[groups]
    elif scale == "batch":
        values = rewards[judged]
        whole = values.std() if len(values) > 1 else rewards.new_zeros(())
        deviation = whole.expand_as(rewards)
    else:
        deviation = torch.ones_like(rewards)
    alive = (spread > EQUAL)[groups] & judged
    safe = torch.where(alive, deviation, torch.ones_like(deviation))
    return torch.where(alive, centred / safe, torch.zeros_like(rewards))


def group_sums(values: Tensor, groups: Tensor) -> Tensor:
    """The sum of `values [N]` in each group, by `groups [N]`, numbers from 0."""
    size = int(groups.max()) + 1 if len(groups) else 0
    return values.new_zeros(size).index_add_(0, groups, values)
