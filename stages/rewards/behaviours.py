"""How often the thinking checks itself, sets subgoals, turns back, works backwards or reflects.

A measurement: counts of phrases in the sense of "Cognitive Behaviors that Enable Self-Improving Reasoners"
(arXiv 2503.01307), and of reflection words in sixteen languages. Five counts are recorded beside their sum;
none of it is part of the reward, unless a weight is given: phrases are easily said.
"""

from __future__ import annotations

from typing import Any, Literal

from stages.language.behaviours import counted
from stages.language.thinking import split_thinking
from stages.records.record import need
from stages.records.verdict import Counts, Example

WEIGHT = 0.0  # what `--reward behaviours` counts for without a `*weight`
EXAMPLES: list[Example] = [
    ({"completion": "<think>3+4=8. Wait, let me check: 3+4=7.</think> 7"}, {}, 3.0),
    ({"completion": "First, I need to find the sum."}, {"of": "subgoals"}, 1.0),
    ({"completion": "That does not work, so let me try a different approach."}, {"of": "backtracking"}, 2.0),
    ({"completion": "Working backwards from 24, we need 8."}, {"of": "backward_chaining"}, 1.0),
    ({"completion": "<think>等等，我再检查一下</think> 7"}, {"of": "reflection"}, 2.0),
    ({"completion": "7"}, {}, 0.0),
]  # fmt: skip


def behaviours(
    record: dict[str, Any],
    *,
    of: Literal["all", "verification", "subgoals", "backtracking", "backward_chaining", "reflection"] = "all",
) -> Counts:
    """Never null. Without a thinking block the whole text is read. `of` picks what the value counts."""
    text = need(record, "completion", str, "behaviours reads completions: run r1 generate first")
    parts = split_thinking(text, str(record.get("prefill") or ""))
    found = counted(parts.answer if parts.thinking is None else parts.thinking)
    value = sum(found.values()) if of == "all" else found[of]
    said = ", ".join(f"{count:g} {kind.replace('_', ' ')}" for kind, count in found.items())
    return Counts(float(value), said, found)
