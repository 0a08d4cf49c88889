"""Two answers to one question before a judge: AlpacaEval's one letter, Arena-Hard's five verdicts.

The published programs' ways of reading a reply, so that the same replies give the same verdicts.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stages.grading.judged.forms import Turns, form_of
from stages.grading.judged.judges import Judge
from stages.grading.judged.scales import NOTHING, answer_of, asked_in, unread
from stages.inference.server.protocol import Reply
from stages.language.thinking import split_thinking
from stages.records.record import Record
from stages.records.verdict import Counts, Example, Verdict

BASELINE = "baseline_answer"
PLACES = ("first", "second")
FIRST, SECOND = "m", "M"  # what AlpacaEval calls the answers
LABEL = re.compile(r"\[\[([AB<>=]+)\]\]")
# Of each of Arena-Hard's verdicts, the second answer's score: 1 and 0 are much better and much worse.
LABELS = {
    "A>>B": 0.0, "A>B": 0.25, "A=B": 0.5, "B>A": 0.75, "B>>A": 1.0,
    "B<<A": 0.0, "B<A": 0.25, "B=A": 0.5, "A<B": 0.75, "A<<B": 1.0,
}  # fmt: skip
# Records that a judge says nothing of: without a verdict, without a baseline, without an answer.
UNJUDGED: list[Example] = [
    (
        [Record(prompt="Name a fruit.", completion="Fig.", baseline_answer="A plum.")],
        {"model": "echo", "retries": 0},
        [None],
    ),
    ([Record(prompt="Name a fruit.", completion="Fig.")], {"model": "echo"}, [None]),
    (
        [Record(prompt="Name a fruit.", completion="<think>Fig", baseline_answer="A plum.")],
        {"model": "echo"},
        [0.0],
    ),
]


class Pair(NamedTuple):
    """A question and two answers to it; `own` is the completion, `other` the baseline's."""

    question: str
    own: str
    other: str


class Share(NamedTuple):
    """How much a judge prefers the second answer it was shown: 0 to 1."""

    value: float


def pair_of(record: Record, reward: str) -> Pair | Verdict:
    """The pair of a record, or the verdict where there is nothing to compare."""
    own, other = answer_of(record, reward), record.get(BASELINE)
    if not isinstance(other, str) or not other.strip():
        return Verdict(None, f"no answer to compare with: {reward} wants `{BASELINE}`")
    return Pair(asked_in(record), own, other.strip()) if own else Verdict(0.0, NOTHING)


def check_pairs(judge: Judge, prompt: str, reward: str) -> None:
    """Raises what options and files say against them, with no model loaded and no server asked."""
    judge.check(reward)
    form_of(prompt, reward, PLACES)


def preferred(
    batch: Sequence[Record], reward: str, judge: Judge, prompt: str, weighted: bool
) -> list[Verdict | Counts]:
    """AlpacaEval's preference for each record's completion over the baseline's answer, 0 to 1.

    The order of a pair is the one that the published program draws for its question. `weighted` by the
    probabilities of both letters, where the judge's server gives them; else the letter alone.
    """
    check_pairs(judge, prompt, reward)
    pairs = [pair_of(record, reward) for record in batch]
    places = [k for k, pair in enumerate(pairs) if isinstance(pair, Pair)]
    turned = [switched(pair.question) for pair in pairs if isinstance(pair, Pair)]
    asked = [
        _shown(prompt, reward, pair, own_first=turn)
        for pair, turn in zip((p for p in pairs if isinstance(p, Pair)), turned, strict=True)
    ]
    read = share_by_weight if weighted else share_by_letter
    found: dict[int, Verdict | Counts] = {}
    said = judge.ask(asked, reward, read, likely=weighted)
    for k, turn, share in zip(places, turned, said, strict=True):
        if isinstance(share, str):
            found[k] = Verdict(None, share)
        else:
            found[k] = _preference(1 - share.value if turn else share.value, turn)
    return [
        found[k] if isinstance(pair, Pair) else _unasked(pair, {"won": pair.value})
        for k, pair in enumerate(pairs)
    ]


def switched(question: str) -> bool:
    """Whether alpaca_eval shows the model's answer before the baseline's: drawn from the question."""
    return random.Random(f"is_switched_outputs{question}0").choices([False, True], k=1)[0]


def fought(batch: Sequence[Record], reward: str, judge: Judge, prompt: str) -> list[Verdict | Counts]:
    """Arena-Hard's two games of each record's completion against the baseline's answer, in both orders.

    A part is a game's score for the completion: 1 much better, 0.75 better, 0.5 as good, 0.25 worse, 0 much
    worse. The value is the share of games it won, a tie half; null where one of them has no verdict.
    """
    check_pairs(judge, prompt, reward)
    pairs = [pair_of(record, reward) for record in batch]
    asked = [
        _shown(prompt, reward, pair, own_first=own_first)
        for pair in pairs
        if isinstance(pair, Pair)
        for own_first in (False, True)
    ]
    said = iter(judge.ask(asked, reward, score_by_label))
    return [
        _games(next(said), next(said))
        if isinstance(pair, Pair)
        else _unasked(pair, dict.fromkeys(GAMES, pair.value))
        for pair in pairs
    ]


GAMES = ("second", "first")  # where the completion was shown


def share_by_weight(reply: Reply) -> Share | str:
    """P(M) / (P(m) + P(M)) at the reply's first place, after thinking at its last; else its letter."""
    likely: Mapping[str, float] = reply.last if "</think>" in reply.text else reply.first
    if not likely:
        return share_by_letter(reply)
    chances = [math.exp(likely.get(letter, -math.inf)) for letter in (FIRST, SECOND)]
    if not sum(chances):
        return f"no verdict: neither {FIRST} nor {SECOND} among the likeliest, {', '.join(likely)!r}"
    return Share(chances[1] / sum(chances))


def share_by_letter(reply: Reply) -> Share | str:
    """0 where the reply names the first answer and nothing else, 1 the second."""
    said = split_thinking(reply.text).answer.strip().strip("\"'`*.")
    return Share(float(said == SECOND)) if said in (FIRST, SECOND) else unread(reply.text)


def score_by_label(reply: Reply) -> Share | str:
    """The verdict in double brackets; none where there are two different ones."""
    labels = set(LABEL.findall(split_thinking(reply.text).answer.upper()))
    if len(labels) > 1:
        return f"no verdict: the judge says {', '.join(sorted(labels))}"
    score = LABELS.get(labels.pop()) if labels else None
    return unread(reply.text) if score is None else Share(score)


def won(score: float) -> float:
    """1, a half or 0: by which of two answers is better at all."""
    return 0.5 if score == 0.5 else float(score > 0.5)


def _shown(prompt: str, reward: str, pair: Pair, *, own_first: bool) -> Turns:
    first, second = (pair.own, pair.other) if own_first else (pair.other, pair.own)
    form = form_of(prompt, reward, PLACES)
    return form.filled({"prompt": pair.question, "first": first, "second": second})


def _preference(share: float, own_first: bool) -> Counts:
    shown = "first" if own_first else "second"
    return Counts(share, f"preferred by {share:.4f}, shown {shown}", {"won": won(share)})


def _games(*said: Share | str) -> Counts:
    scores = [
        None if isinstance(each, str) else (1 - each.value if place == "first" else each.value)
        for place, each in zip(GAMES, said, strict=True)
    ]
    known = [score for score in scores if score is not None]
    parts = dict(zip(GAMES, scores, strict=True))
    if len(known) < len(GAMES):
        return Counts(None, next(each for each in said if isinstance(each, str)), parts)
    told = ", ".join(f"{score:g} shown {place}" for place, score in parts.items())
    return Counts(sum(map(won, known)) / len(known), told, parts)


def _unasked(verdict: Verdict, parts: Mapping[str, float | None]) -> Counts:
    return Counts(*verdict, parts)
