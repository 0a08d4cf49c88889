"""How much the final answer helps who asked, as a language model rates it: 0 to 1, from 1 to 10.

The paper's helpfulness: the summary alone is judged, so that the reasoning is disturbed least. Options are
those of `judge`; no reference is needed.
"""

from __future__ import annotations

from stages.grading.judged.judges import Judge
from stages.grading.judged.scales import Scale, check_scale, judged
from stages.records.record import Record
from stages.records.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    ([Record(prompt="3+4?", completion="7")], {"model": "echo", "retries": 0}, [None]),
]


def helpfulness(
    batch: list[Record], *, by: Judge = Judge(), on: Scale = Scale(low=1.0, high=10.0)
) -> list[Verdict]:
    """Null where no verdict was given in `1 + retries` attempts.

    Raises UsageError for options that make no sense, Unavailable for a model or server that cannot be had.
    """
    return judged(batch, "helpfulness", by, on)


def check(by: Judge = Judge(), on: Scale = Scale(low=1.0, high=10.0)) -> None:
    """Raises what is wrong with the judge, as far as that shows before anything is to be judged."""
    check_scale(by, on, "helpfulness")
