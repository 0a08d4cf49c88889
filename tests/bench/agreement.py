"""Agreement of `accuracy` with known labels, beside math-verify's own, and every case that differs.

    python tests/bench/agreement.py [-v]

Labelled pairs (GSM8K solutions of a model, math-verify's own tests), and free text: the worked solutions of
GSM8K and MATH-500 against their own answers (right) and against the answer of the next problem that has
another (wrong). `-v` prints the differing cases.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.records.record import Record
from stages.scoring.scorer import Scorer

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data"))
Case = tuple[str, str, bool]  # gold, text, label


def lines(name: str) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file of the data folder."""
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def labelled(name: str) -> Iterator[Case]:
    """Pairs with a label."""
    for row in lines(f"grader/{name}.jsonl"):
        yield row["gold"], row["prediction"], bool(row["label"])


def free_text(name: str) -> Iterator[Case]:
    """Each solution against its own answer, and against another's."""
    if name == "gsm8k_test":
        rows = [row["answer"].rsplit("####", 1)[::-1] for row in lines("math/gsm8k_test.jsonl")]
        rows = [[gold.strip(), f"{text.strip()}\nThe answer is {gold.strip()}."] for gold, text in rows]
    else:
        rows = [[row["answer"], row["solution"]] for row in lines("math/math500.jsonl")]
    for k, (gold, text) in enumerate(rows):
        yield gold, text, True
        other = next(g for g, _ in rows[k + 1 :] + rows if g != gold)
        yield other, text, False


def ours(cases: list[Case]) -> list[tuple[float | None, str]]:
    """What `r1 score` says, and why."""
    records = [Record(id=str(k), completion=text, answer=gold) for k, (gold, text, _) in enumerate(cases)]
    with Scorer(["accuracy"]) as scorer:
        return [(r["rewards"]["accuracy"], r["reasons"]["accuracy"]) for r in scorer.score(records)]


def theirs(cases: list[Case]) -> list[float]:
    """A plain math-verify loop, as its README has it."""
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    return [float(verify(parse(gold), parse(text))) for gold, text, _ in cases]


def main() -> None:
    """Prints a line for each set."""
    sets = {name: list(labelled(name)) for name in ("gsm8k_openai", "math_verify_tests")}
    sets |= {name: list(free_text(name)) for name in ("gsm8k_test", "math500")}
    for name, cases in sets.items():
        verdicts, plain = ours(cases), theirs(cases)
        differ = [k for k, (_, _, label) in enumerate(cases) if verdicts[k][0] != float(label)]
        false = sum(verdicts[k][0] == 1 for k in differ)
        peer = sum(plain[k] == float(label) for k, (_, _, label) in enumerate(cases))
        lied = sum(plain[k] == 1 and not label for k, (_, _, label) in enumerate(cases))
        n = len(cases)
        print(
            f"{name}: {n - len(differ)} of {n} ({1 - len(differ) / n:.2%}), {false} false positives; "
            f"math-verify {peer} ({peer / n:.2%}), {lied} false positives",
            flush=True,
        )
        for k in differ if "-v" in sys.argv else ():
            gold, text, label = cases[k]
            value, why = verdicts[k]
            print(f"  {gold!r} | …{text[-100:]!r} | label {label}, got {value}: {why}")


if __name__ == "__main__":
    main()
