"""Knights and knaves: who tells the truth, where one way alone fits. The difficulty is how many people."""

from __future__ import annotations

import itertools
import random
import re
from typing import NamedTuple

from stages.language.letters import compatible
from stages.records.verdict import Verdict
from stages.world.family import Attempt, Chain, Levels, Piece, Plan, Problem, say

LEVELS = Levels(2, 3, 6)
HABITS = True
FAILURES = 2  # suppositions that are turned back from, at most
PEOPLE = "ABCDEFGHJK"  # of whom a problem has some
ROLES = {"en": ("knave", "knight"), "zh": ("无赖", "骑士")}
BETWEEN = {"en": ", ", "zh": "、"}
SPLIT = re.compile(r"[,;、\n]|\band\b|和")
SAID = re.compile(r"([A-HJK])\s*+(?:(?:is\s+an?\b|is|是|:)\s*+)?(knave|knight|无赖|骑士)")

Roles = tuple[bool, ...]  # of each person, whether a knight


class Claim(NamedTuple):
    """What person `who` says: that `a` is a knight or a knave, or that `a` and `b` are alike or differ."""

    who: int
    what: str
    a: int
    b: int

    def true(self, roles: Roles) -> bool:
        """Whether it is so."""
        if self.what in ("alike", "differ"):
            return (roles[self.a] == roles[self.b]) == (self.what == "alike")
        return roles[self.a] == (self.what == "knight")

    def fits(self, roles: Roles) -> bool:
        """Whether a person of that role says so."""
        return self.true(roles) == roles[self.who]


class Island(NamedTuple):
    """A problem's people by their letters, what each says, and who they are."""

    people: str
    claims: list[Claim]
    roles: Roles


def make(rng: random.Random, difficulty: int, lang: str) -> Problem:
    """Claims of `difficulty` people, one each, which one assignment of roles alone fits.

    What they are called is not part of the key: claims that differ only in names are one problem.
    """
    people = "".join(sorted(rng.sample(PEOPLE, difficulty)))
    while True:
        claims = [_claim(who, difficulty, rng) for who in range(difficulty)]
        ways = [each for each in _all(difficulty) if all(claim.fits(each) for claim in claims)]
        if len(ways) == 1:
            break
    said = ("" if lang == "zh" else " ").join(
        say(f"claim_{each.what}", lang, who=people[each.who], a=people[each.a], b=people[each.b])
        for each in claims
    )
    prompt = say("ask_knights", lang, claims=said)
    fields = {"answer": _named(people, ways[0], lang)}
    return Problem(tuple(claims), prompt, fields, Island(people, claims, ways[0]))


def work(problem: Problem, plan: Plan, lang: str, rng: random.Random) -> Chain:
    """Suppositions, each tried on the claims up to the first that does not fit. Checked once more."""
    island: Island = problem.data
    others = [each for each in _all(len(island.roles)) if each != island.roles]
    misses = rng.sample(others, rng.randint(1, FAILURES)) if plan.backtracking else []
    given = rng.choice(others) if plan.wrong else island.roles
    attempts = [_tried(island, each) for each in misses]
    heard = _heard(island, given)
    attempts.append(Attempt([_supposed(island, given), *heard], heard))
    return Chain(attempts, _named(island.people, given, lang), heard[::-1])


def judge(gold: str, answer: str) -> Verdict:
    """1 where each person is given the role that the reference gives, once; null where that gives none."""
    want = {match[1]: match[2] for match in SAID.finditer(gold)}
    if not want:
        return Verdict(None, f"the reference {gold[:80]!r} gives no roles")
    roles: dict[str, str] = {}
    for part in SPLIT.split(compatible(answer).strip(" .。\n")):
        said = SAID.fullmatch(part.strip())
        if said is None or said[1] in roles:
            return Verdict(0.0, f"{answer[:80]!r} does not give each person one role")
        roles[said[1]] = said[2]
    same = roles.keys() == want.keys() and all(_role(roles[who]) == _role(want[who]) for who in want)
    return Verdict(float(same), f"{answer[:80]!r} {'is' if same else 'is not'} {gold!r}")


def _role(word: str) -> bool:
    return word in (ROLES["en"][1], ROLES["zh"][1])


def _all(count: int) -> list[Roles]:
    return list(itertools.product((False, True), repeat=count))


def _claim(who: int, count: int, rng: random.Random) -> Claim:
    """About another, or about two, of whom the speaker may be one."""
    what = rng.choice(("knight", "knave", "alike", "differ"))
    if what in ("alike", "differ"):
        return Claim(who, what, *sorted(rng.sample(range(count), 2)))
    other = rng.choice([each for each in range(count) if each != who])
    return Claim(who, what, other, other)


def _named(people: str, roles: Roles, lang: str) -> str:
    gap = " " if lang == "en" else ""
    return BETWEEN[lang].join(
        f"{who}{gap}{ROLES[lang][role]}" for who, role in zip(people, roles, strict=True)
    )


def _supposed(island: Island, roles: Roles) -> Piece:
    return "suppose", {"roles": {lang: _named(island.people, roles, lang) for lang in ROLES}}


def _tried(island: Island, roles: Roles) -> Attempt:
    """The claims under a supposition, to the first that does not fit it."""
    steps = [_supposed(island, roles)]
    for claim in island.claims:
        steps.append(_found(island, claim, claim.true(roles)))
        if not claim.fits(roles):
            break
    return Attempt(steps, steps[-1:])


def _heard(island: Island, roles: Roles) -> list[Piece]:
    """Each claim as true or false as its speaker's role makes it: what has to be found, or is said to be."""
    return [_found(island, claim, roles[claim.who]) for claim in island.claims]


def _found(island: Island, claim: Claim, true: bool) -> Piece:
    return "holds" if true else "fails", {"who": island.people[claim.who]}
