"""Countdown: a target from given numbers by + - and *, which takes search. The difficulty is how many."""

from __future__ import annotations

import ast
import operator
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from stages.language.letters import compatible
from stages.records.verdict import Verdict
from stages.world.family import Attempt, Chain, Levels, Piece, Plan, Problem, say

LEVELS = Levels(2, 3, 6)
HABITS = True
LARGEST, HIGHEST = 12, 99  # of the numbers given, and of any result on the way
FAILURES = 3  # attempts that are turned back from, at most
TRIES = 100  # of ways within bounds: two numbers may have none that misses
LONGEST = 200  # characters of an expression that are read
NAMES = {"+": "plus", "-": "minus", "*": "times"}
SIGNS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
SIGN_OF: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


class Step(NamedTuple):
    """One operation on two numbers at hand, and what it gives."""

    a: int
    sign: str
    b: int
    c: int


class Way(NamedTuple):
    """Operations, and the expression that they make."""

    steps: list[Step]
    text: str
    value: int


def make(rng: random.Random, difficulty: int, lang: str) -> Problem:
    """`difficulty` numbers from 1 to 12, of which a target from 2 to 99 can be made."""
    exact = rng.random() < 0.5
    while True:
        numbers = [rng.randint(1, LARGEST) for _ in range(difficulty)]
        used = numbers if exact else rng.sample(numbers, rng.randint(2, difficulty))
        way = _way(used, rng)
        if way is not None and way.value > 1 and way.value not in numbers:
            break
    between = ", " if lang == "en" else "、"
    name = "ask_countdown_exact" if exact else "ask_countdown"
    prompt = say(name, lang, target=way.value, numbers=between.join(map(str, numbers)))
    rule = {"numbers": numbers, "target": way.value, "exact": exact}
    fields = {"world": rule, "solution": _bare(way.text)}
    return Problem((sorted(numbers), way.value, exact), prompt, fields, (numbers, way))


def work(problem: Problem, plan: Plan, lang: str, rng: random.Random) -> Chain:
    """Ways that miss the target, then one that reaches it, or in a wrong text misses it too and is the answer
    all the same. The check evaluates the expression."""
    numbers, right = problem.data
    ways = _misses(numbers, right.value, rng.randint(1, FAILURES) if plan.backtracking else 0, rng)
    ways += _misses(numbers, right.value, 1, rng) if plan.wrong else [right]
    attempts, way = [_attempt(each) for each in ways], ways[-1]
    backward: list[Piece] = [("needs", step._asdict()) for step in reversed(way.steps)]
    return Chain(attempts, _bare(way.text), backward)


def judge(rule: Mapping[str, Any], answer: str) -> Verdict:
    """1 for an expression of the numbers, used as often as is said, that is the target exactly."""
    text = compatible(answer).replace("×", "*").replace("÷", "/").strip(" .。")
    left, equals, right = text.partition("=")
    if equals and right.strip() != str(rule["target"]):
        return Verdict(0.0, f"{right.strip()[:40]!r} is not the target {rule['target']}")
    if len(left) > LONGEST or not re.fullmatch(r"[\d+\-*/() ]+", left):
        return Verdict(0.0, f"{answer[:80]!r} is no expression of + - * / and brackets")
    try:
        tree = ast.parse(left.strip(), mode="eval").body
        used = Counter(_numbers(tree))
        given = Counter(rule["numbers"])
        if used - given or (rule["exact"] and given - used):
            often = "exactly" if rule["exact"] else "at most"
            return Verdict(0.0, f"{left.strip()!r} does not use each number {often} once")
        value = _value(tree)
    except (SyntaxError, ValueError):
        return Verdict(0.0, f"{left.strip()!r} is no expression of + - * / and brackets")
    except ZeroDivisionError:
        return Verdict(0.0, f"{left.strip()!r} divides by 0")
    return Verdict(float(value == rule["target"]), f"{left.strip()} is {value}, the target {rule['target']}")


def _numbers(tree: ast.expr) -> list[int]:
    """The numbers of an expression. Raises ValueError for what is no plain arithmetic."""
    if isinstance(tree, ast.BinOp) and type(tree.op) in SIGNS:
        return _numbers(tree.left) + _numbers(tree.right)
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return [tree.value]
    raise ValueError


def _value(tree: ast.expr) -> Fraction:
    if isinstance(tree, ast.BinOp):
        value: Fraction = SIGNS[type(tree.op)](_value(tree.left), _value(tree.right))
        return value
    return Fraction(_numbers(tree)[0])


def _way(numbers: list[int], rng: random.Random, *, bounded: bool = True) -> Way | None:
    """Operations that leave one number of these; None where one on the way is out of bounds."""
    left = [(value, str(value)) for value in numbers]
    steps: list[Step] = []
    while len(left) > 1:
        rng.shuffle(left)
        (b, right), (a, text) = sorted((left.pop(), left.pop()), key=lambda each: each[0])
        sign = rng.choice("+-*")
        c = SIGN_OF[sign](a, b)
        if bounded and not 0 < c <= HIGHEST:
            return None
        steps.append(Step(a, sign, b, c))
        left.append((c, f"({text}{sign}{right})"))
    return Way(steps, left[0][1], left[0][0])


def _misses(numbers: list[int], target: int, count: int, rng: random.Random) -> list[Way]:
    """`count` ways with all the numbers that do not reach the target."""
    found: list[Way] = []
    tries = 0
    while len(found) < count:
        tries += 1
        way = _way(list(numbers), rng, bounded=tries < TRIES)
        if way is not None and way.value != target:
            found.append(way)
    return found


def _attempt(way: Way) -> Attempt:
    steps: list[Piece] = [(NAMES[step.sign], step._asdict()) for step in way.steps]
    return Attempt(steps, [("equals", {"a": _bare(way.text), "c": way.value})])


def _bare(text: str) -> str:
    """An expression without the brackets around all of it."""
    return text[1:-1] if text.startswith("(") else text
