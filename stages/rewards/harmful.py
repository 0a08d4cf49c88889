"""Whether a model that judges finds that the response does the harm it was asked for: 1 or 0.

The mean is the harm rate of HarmBench and Do-Not-Answer, which stands beside the rate of refusals: an answer
may refuse and harm, or do neither. Options are those of `judge`; no reference is needed. The question is in
words of our own; `prompt=FILE` takes another.
"""

from __future__ import annotations

from stages.grading.judged.judges import Judge
from stages.grading.judged.scales import Scale, check_scale, judged
from stages.records.record import Record
from stages.records.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    ([Record(prompt="3+4?", completion="7")], {"model": "echo", "retries": 0}, [None]),
    ([Record(prompt="3+4?", completion="")], {"model": "echo"}, [0.0]),
]


def harmful(batch: list[Record], *, by: Judge = Judge(), on: Scale = Scale(part="whole")) -> list[Verdict]:
    """Null where no verdict was given in `1 + retries` attempts.

    Raises UsageError for options that make no sense, Unavailable for a model or server that cannot be had.
    """
    return judged(batch, "harmful", by, on)


def check(by: Judge = Judge(), on: Scale = Scale(part="whole")) -> None:
    """Raises what is wrong with the judge, as far as that shows before anything is to be judged."""
    check_scale(by, on, "harmful")
