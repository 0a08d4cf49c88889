"""Answers made to hang or explode computer algebra harm nobody but themselves."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from stages.records.record import Record
from stages.scoring.scorer import Scorer

GOOD, HOSTILE = 2000, 200
TIMEOUT = 2.0  # a good answer takes milliseconds, but may wait for the processor of a busy machine
WORKERS = 2


def hostile() -> Iterator[str]:
    """200 answers: towers, factorials, nesting, sheer length, sums, binomials, expansions, matrices."""
    for k in range(20):
        yield "9^{" * (3 + k % 5) + "9" + "}" * (3 + k % 5) + f"+{k}"
        yield f"10^{{10^{{{8 + k}}}}} - 10^{{10^{{{7 + k}}}}}"
        yield f"({10 ** (6 + k % 5)}+{k})!" if k % 2 else "(" * 5 + f"{k + 9}!" + ")!" * 5
        yield "(" * (300 * (k + 1)) + "x" + ")" * (300 * (k + 1))
        yield "\\sqrt{1+" * (100 * (k + 1)) + "x" + "}" * (100 * (k + 1))
        yield "\\frac{1}{1+" * (60 * (k + 1)) + "x" + "}" * (60 * (k + 1))
        yield f"\\sum_{{k=1}}^{{10^{{{6 + k}}}}} \\frac{{1}}{{k^{{{k + 2}}}}}"
        yield f"\\binom{{10^{{{7 + k % 4}}}}}{{{5 * 10 ** (6 + k % 4)}}}"
        yield f"(x+y+z+w+{k})^{{{500 * (k + 1)}}}"
        if k < 5:
            yield "x^{2}+\\frac{1}{2}\\sin(x)+" * 37_000 + "1"  # 1 MB
        elif k < 10:
            yield "7" * (200_000 * (k - 4))
        elif k < 15:
            cells = " & ".join(f"x_{{{j}}}^{{{k}}}" for j in range(60))
            yield "\\begin{pmatrix}" + " \\\\ ".join([cells] * 60) + "\\end{pmatrix}"
        else:
            yield "\\cup".join(f"({j},{j}+x^{{{j}}})" for j in range(400))


def good(count: int) -> Iterator[tuple[str, str]]:
    """Answers and references that are equal: numbers, and one in ten for the computer algebra."""
    draw = random.Random(0)
    for k in range(count):
        a, b = draw.randint(2, 99), draw.randint(2, 99)
        yield (f"{a}x + {b}", f"{b}+{a}x") if k % 10 == 0 else (f"{a * b:,}", str(a * b))


@pytest.mark.full
def test_hostile_answers_cost_their_own_verdict_and_no_more_than_their_deadlines() -> None:
    expressions = list(hostile())
    assert len(expressions) == HOSTILE
    records = [
        Record(id=f"good{k}", completion=f"so \\boxed{{{said}}}", answer=gold, good=True)
        for k, (said, gold) in enumerate(good(GOOD))
    ]
    records += [
        Record(id=f"hostile{k}", completion=f"so \\boxed{{{said}}}", answer="x^2+x+1", good=False)
        for k, said in enumerate(expressions)
    ]
    random.Random(1).shuffle(records)
    start = time.monotonic()
    with Scorer(["accuracy"], workers=WORKERS, timeout=TIMEOUT) as scorer:
        scored = list(scorer.score(records))
        lost = scorer.timeouts
    spent = time.monotonic() - start
    print(f"{spent:.1f} s, {lost} of {HOSTILE} without a verdict")
    assert [record["id"] for record in scored] == [record["id"] for record in records]
    assert all(record["reward"] == 1 for record in scored if record["good"])
    values = [record["reward"] for record in scored if not record["good"]]
    assert all(value in (0.0, None) for value in values)
    assert all(r["reasons"]["accuracy"] for r in scored if r["reward"] is None)
    assert spent < HOSTILE * TIMEOUT / WORKERS
