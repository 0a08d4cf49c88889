"""Share of two games against the baseline's answer that a model that judges gives the answer, as Arena-Hard.

The judge sees both answers in either order, and says one of A>>B, A>B, A=B, B>A and B>>A, in double brackets.
`arena_hard/second` and `arena_hard/first` are the scores of the games in which the answer stood there: 1 much
better, 0.75 better, 0.5 a tie, 0.25 worse, 0 much worse. `r1 rank --by bradley-terry` reads them. Source:
arXiv 2406.11939 and lmarena/arena-hard-auto. The question is in words of our own; `prompt=FILE` takes the
published one.
"""

from __future__ import annotations

from stages.grading.judged.judges import Judge
from stages.grading.judged.pairs import UNJUDGED, check_pairs, fought
from stages.records.record import Record
from stages.records.verdict import Counts, Example, Verdict

BY = Judge(max_tokens=4096)  # the judge first answers the question itself
EXAMPLES: list[Example] = UNJUDGED


def arena_hard(batch: list[Record], *, by: Judge = BY, prompt: str = "") -> list[Verdict | Counts]:
    """Null where the record has no `baseline_answer`, or a game has no verdict in `1 + retries` attempts.

    Raises UsageError for options that make no sense, Unavailable for a model or server that cannot be had.
    """
    return fought(batch, "arena_hard", by, prompt)


def check(by: Judge = BY, prompt: str = "") -> None:
    """Raises what is wrong with the judge, as far as that shows before anything is to be judged."""
    check_pairs(by, prompt, "arena_hard")
