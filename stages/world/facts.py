"""Questions of fact from a fixed table, asked in several ways. The difficulty is how many at once."""

from __future__ import annotations

import random
import re
from typing import Any

from stages.records.verdict import Verdict
from stages.world.family import Attempt, Chain, Levels, Piece, Plan, Problem, table

LEVELS = Levels(1, 2, 5)
HABITS = False
BETWEEN = {"en": ", ", "zh": "、"}
SPLIT = re.compile(r"[,;、，；\n]|\band\b|和")


def make(rng: random.Random, difficulty: int, lang: str) -> Problem:
    """`difficulty` facts of one relation in one of its wordings, which is part of what is asked."""
    name = rng.choice(sorted(table("facts")))
    relation = table("facts")[name]
    rows = rng.sample(relation["rows"], difficulty)
    wordings = relation["ask"][lang]
    wording = rng.randrange(len(wordings))
    subjects, values = (_joined(rows, column, lang) for column in (0, 1))
    prompt = wordings[wording].format(subject=subjects)
    return Problem((name, lang, wording, subjects), prompt, {"answer": values}, (relation["rows"], rows))


def work(problem: Problem, plan: Plan, lang: str, rng: random.Random) -> Chain:
    """The facts recalled one after another; a slip takes the value of another subject."""
    every, rows = problem.data
    if plan.wrong:
        k = rng.randrange(len(rows))
        other = rng.choice([each for each in every if each[1] != rows[k][1]])
        rows = [*rows[:k], [rows[k][0], other[1]], *rows[k + 1 :]]
    steps: list[Piece] = [
        ("recall", {"subject": _in_both(subject), "value": _in_both(value)}) for subject, value in rows
    ]
    return Chain([Attempt(steps)], _joined(rows, 1, lang))


def judge(gold: str, answer: str) -> Verdict:
    """1 where the answer is the reference: each fact in its place, and none besides."""
    want, given = _items(gold), _items(answer)
    says = "is" if want == given else "is not"
    return Verdict(float(want == given), f"{answer[:80]!r} {says} {gold!r}")


def _items(text: str) -> list[str]:
    return [each.strip(" .。!！").casefold() for each in SPLIT.split(text.strip())]


def _in_both(pair: str) -> dict[str, str]:
    """A cell of the table, `France 法国`, by language; one without Chinese is the same in both."""
    en, _, zh = pair.partition(" ")
    return {"en": en, "zh": zh or en}


def _joined(rows: list[Any], column: int, lang: str) -> str:
    return BETWEEN[lang].join(_in_both(row[column])[lang] for row in rows)
