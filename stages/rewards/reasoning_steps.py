"""1 where the text shows `steps` marked steps or more, else their share: `Step 1:`, `1.`, bullets, `First`.

Three steps, as open-r1 has it. A list of words counts as it stands: what the steps say is not judged.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from stages.records.record import need
from stages.records.verdict import Example, Verdict
from stages.settings.options import Range

EXAMPLES: list[Example] = [
    ({"completion": "Step 1: add. Step 2: halve. Step 3: done."}, {}, 1.0),
    ({"completion": "First, add.\nThen halve.\n- so 7"}, {}, 1.0),
    ({"completion": "1. add\n2. halve"}, {}, 2 / 3),
    ({"completion": "首先三加四。其次除以二。"}, {"steps": 2}, 1.0),
    ({"completion": "It is 7."}, {}, 0.0),
]
STEP = re.compile(
    r"\bstep \d+\b|^[ \t]*(?:\d+[.)]|[-*•])[ \t]"
    r"|\b(?:first|second|third|next|then|finally|lastly)(?:ly)?\b(?=,| )"
    r"|首先|其次|然后|接着|最后|最後|第[一二三四五六七八九十]步|まず|次に|最後に|먼저|다음으로|마지막으로"
    r"|\b(?:zuerst|dann|schließlich|d'abord|ensuite|enfin|primero|luego|finalmente)\b",
    re.IGNORECASE | re.MULTILINE,
)


def reasoning_steps(record: dict[str, Any], *, steps: Annotated[int, Range(low=1)] = 3) -> Verdict:
    """Never null."""
    text = need(record, "completion", str, "reasoning_steps judges completions: run r1 generate first")
    found = len(STEP.findall(text))
    return Verdict(min(1.0, found / steps), f"{found} marked steps")
