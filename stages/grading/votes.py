"""The answer a completion gives, in a form in which equal answers are equal text: for majority votes."""

from __future__ import annotations

from typing import Any

from stages.grading import numbers, units
from stages.grading.places import find
from stages.language.thinking import split_thinking
from stages.records.record import digest, need

LONG = 64  # a longer vote is counted under its digest


def vote(record: dict[str, Any]) -> str | None:
    """The answer taken from where `accuracy` takes it; None where the completion gives none.

    Numbers are compared exactly (`0.5` votes as `1/2` does), all else as text without its spacing
    and case. Other forms of one formula are different votes.
    """
    completion = need(record, "completion", str, "a vote needs a completion: run r1 generate first")
    parts = split_thinking(completion, str(record.get("prefill") or ""))
    found = find(parts.answer, "any", cut=record.get("finish") == "length")
    if found is None:
        return None
    text = units.pointed(found.text)
    if found.place == "last":
        text = numbers.last_in(text) or text
    number = numbers.read(text)
    if number is not None:
        return str(number.value) + ("%" if number.percent else "")
    plain = "".join(text.split()).casefold()
    return plain if len(plain) <= LONG else digest(plain)
