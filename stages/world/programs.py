"""Small programs: a function of one number in steps, with tests. The difficulty is the number of steps."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from stages.world.family import Attempt, Chain, Levels, Piece, Plan, Problem, say

LEVELS = Levels(1, 2, 8)
HABITS = True
TRIED = (0, 1, 2, 5, 8, 11, -3, 20)  # what the function is called with
FARTHEST = 10**9  # of any value on the way
LARGEST = 12  # number in a step
SHOWN = 5  # the argument that a check goes through
OPERATIONS: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "plus": ("x+{k}", lambda x, k: x + k),
    "minus": ("x-{k}", lambda x, k: x - k),
    "times": ("x*{k}", lambda x, k: x * k),
    "rest": ("x%{k}", lambda x, k: x % k),
    "most": ("min(x,{k})", min),
    "square": ("x*x", lambda x, _: x * x),
    "size": ("abs(x)", lambda x, _: abs(x)),
}


class Operation(NamedTuple):
    """One step: its name, and the number in it."""

    name: str
    k: int

    @property
    def code(self) -> str:
        """The line of the program."""
        return "x=" + OPERATIONS[self.name][0].format(k=self.k)

    def on(self, x: int) -> int:
        """What it makes of `x`."""
        return OPERATIONS[self.name][1](x, self.k)

    def told(self, lang: str) -> str:
        """What the problem says of it."""
        return say(f"op_{self.name}", lang, k=self.k)


def make(rng: random.Random, difficulty: int, lang: str) -> Problem:
    """`difficulty` operations, in which each counts: without one, some test would come out otherwise."""
    while True:
        steps = [Operation(rng.choice(list(OPERATIONS)), rng.randint(2, LARGEST)) for _ in range(difficulty)]
        values = _values(steps)
        shorter = [_values(steps[:k] + steps[k + 1 :]) for k in range(difficulty)]
        if values not in shorter and max(map(abs, values)) <= FARTHEST:
            break
    between = ", then " if lang == "en" else "，再"
    prompt = say("ask_program", lang, steps=between.join(each.told(lang) for each in steps))
    tests = [f"assert f({x}) == {y}" for x, y in zip(TRIED, values, strict=True)]
    fields = {"tests": tests, "solution": _source(steps)}
    key = tuple(each.code for each in steps)
    return Problem(key, prompt, fields, steps)


def work(problem: Problem, plan: Plan, lang: str, rng: random.Random) -> Chain:
    """Each step as a line of code. The check runs an example; backwards, it begins at what is returned."""
    steps: list[Operation] = problem.data
    written = _slip(steps, rng) if plan.wrong else steps
    attempts: list[Attempt] = []
    begun = 0
    if plan.backtracking:
        noticed = rng.randrange(len(steps))
        slip = _slip(steps[noticed : noticed + 1], rng)[0]
        lines = [_line(each, each) for each in steps[:noticed]]
        shown = ("line", {"what": _in_both(steps[noticed]), "code": steps[noticed].code})
        attempts.append(Attempt([*lines, _line(steps[noticed], slip)], [shown]))
        begun = noticed
    lines = [_line(asked, each) for asked, each in zip(steps, written, strict=True)][begun:]
    attempts.append(Attempt(lines, _run(written)))
    after = ["return x", *(each.code for each in written[::-1])]
    backward: list[Piece] = [("before", {"after": late, "code": early}) for late, early in pairwise(after)]
    return Chain(attempts, _block(_source(written)), backward)


def _values(steps: list[Operation]) -> list[int]:
    found = []
    for x in TRIED:
        for each in steps:
            x = each.on(x)
        found.append(x)
    return found


def _slip(steps: list[Operation], rng: random.Random) -> list[Operation]:
    """The steps with one of them another, so that some test fails."""
    while True:
        k = rng.randrange(len(steps))
        other = Operation(rng.choice(list(OPERATIONS)), rng.randint(2, LARGEST))
        changed = [*steps[:k], other, *steps[k + 1 :]]
        if _values(changed) != _values(steps):
            return changed


def _in_both(step: Operation) -> dict[str, str]:
    return {"en": step.told("en"), "zh": step.told("zh")}


def _line(asked: Operation, written: Operation) -> Piece:
    return "line", {"what": _in_both(asked), "code": written.code}


def _run(steps: list[Operation]) -> list[Piece]:
    said, x = list[Piece](), SHOWN
    for each in steps:
        said.append(("gives", {"a": x, "b": each.on(x)}))
        x = each.on(x)
    return said


def _source(steps: list[Operation]) -> str:
    return "def f(x):\n" + "".join(f" {each.code}\n" for each in steps) + " return x\n"


def _block(source: str) -> str:
    return f"\n```python\n{source}```\n"
