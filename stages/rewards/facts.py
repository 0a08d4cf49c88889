"""1 where a model that judges finds the answer to a question of facts correct, 0 for incorrect or no attempt.

SimpleQA's three classes and figures: the mean is what is correct; `facts/given_attempted` what is correct of
the answers that were attempts, `facts/f1` in `r1 eval` the harmonic mean of both; `facts/incorrect` and
`facts/not_attempted` are the other two classes. Source: arXiv 2411.04368. The question is in words of our
own; `prompt=FILE` takes the published one, whose verdicts are the letters A, B and C.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from stages.grading.judged.forms import form_of
from stages.grading.judged.judges import Judge
from stages.grading.judged.scales import NOTHING, given, question_on, reason_in, unread
from stages.language.thinking import split_thinking
from stages.records.record import Record
from stages.records.verdict import Counts, Example, Verdict

VERDICT = re.compile(r"Verdict: (correct|incorrect|not attempted)|([ABC])")
CORRECT, INCORRECT, NOT_ATTEMPTED = CLASSES = ("correct", "incorrect", "not attempted")
EXAMPLES: list[Example] = [
    ([Record(prompt="3+4?", answer="7", completion="7")], {"model": "echo", "retries": 0}, [None]),
    ([Record(prompt="Name a fruit.", completion="fig")], {"model": "echo"}, [None]),
    ([Record(prompt="3+4?", answer="7", completion="<think>7")], {"model": "echo"}, [0.0]),
]


def facts(
    batch: list[Record],
    *,
    by: Judge = Judge(),
    prompt: str = "",
    part: Literal["summary", "whole"] = "summary",
) -> list[Verdict | Counts]:
    """Null where the record has no `answer`, or no class was given in `1 + retries` attempts.

    Raises UsageError for options that make no sense, Unavailable for a model or server that cannot be had.
    """
    check(by, prompt)
    questions = [question_on(record, "facts", prompt, part) for record in batch]
    return [_counted(each) for each in given(by, questions, "facts", read)]


def check(by: Judge = Judge(), prompt: str = "", part: str = "summary") -> None:
    """Raises what is wrong with the judge, as far as that shows before anything is to be judged."""
    by.check("facts")
    form_of(prompt, "facts")


def overall(mean: float, parts: Mapping[str, float]) -> dict[str, float]:
    """F1: the harmonic mean of what is right of all, and of the attempts."""
    attempts = parts.get("given_attempted")
    return {} if attempts is None else {"f1": 2 * mean * attempts / ((mean + attempts) or 1.0)}


def read(reply: str) -> Verdict | str:
    """The class in a reply's last line, as the place among CLASSES; where it names none, why."""
    lines = [line.strip() for line in split_thinking(reply).answer.splitlines() if line.strip()]
    match = VERDICT.fullmatch(lines[-1]) if lines else None
    if match is None:
        return unread(reply)
    place = "ABC".index(match[2]) if match[2] else CLASSES.index(match[1])
    return Verdict(float(place), f"{CLASSES[place]}: {reason_in(lines)}")


def _counted(verdict: Verdict) -> Verdict | Counts:
    if verdict.value is None:
        return verdict
    said = NOT_ATTEMPTED if verdict.reason == NOTHING else CLASSES[int(verdict.value)]
    right = float(said == CORRECT)
    parts = {
        "given_attempted": None if said == NOT_ATTEMPTED else right,
        "incorrect": float(said == INCORRECT),
        "not_attempted": float(said == NOT_ATTEMPTED),
    }
    return Counts(right, verdict.reason, parts)
