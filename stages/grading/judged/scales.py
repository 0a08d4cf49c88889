"""Verdicts of a judge on one completion, on a scale of numbers or in words.

The verdict is a line of its own at the end of the judge's reply, `Verdict: N`; anything else is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from stages.grading.judged.forms import Turns, form_of
from stages.grading.judged.judges import Judge
from stages.language.thinking import split_thinking
from stages.records.record import Record, need
from stages.records.templates import messages_of
from stages.records.verdict import Value, Verdict
from stages.runtime.errors import UsageError
from stages.settings.options import Range

VERDICT = re.compile(r"Verdict: (-?[0-9]+(?:\.[0-9]+)?)")
NOTHING = "nothing was answered"
SHOWN = 80  # characters of the end of a reply without a verdict


@dataclass(frozen=True)
class Scale:
    """What a judge is asked, and how its verdict counts: `low` becomes 0 and `high` 1."""

    prompt: str = ""  # a file; "" for the reward's own
    part: Literal["summary", "whole"] = "summary"
    low: Value = 0.0
    high: Value = 1.0
    votes: Annotated[int, Range(low=1, high=1000)] = 1

    def read(self, reply: str) -> Verdict | str:
        """The verdict that a reply ends with; where it gives none, why."""
        lines = [line.strip() for line in reply.splitlines() if line.strip()]
        match = VERDICT.fullmatch(lines[-1]) if lines else None
        if match is None:
            return unread(reply)
        said = float(match[1])
        if not self.low <= said <= self.high:
            return f"no verdict: {match[1]} is outside {self.low:g} to {self.high:g}"
        return Verdict((said - self.low) / (self.high - self.low), reason_in(lines))


def check_scale(judge: Judge, scale: Scale, reward: str) -> None:
    """Raises what options and files say against them, with no model loaded and no server asked."""
    if scale.high <= scale.low:
        raise UsageError(f"--reward {reward}: high={scale.high:g} must be above low={scale.low:g}")
    if scale.votes > 1 and not judge.temperature:
        raise UsageError(f"--reward {reward}: votes={scale.votes} needs temperature=X, or all are the same")
    judge.check(reward)
    form_of(scale.prompt, reward)


def judged(batch: Sequence[Record], reward: str, judge: Judge, scale: Scale) -> list[Verdict]:
    """A verdict of `reward` for each record: null where there is no reference, or none was given.

    Raises UsageError for options that make no sense, Unavailable for a model that cannot be had, BadInput for
    a record without a completion.
    """
    check_scale(judge, scale, reward)
    questions = [question_on(record, reward, scale.prompt, scale.part) for record in batch]
    each = [
        given(judge, questions, reward, scale.read, first=vote * (1 + judge.retries))
        for vote in range(scale.votes)
    ]
    return each[0] if scale.votes == 1 else [_mean(votes) for votes in zip(*each, strict=True)]


def question_on(record: Record, reward: str, prompt: str, part: str) -> Turns | Verdict:
    """The question about one record, or the verdict where there is nothing to ask."""
    form = form_of(prompt, reward)
    completion = answer_of(record, reward, part)
    fields = {"completion": completion}
    if "prompt" in form.places:
        fields["prompt"] = asked_in(record)
    if "answer" in form.places:
        answer = record.get("answer")
        if answer is None or answer == "":
            return Verdict(None, f"no reference: {reward} compares with `answer`")
        fields["answer"] = str(answer)
    return form.filled(fields) if completion else Verdict(0.0, NOTHING)


def asked_in(record: Record) -> str:
    """The words of the record's prompt."""
    return "\n".join(turn["content"] for turn in messages_of(record))


def answer_of(record: Record, reward: str, part: str = "summary") -> str:
    """The record's completion as a judge sees it. Raises BadInput for a record without one."""
    remedy = f"{reward} judges completions: run r1 generate first"
    completion: str = need(record, "completion", str, remedy)
    if part == "summary":
        completion = split_thinking(completion, str(record.get("prefill") or "")).answer
    return completion.strip()


def given(
    judge: Judge,
    questions: Sequence[Turns | Verdict],
    reward: str,
    read: Callable[[str], Verdict | str],
    *,
    first: int = 0,
) -> list[Verdict]:
    """The verdict on each question: what is one already, and what the judge says of the others."""
    open_ = [k for k, each in enumerate(questions) if not isinstance(each, Verdict)]
    asked = [each for each in questions if not isinstance(each, Verdict)]
    said = judge.ask(asked, reward, lambda reply: read(reply.text), first=first)
    found = dict(zip(open_, said, strict=True))
    return [each if isinstance(each, Verdict) else _verdict(found[k]) for k, each in enumerate(questions)]


def unread(reply: str) -> str:
    """Why a reply is no verdict."""
    return f"no verdict: the judge ends with {reply.strip()[-SHOWN:]!r}"


def reason_in(lines: Sequence[str]) -> str:
    """What a reply says before its last line."""
    return " ".join(lines[:-1])[-200:] or lines[-1]


def _verdict(found: Verdict | str) -> Verdict:
    return Verdict(None, found) if isinstance(found, str) else found


def _mean(votes: Sequence[Verdict]) -> Verdict:
    """The mean of those that were given; null where none was."""
    known = [vote.value for vote in votes if vote.value is not None]
    if not known:
        return votes[0]
    said = ", ".join(f"{value:g}" for value in known)
    return Verdict(sum(known) / len(known), f"the mean of {said}: {votes[0].reason}")
