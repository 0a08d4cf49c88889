r"""1 where the letter that MMLU-Pro's own program takes is the reference, 0 where it is not.

The letter after the first "answer is", else after the last `Answer:` of the first line that has one, else the
last capital from A to J that stands alone. Where there is none the program guesses, always the same place for
so many options. Source: arXiv 2406.01574 and the published evaluate_from_local.py.
"""

from __future__ import annotations

import random
import re
from functools import cache
from typing import Any, Literal

from stages.language.thinking import split_thinking
from stages.records.record import need
from stages.records.verdict import Example, Verdict

LETTERS = "ABCDEFGHIJ"
FIRST = re.compile(r"answer is \(?([A-J])")
SECOND = re.compile(r"[aA]nswer:(?=\s*([A-J]))")
ALONE = re.compile(r"\b[A-J]\b")
SEED = 12345  # the program's
TEN: dict[str, Any] = {"answer": "G", "choices": list("0123456789")}
EXAMPLES: list[Example] = [
    ({**TEN, "completion": "So the answer is (G). No: the answer is (B)."}, {}, 1.0),
    ({**TEN, "completion": "Answer: B\nAnswer: G"}, {}, 0.0),
    ({**TEN, "completion": "Perhaps B, or else G!"}, {}, 1.0),
    ({**TEN, "completion": "I do not know."}, {}, 0.0),
    ({**TEN, "completion": "nothing"}, {}, 1.0),
    ({**TEN, "completion": "nothing"}, {"unread": "wrong"}, 0.0),
    ({**TEN, "completion": "Perhaps G"}, {"alone": False, "unread": "wrong"}, 0.0),
    ({"completion": "The answer is (G)."}, {}, None),
]


def mmlu_pro(
    record: dict[str, Any],
    *,
    alone: bool = True,
    unread: Literal["guess", "wrong"] = "guess",
    part: Literal["summary", "whole"] = "summary",
) -> Verdict:
    """Null where the reference is no letter from A to J.

    `alone=false` leaves out the last letter that stands alone, as the program's first versions did. `guess`
    needs the record's `choices`. `part=summary` is what follows the thinking; `whole` is all of it.
    """
    text = need(record, "completion", str, "mmlu_pro judges completions: run r1 generate first")
    wanted, options = record.get("answer"), record.get("choices")
    if not isinstance(wanted, str) or len(wanted) != 1 or wanted not in LETTERS:
        return Verdict(None, "the reference is no letter from A to J")
    if part == "summary":
        text = split_thinking(text, str(record.get("prefill") or "")).answer
    letter = letter_in(text, alone=alone)
    if letter:
        return Verdict(float(letter == wanted), f"{letter}, for {wanted}")
    if unread == "wrong" or not isinstance(options, list) or not options:
        return Verdict(0.0, f"no letter, for {wanted}")
    guess = LETTERS[_guess(len(options))]
    return Verdict(float(guess == wanted), f"no letter, and the program guesses {guess}, for {wanted}")


def letter_in(text: str, *, alone: bool = True) -> str:
    """The letter that the program takes; "" where it takes none."""
    found = FIRST.search(text)
    if found:
        return found[1]
    lines = list(SECOND.finditer(text))
    if lines:
        end = text.find("\n", lines[0].start())
        return [each[1] for each in lines if end < 0 or each.start() < end][-1]
    standing = ALONE.findall(text) if alone else []
    return standing[-1] if standing else ""


@cache
def _guess(options: int) -> int:
    return random.Random(SEED).randint(0, options - 1)


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """A letter, right or wrong: null where the reference is none."""
    return [("</think>The answer is (A).", 0.0)]
