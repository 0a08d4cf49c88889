"""How much a model that judges prefers the answer to the baseline's, 0 to 1, as AlpacaEval 2 asks it.

The mean is AlpacaEval's win rate; `alpaca_eval/won` is 1, a half or 0 by which is preferred at all. The judge
names the better of two answers by one letter, in an order that is drawn from the question; its preference is
the probability of that letter beside the other's, where the server gives it. Source: arXiv 2404.04475 and
tatsu-lab/alpaca_eval, weighted_alpaca_eval_gpt4_turbo. The question is in words of our own; `prompt=FILE`
takes the published one.
"""

from __future__ import annotations

from stages.grading.judged.judges import Judge
from stages.grading.judged.pairs import UNJUDGED, check_pairs, preferred
from stages.records.record import Record
from stages.records.verdict import Counts, Example, Verdict

BY = Judge(max_tokens=8)  # a letter; one token would be enough for most
EXAMPLES: list[Example] = UNJUDGED


def alpaca_eval(
    batch: list[Record], *, by: Judge = BY, prompt: str = "", weighted: bool = True
) -> list[Verdict | Counts]:
    """Null where the record has no `baseline_answer`, or no letter was given in `1 + retries` attempts.

    Raises UsageError for options that make no sense, Unavailable for a model or server that cannot be had.
    """
    return preferred(batch, "alpaca_eval", by, prompt, weighted)


def check(by: Judge = BY, prompt: str = "", weighted: bool = True) -> None:
    """Raises what is wrong with the judge, as far as that shows before anything is to be judged."""
    check_pairs(by, prompt, "alpaca_eval")
