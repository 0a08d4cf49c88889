"""Documents as a base model's corpus has them: right and wrong, with chosen shares of the four habits.

Each share is kept exactly in every hundred documents of a family: of all for `wrong`, `think`, `broken` and
`chinese`, of those that think for the others. Each is drawn on its own, so a wrong answer may have any habit.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import cycle

from stages.records.record import seed_of
from stages.runtime.errors import UsageError
from stages.world.family import LANGUAGES, Chain, Family, Piece, Plan, Problem, say

BLOCK = 100  # documents in which each share is exact
HABITS = ("verification", "subgoals", "backtracking", "backward")
# What each kind of corpus has where nothing else is asked for.
KINDS: dict[str, dict[str, float]] = {
    "none": {"chinese": 0.3},
    "clean": {"chinese": 0.3, "think": 1.0},
    "noisy": {
        "chinese": 0.3, "think": 0.7, "wrong": 0.4, "broken": 0.1, "mixed": 0.3, "verification": 0.2,
        "subgoals": 0.2, "backtracking": 0.2, "backward": 0.1,
    },
}  # fmt: skip
SHARES = tuple(KINDS["noisy"])
NUMERALS = "零一二三四五六七八九十"


class Shares:
    """Says yes as often as each share asks, in an order that the seed names."""

    def __init__(self, kind: str, asked: Mapping[str, float], seed: int) -> None:
        """Raises UsageError for a kind of corpus or a share that there is not."""
        if kind not in KINDS:
            raise UsageError(f"worked={kind}: choose {', '.join(KINDS)}")
        for name, share in asked.items():
            if not 0 <= share <= 1 or abs(share * BLOCK - round(share * BLOCK)) > 1e-9:
                raise UsageError(f"{name}={share:g}: give hundredths from 0 to 1, such as 0.25")
        self._shares = {**dict.fromkeys(SHARES, 0.0), **KINDS[kind], **asked}
        self._seed = seed
        self._coming: dict[tuple[str, str], list[bool]] = {}
        self._blocks: dict[tuple[str, str], int] = {}

    def draw(self, name: str, stream: str) -> bool:
        """The next answer for the share `name` among the documents of `stream`."""
        key = (name, stream)
        if not self._coming.get(key):
            yes = round(self._shares[name] * BLOCK)
            number = self._blocks[key] = self._blocks.get(key, -1) + 1
            block = [k < yes for k in range(BLOCK)]
            random.Random(seed_of("share", name, stream, self._seed, number)).shuffle(block)
            self._coming[key] = block
        return self._coming[key].pop()

    def plan(self, family: str, *, habits: bool) -> Plan:
        """The next document of a family."""
        wrong, broken = self.draw("wrong", family), self.draw("broken", family)
        if not self.draw("think", family):
            return Plan(wrong=wrong, broken=broken, think=False)
        chosen = {name: self.draw(name, family) for name in HABITS} if habits else {}
        return Plan(wrong=wrong, broken=broken, mixed=self.draw("mixed", family), **chosen)


def document(family: Family, problem: Problem, plan: Plan, lang: str, rng: random.Random) -> str:
    """The completion of a problem that `plan` describes."""
    chain = family.work(problem, plan, lang, rng)
    end = f"<answer>{chain.answer}</answer>"
    if not plan.think:
        return chain.answer if plan.broken else end
    said = _said(chain, plan)
    if plan.mixed and len(said) < 2:
        said.append(("so", {"answer": chain.answer.strip()}))
    other = [each for each in LANGUAGES if each != lang]
    turns = cycle([lang, *other] if plan.mixed else [lang])
    thinking = "".join(say(name, next(turns), **parts) for name, parts in said).strip(", ，")
    if plan.broken:  # forgets to say that it is done thinking, or to mark the answer
        return (
            f"<think>{thinking} {end}" if rng.random() < 0.5 else f"<think>{thinking}</think>{chain.answer}"
        )
    return f"<think>{thinking}</think>{end}"


def _said(chain: Chain, plan: Plan) -> list[Piece]:
    """The pieces of the chain with the phrases of the habits that the plan has."""
    said: list[Piece] = []
    if plan.backward:
        said += [("backwards", {}), *chain.backward]
    number = 0
    for k, attempt in enumerate(chain.attempts):
        for step in attempt.steps:
            number += 1
            if plan.subgoals:
                said.append(("step", {"i": {"en": number, "zh": _numeral(number)}}))
            said.append(step)
        if plan.verification:
            said += [("check", {}), *attempt.check]
        if k < len(chain.attempts) - 1:
            said.append(("wrong", {}))
    return said


def _numeral(number: int) -> str:
    tens, ones = divmod(number, 10)
    if number <= 10:
        return NUMERALS[number]
    return (NUMERALS[tens] if tens > 1 else "") + "十" + (NUMERALS[ones] if ones else "")
