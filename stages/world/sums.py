"""Sums of n terms: each step is easy, and none may be left out. The difficulty is n."""

from __future__ import annotations

import random

from stages.world.family import Attempt, Chain, Levels, Piece, Plan, Problem, say, slipped

LEVELS = Levels(2, 4, 20)
HABITS = True
LARGEST = 19


def make(rng: random.Random, difficulty: int, lang: str) -> Problem:
    """The sum of `difficulty` numbers from 1 to 19."""
    terms = [rng.randint(1, LARGEST) for _ in range(difficulty)]
    prompt = say("ask_sum", lang, terms="+".join(map(str, terms)))
    return Problem(tuple(sorted(terms)), prompt, {"answer": str(sum(terms))}, terms)


def work(problem: Problem, plan: Plan, lang: str, rng: random.Random) -> Chain:
    """Running totals. The check adds from the other end; backwards, the terms are taken off again."""
    terms: list[int] = problem.data
    stays = rng.randrange(1, len(terms)) if plan.wrong else 0
    noticed = rng.randrange(1, len(terms)) if plan.backtracking else 0
    attempts: list[Attempt] = []
    steps: list[Piece] = []
    total = terms[0]
    for k, term in enumerate(terms[1:], 1):
        if k == noticed:
            slip = _plus(total, term, slipped(total + term, rng))
            attempts.append(Attempt([*steps, slip], [_plus(term, total, total + term)]))
            steps = []
        reached = slipped(total + term, rng) if k == stays else total + term
        steps.append(_plus(total, term, reached))
        total = reached
    attempts.append(Attempt(steps, _again(terms[::-1], total)))
    return Chain(attempts, str(total), _back(terms, total))


def _plus(a: int, b: int, c: int) -> Piece:
    return "plus", {"a": a, "b": b, "c": c}


def _again(terms: list[int], claimed: int) -> list[Piece]:
    """The sum of `terms` that comes to what is claimed, right or not."""
    said, total = list[Piece](), terms[0]
    for k, term in enumerate(terms[1:], 2):
        reached = claimed if k == len(terms) else total + term
        said.append(_plus(total, term, reached))
        total = reached
    return said


def _back(terms: list[int], claimed: int) -> list[Piece]:
    """From the total down to the first term, where it must end."""
    said, total = list[Piece](), claimed
    for k, term in enumerate(terms[:0:-1], 2):
        reached = terms[0] if k == len(terms) else total - term
        said.append(("minus", {"a": total, "b": term, "c": reached}))
        total = reached
    return said
