"""How fast `r1 score` judges, against a plain math-verify loop on the same completions.

    python tests/bench/score.py [N]

GSM8K-like: worked sums of two to six lines that end in `#### N`, `\\boxed{N}`, "The answer is N." or
a sentence, one in five wrong. Prints both rates, their ratio, and how many verdicts are wrong: the
plain loop reads a wrong `<answer>` past its tag and takes the number of the thinking instead.
"""

from __future__ import annotations

import random
import sys
import time

from stages.records.record import Record
from stages.scoring.scorer import Scorer

ENDS = (
    "#### {}",
    "The answer is {}.",
    "So the answer is \\boxed{{{}}}.",
    "</think>\n<answer>{}</answer>",
    "She has {} clips in all.",
)


def completions(count: int, seed: int = 0) -> list[Record]:
    """`count` records with `completion` and `answer`, the same for the same seed."""
    draw = random.Random(seed)
    made = []
    for k in range(count):
        total = draw.randint(2, 500)
        lines = []
        for _ in range(draw.randint(2, 6)):
            step = draw.randint(2, 400)
            lines.append(f"She buys {step} more clips, so that is {total} + {step} = {total + step}.")
            total += step
        said = total if draw.random() < 0.8 else total + draw.choice((-10, -1, 1, 100))
        end = draw.choice(ENDS)
        start = "<think>\n" if "</think>" in end else ""
        text = start + "\n".join([*lines, end.format(f"{said:,}" if k % 3 == 0 else said)])
        right = float(said == total)
        made.append(Record(id=f"p{k}", completion=text, answer=str(total), right=right))
    return made


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    records = completions(count)
    start = time.perf_counter()
    with Scorer(["accuracy"]) as scorer:
        ours = [record["reward"] for record in scorer.score(records)]
    mine = time.perf_counter() - start

    from math_verify import parse, verify

    start = time.perf_counter()
    theirs = [float(verify(parse(r["answer"]), parse(r["completion"]))) for r in records]
    plain = time.perf_counter() - start
    wrong = [sum(r["right"] != v for r, v in zip(records, each, strict=True)) for each in (ours, theirs)]
    print(f"r1 score     {count / mine:10,.0f} completions/s  {mine:6.2f} s  {wrong[0]} wrong verdicts")
    print(f"math-verify  {count / plain:10,.0f} completions/s  {plain:6.2f} s  {wrong[1]} wrong verdicts")
    print(f"ratio        {plain / mine:10.1f}")


if __name__ == "__main__":
    main()
