"""Whether a language model finds the answer equal to the reference: 1 or 0, or between by its own scale.

The paper's generative reward model, for references that no rule can read: it is shown the problem, the
reference and the final answer, never the thinking. The model is `model`, a checkpoint, or with `url` one that
an OpenAI-compatible server has under this name. `prompt` is a file of your own words, see
stages/grading/judged/prompts/.
"""

from __future__ import annotations

from stages.grading.judged.judges import Judge
from stages.grading.judged.scales import Scale, check_scale, judged
from stages.records.record import Record
from stages.records.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    # The echo model says the question again, and a question is no verdict.
    ([Record(prompt="3+4?", answer="7", completion="7")], {"model": "echo", "retries": 0}, [None]),
    ([Record(prompt="Name a fruit.", completion="fig")], {"model": "echo"}, [None]),
]


def judge(batch: list[Record], *, by: Judge = Judge(), on: Scale = Scale()) -> list[Verdict]:
    """Null where the record has no `answer`, or no verdict was given in `1 + retries` attempts.

    Raises UsageError for options that make no sense, Unavailable for a model or server that cannot be had.
    """
    return judged(batch, "judge", by, on)


def check(by: Judge = Judge(), on: Scale = Scale()) -> None:
    """Raises what is wrong with the judge, as far as that shows before anything is to be judged."""
    check_scale(by, on, "judge")
