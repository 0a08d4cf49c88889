"""What a step of GRPO says of itself, in the names that TRL logs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from stages.language.behaviours import reflects
from stages.language.identification import mixing, target_language
from stages.language.thinking import split_thinking
from stages.objectives.advantage import EQUAL
from stages.records.record import Record


def of_rollouts(rollouts: Sequence[Record], rewards: Tensor, groups: Tensor) -> dict[str, Any]:
    """Rewards `[N]` (NaN: not judged) of completions and their groups `[N]`, lengths, form and language."""
    known = rewards[~rewards.isnan()]
    count = int(groups.max()) + 1
    # Of a group with one reward or none there is no standard deviation: NaN.
    spreads = [_spread(rewards[groups == g]) for g in range(count)]
    flat = sum(not spread > EQUAL for spread in spreads)
    spreads = [spread for spread in spreads if not math.isnan(spread)]
    lengths = [len(record["completion_ids"]) for record in rollouts]
    cut = [record["finish"] == "length" for record in rollouts]
    ended = [n for n, c in zip(lengths, cut, strict=True) if not c]
    mixed = [share for r in rollouts if (share := _mixing(r)) is not None]
    return {
        "reward": known.mean().item() if len(known) else None,
        "reward_std": statistics.fmean(spreads) if spreads else None,
        **_each_reward(rollouts),
        "completions/mean_length": statistics.fmean(lengths),
        "completions/min_length": min(lengths),
        "completions/max_length": max(lengths),
        "completions/mean_terminated_length": statistics.fmean(ended) if ended else 0.0,
        "completions/clipped_ratio": sum(cut) / len(cut),
        "completions/reflection": sum(reflects(r["completion"]) for r in rollouts) / len(rollouts),
        "completions/language_mixing": statistics.fmean(mixed) if mixed else None,
        "completions/unjudged": int(rewards.isnan().sum()),
        "frac_reward_zero_std": flat / count,
    }


def _each_reward(rollouts: Sequence[Record]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(name for record in rollouts for name in record["rewards"]):
        values = [value for r in rollouts if (value := r["rewards"].get(name)) is not None]
        found[f"rewards/{name}/mean"] = statistics.fmean(values) if values else None
        found[f"rewards/{name}/std"] = statistics.pstdev(values) if values else None
    return found


def of_updates(sums: Mapping[str, float], updates: int, largest_gap: float) -> dict[str, Any]:
    """Means over the learned tokens, or the updates, of what the losses of a step have added up."""
    return {
        "loss": sums.get("loss", 0.0) / updates,
        "entropy": _mean(sums, "entropy"),
        "kl": _mean(sums, "kl"),
        "clip_ratio/low_mean": _mean(sums, "clipped_low"),
        "clip_ratio/high_mean": _mean(sums, "clipped_high"),
        "ratio": _mean(sums, "ratio"),
        "sampling/importance_mean": _mean(sums, "importance") if "importance" in sums else None,
        "sampling/logp_gap_mean": _mean(sums, "gap", "checked"),
        "sampling/logp_gap_max": largest_gap if sums.get("checked") else None,
        "grad_norm": sums.get("grad_norm", 0.0) / updates,
        "learning_rate": sums.get("lr", 0.0) / updates,
    }


def _spread(rewards: Tensor) -> float:
    known = rewards[~rewards.isnan()]
    return known.std().item() if len(known) > 1 else math.nan


def _mean(sums: Mapping[str, float], name: str, per: str = "tokens") -> float | None:
    """A mean over tokens; None where the step had none to learn from, which is not 0."""
    return sums[name] / sums[per] if sums.get(per) else None


def _mixing(record: Record) -> float | None:
    """Share of the thinking's words that are not in the target language."""
    text = split_thinking(record["completion"], record.get("prefill") or "").thinking
    lang = target_language(record)
    return mixing(text, lang) if text and lang else None
