"""Share of the form's tags that stand exactly once, 0 to 1: partial credit on the way to `format`.

Four tags for `think-answer`, two for `think`; order and what stands between do not matter. Each tag
that the template opened (`prefill`) counts as written. The scheme is open-r1's.
"""

from __future__ import annotations

from typing import Any, Literal

from stages.records.record import need
from stages.records.verdict import Example, Verdict
from stages.rewards.format import STYLES, style_of, written

EXAMPLES: list[Example] = [
    ({"completion": "<think>\n3+4=7\n</think>\n<answer>7</answer>"}, {}, 1.0),
    ({"completion": "<think>3+4=7 <answer>7</answer>"}, {}, 0.75),
    ({"completion": "<think>3</think> <think>4</think> <answer>7</answer>"}, {}, 0.5),
    ({"completion": "3+4=7\n</think>\n\n7", "prefill": "<think>\n"}, {}, 1.0),
    ({"completion": "7"}, {"style": "think-answer"}, 0.0),
]


def tag_count(record: dict[str, Any], *, style: Literal["auto", "think-answer", "think"] = "auto") -> Verdict:
    """Never null."""
    need(record, "completion", str, "tag_count judges completions: run r1 generate first")
    text = written(record)
    wanted = style_of(record, text) if style == "auto" else style
    tags = STYLES[wanted]
    once = [tag for tag in tags if text.count(tag) == 1]
    return Verdict(len(once) / len(tags), f"{wanted}: {len(once)} of {len(tags)} tags stand once")
