"""The mathematics once more, in plain Python and float64, from the papers alone: what the tests compare
with."""

from __future__ import annotations

import math
from collections.abc import Sequence


def advantages(
    rewards: Sequence[float], groups: Sequence[int], scale: str, baseline: str = "group"
) -> list[float]:
    """arXiv 2402.03300, section 4.1.2, or RLOO; NaN rewards stand outside, a group without spread gets 0."""
    known = [r for r in rewards if not math.isnan(r)]
    out = []
    for reward, group in zip(rewards, groups, strict=True):
        own = [r for r, g in zip(rewards, groups, strict=True) if g == group and not math.isnan(r)]
        if math.isnan(reward) or len(own) < 2 or max(own) - min(own) < 1e-9:
            out.append(0.0)
            continue
        centred = reward - math.fsum(own) / len(own)
        if baseline == "others":
            centred = reward - (math.fsum(own) - reward) / (len(own) - 1)
        divisor = {"group": own, "batch": known, "none": None}[scale]
        out.append(centred if divisor is None else centred / deviation(divisor))
    return out


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def token_loss(
    logp: float,
    old: float,
    advantage: float,
    low: float,
    high: float,
    ref: float | None = None,
    beta: float = 0.0,
    estimator: str = "k3",
) -> float:
    """What one token adds, to be minimised: arXiv 2402.03300, eq. 3 with the sign turned."""
    ratio = math.exp(logp - old)
    clipped = min(max(ratio, 1 - low), 1 + high)
    gain = min(ratio * advantage, clipped * advantage)
    return -gain if ref is None else -gain + beta * divergence(logp, ref, estimator)


def divergence(logp: float, ref: float, estimator: str) -> float:
    """Schulman's estimators of KL(pi || ref), from r = ref / pi."""
    r = math.exp(ref) / math.exp(logp)
    return {"k1": -math.log(r), "k2": math.log(r) ** 2 / 2, "k3": r - 1 - math.log(r)}[estimator]


def token_slope(logp: float, *rest: float | str | None) -> float:
    """The derivative of `token_loss` in `logp`, by central differences (error about 1e-10)."""
    h = 1e-5
    return (token_loss(logp + h, *rest) - token_loss(logp - h, *rest)) / (2 * h)


def token_weights(lengths: Sequence[int], aggregate: str, constant: int) -> list[float]:
    """How much a token of each completion counts in the loss of the whole batch."""
    if aggregate == "sequence":  # 1/N sum_i 1/|o_i| sum_t
        return [1 / len(lengths) / n for n in lengths]
    if aggregate in ("token", "local"):  # 1/sum_i |o_i| sum_i sum_t
        return [1 / sum(lengths)] * len(lengths)
    return [1 / len(lengths) / constant] * len(lengths)


def log_softmax(logits: Sequence[float]) -> list[float]:
    top = max(logits)
    norm = top + math.log(math.fsum(math.exp(x - top) for x in logits))
    return [x - norm for x in logits]


def nucleus(probabilities: Sequence[float], top_p: float) -> set[int]:
    """The smallest set of likeliest tokens that holds `top_p`, with those that tie with its last."""
    order = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])
    total, held = math.fsum(probabilities), 0.0
    for place in order:
        held += probabilities[place]
        if held >= top_p * total:
            return {i for i, p in enumerate(probabilities) if p >= probabilities[place]}
    return set(order)
