"""Verdicts of `humaneval_plus` beside evalplus' own checking code, from the same generations, item for item.

    pip install --target FOLDER evalplus
    python tests/bench/plus.py FOLDER [PROBLEMS]

Problems are HumanEval's in the form of HumanEvalPlus.jsonl, with further inputs: those of the first asserts,
and variations of them by chance. Generations are WizardCoder's, the solutions themselves, and solutions that
were broken: the last return is gone, or its value is another. Each item that differs is a line.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from stages.benchmarks import humaneval_plus
from stages.rewards.code import code

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data")) / "code"
THEIRS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from evalplus.eval import PASS, untrusted_check
from evalplus.gen.util import trusted_exec
for line in sys.stdin:
    row = json.loads(line)
    solution = row["prompt"] + row["canonical_solution"]
    inputs = row["base_input"] + row["plus_input"]
    expected, times = trusted_exec(solution, inputs, row["entry_point"], record_time=True)
    for text in row["texts"]:
        said, _ = untrusted_check("humaneval", text, inputs, row["entry_point"], expected, row["atol"], times,
                                  fast_check=True, min_time_limit=4.0)
        print(json.dumps(said == PASS), flush=True)
"""


def inputs(row: dict[str, Any], rng: random.Random) -> list[list[Any]]:
    """Arguments of the calls in the test that are written out, and the same with numbers moved."""
    found = []
    for node in ast.walk(ast.parse(row["test"])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "candidate":
            try:
                args = [ast.literal_eval(each) for each in node.args]
            except ValueError:
                continue
            if json.loads(json.dumps(args)) == args:
                found.append(args)
    return found


def varied(value: Any, rng: random.Random) -> Any:
    if isinstance(value, list):
        return [varied(each, rng) for each in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return max(value + rng.choice((0, 1, 2)), value)


def broken(source: str) -> list[str]:
    """The program without its last return, and with None in place of what it returns."""
    head, mark, tail = source.rpartition("return ")
    return [head + "pass" + "\n", head + mark + "[" + tail.rstrip() + "]\n"] if mark else []


def main() -> None:
    """Prints how many verdicts are equal, and each that is not."""
    folder, most = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 164
    rng = random.Random(1)
    with gzip.open(DATA / "HumanEval.jsonl.gz") as stream:
        rows = [json.loads(line) for line in stream][:most]
    said: dict[str, list[str]] = {}
    for line in (DATA / "wizardcoder_humaneval.jsonl").read_text("utf-8").splitlines():
        said.setdefault(json.loads(line)["task_id"], []).append(json.loads(line)["completion"])
    for row in rows:
        base = inputs(row, rng)
        plus = []
        for args in base[:20]:
            other = varied(args, rng)
            try:
                space: dict[str, Any] = {}
                exec(row["prompt"] + row["canonical_solution"], space)
                space[row["entry_point"]](*json.loads(json.dumps(other)))
            except Exception:
                continue
            plus.append(other)
        solution = row["prompt"] + row["canonical_solution"]
        texts = [solution, *broken(solution), *said.get(row["task_id"], [])[:2]]
        atol = 1e-4 if row["entry_point"] == "find_zero" else 0
        row.update(
            base_input=base,
            plus_input=plus,
            atol=atol,
            texts=[f"{row['prompt']}\n    pass\n\n{each}" for each in texts],
        )
        del row["test"]
    rows = [row for row in rows if row["base_input"]]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run(
        [sys.executable, "-c", THEIRS, folder], input=text.encode(), stdout=subprocess.PIPE, check=True
    )
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "HumanEvalPlus.jsonl").write_text(text)
        records = list(humaneval_plus.problems(data=Path(place)))
    items = [(record, each) for record, row in zip(records, rows, strict=True) for each in row["texts"]]
    apart = 0
    for (record, each), right in zip(items, theirs, strict=True):
        verdict = code({**record, "completion": f"```python\n{each}\n```"})
        if (verdict.value == 1) != right:
            apart += 1
            print(f"{record['id']}: r1 {verdict.value} ({verdict.reason}), evalplus {right}", flush=True)
    inputs_of = sum(len(row["base_input"]) + len(row["plus_input"]) for row in rows)
    print(f"{len(items)} generations on {len(rows)} problems, {inputs_of} inputs: {apart} verdicts differ")
    print(f"evalplus passes {sum(theirs)} of them")


if __name__ == "__main__":
    main()
