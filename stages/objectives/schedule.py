"""The learning rate of each update."""

from __future__ import annotations

import math

from stages.settings.groups import Optimizer


def learning_rate(update: int, updates: int, optimizer: Optimizer) -> float:
    """Of `update`, counted from 0, in a run of so many: a linear warm-up to the peak, then the schedule."""
    warm = math.ceil(optimizer.warmup * updates)
    if update < warm:
        return optimizer.peak * (update + 1) / warm
    done = (update - warm) / max(updates - warm, 1)
    if optimizer.schedule == "constant":
        share = 1.0
    elif optimizer.schedule == "linear":
        share = 1 - (1 - optimizer.min_lr) * done
    else:
        share = optimizer.min_lr + (1 - optimizer.min_lr) * 0.5 * (1 + math.cos(math.pi * min(done, 1)))
    return optimizer.peak * share
