"""Right or wrong, scaled by length along a cosine: short right answers pay most, long wrong ones cost least.

    end + (start - end) / 2 * (1 + cos(pi * length / limit))

from `right` (1, 0.5) or `wrong` (-1, -0.5), each its value at length 0 and at the limit; beyond the
limit `exceed`. "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373), equation 1. Correct is
what reward `of` says (at 0.5 or more): score it in the same command, or earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from stages.records.lengths import limit_of, size_of
from stages.records.verdict import Example, Value, Verdict
from stages.rewards.length import correctness
from stages.settings.options import Range

EXAMPLES: list[Example] = [
    ({"completion": "", "rewards": {"accuracy": 1.0}}, {"limit": 4, "unit": "characters"}, 1.0),
    ({"completion": "ab", "rewards": {"accuracy": 1.0}}, {"limit": 4, "unit": "characters"}, 0.75),
    ({"completion": "abcd", "rewards": {"accuracy": 0.0}}, {"limit": 4, "unit": "characters"}, -0.5),
    ({"completion": "abcde", "rewards": {"accuracy": 1.0}}, {"limit": 4, "unit": "characters"}, -1.0),
    ({"completion": "ab", "rewards": {"accuracy": None}}, {"limit": 4, "unit": "characters"}, None),
    ({"completion": "ab", "completion_ids": [1, 2], "rewards": {"accuracy": 0}}, {"limit": 4}, -0.75),
]  # fmt: skip


@dataclass(frozen=True)
class Payment:
    """What is paid at length 0, at the limit, and beyond it."""

    right_short: Value = 1.0
    right_long: Value = 0.5
    wrong_short: Value = -1.0
    wrong_long: Value = -0.5
    exceed: Value = -1.0


def cosine(
    scored: dict[str, Any],
    *,
    limit: Annotated[int, Range(low=0)] = 0,
    of: str = "accuracy",
    pays: Payment = Payment(),
    unit: Literal["tokens", "characters"] = "tokens",
) -> Verdict:
    """Null where correctness is, or where no limit is known. `limit` 0: the record's --max-tokens.

    Raises BadInput without a reward `of`, or without `completion_ids` to count tokens.
    """
    size = size_of(scored, unit, "cosine")
    most = limit or limit_of(scored, unit)
    if not most:
        return Verdict(None, "no limit: give limit=N")
    correct = correctness(scored, of)
    if correct is None:
        return Verdict(None, f"{of} could not be judged")
    if size > most:
        return Verdict(pays.exceed, f"{size} {unit}, over the limit of {most}")
    if correct:
        start, end = pays.right_short, pays.right_long
    else:
        start, end = pays.wrong_short, pays.wrong_long
    value = end + (start - end) / 2 * (1 + math.cos(math.pi * size / most))
    return Verdict(value, f"{'right' if correct else 'wrong'}, {size} of {most} {unit}")
