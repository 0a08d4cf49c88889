"""0 where no run of words comes twice, down to -1 where all is repetition.

    -(1 - distinct / all)   over the runs of `n` words

Words as \\w has them, each Han or Kana character one; case does not count. "Demystifying Long
Chain-of-Thought Reasoning" (arXiv 2502.03373), as open-r1 has it, over the thinking and the answer.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from stages.records.record import need
from stages.records.verdict import Example, Verdict
from stages.settings.options import Range

EXAMPLES: list[Example] = [
    ({"completion": "one two three four five"}, {}, 0.0),
    ({"completion": "wait wait wait wait wait"}, {}, -2 / 3),
    ({"completion": "a b a b a b"}, {"n": 2}, -0.6),
    ({"completion": "so 7"}, {}, 0.0),
    ({"completion": "再算再算再算"}, {"n": 2}, -0.6),
]
WORD = re.compile(r"[぀-ヿ㐀-鿿]|[^\W぀-ヿ㐀-鿿]+")


def repetition(record: dict[str, Any], *, n: Annotated[int, Range(low=1)] = 3) -> Verdict:
    """Never null: a text of fewer than `n` words repeats nothing."""
    text = need(record, "completion", str, "repetition judges completions: run r1 generate first")
    words = WORD.findall(text.lower())
    runs = len(words) - n + 1
    if runs < 1:
        return Verdict(0.0, f"{len(words)} words, none can repeat")
    distinct = len({tuple(words[k : k + n]) for k in range(runs)})
    return Verdict(distinct / runs - 1.0, f"{distinct} of {runs} runs of {n} words are distinct")
