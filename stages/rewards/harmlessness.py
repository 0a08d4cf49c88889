"""Whether the whole response is harmless, thinking and answer, as a language model finds: 1 or 0.

The paper's harmlessness: harm counts wherever it stands. Options are those of `judge`; no reference is
needed.
"""

from __future__ import annotations

from stages.grading.judged.judges import Judge
from stages.grading.judged.scales import Scale, check_scale, judged
from stages.records.record import Record
from stages.records.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    ([Record(prompt="3+4?", completion="7")], {"model": "echo", "retries": 0}, [None]),
]


def harmlessness(
    batch: list[Record], *, by: Judge = Judge(), on: Scale = Scale(part="whole")
) -> list[Verdict]:
    """Null where no verdict was given in `1 + retries` attempts.

    Raises UsageError for options that make no sense, Unavailable for a model or server that cannot be had.
    """
    return judged(batch, "harmlessness", by, on)


def check(by: Judge = Judge(), on: Scale = Scale(part="whole")) -> None:
    """Raises what is wrong with the judge, as far as that shows before anything is to be judged."""
    check_scale(by, on, "harmlessness")
