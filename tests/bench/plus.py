"""Verdicts of `humaneval_plus` and `mbpp_plus` beside evalplus' own checking code, from the same generations.

    pip install --target FOLDER evalplus
    python tests/bench/plus.py FOLDER [SET [PROBLEMS]]

SET is humaneval, the default, or mbpp. Problems are those sets' in the form of the package's files, with
further inputs: those of the asserts, and variations of them by chance. Generations are the solutions
themselves; solutions that were broken: the last return is gone, or its value is another; of HumanEval
WizardCoder's, and of MBPP the solutions with what they return changed a little: another type, a small number
more, the other way round. Each item that differs is a line. PROBLEMS are taken from all over the set; of MBPP
those that the package judges in ways of their own are always among them.
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

from stages.benchmarks import humaneval_plus, mbpp_plus
from stages.formats import evalplus
from stages.rewards.code import code

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data")) / "code"
THEIRS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from evalplus.data.mbpp import mbpp_deserialize_inputs
from evalplus.eval import PASS, untrusted_check
from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
from evalplus.gen.util import trusted_exec
for line in sys.stdin:
    row = json.loads(line)
    solution = row["prompt"] + row["canonical_solution"]
    inputs = row["base_input"] + row["plus_input"]
    if sys.argv[2] == "mbpp":
        inputs = mbpp_deserialize_inputs(row["task_id"], inputs)
    entry = row["entry_point"]
    filled = sys.argv[2] == "mbpp" and entry in MBPP_OUTPUT_NOT_NONE_TASKS
    try:
        expected, times = trusted_exec(solution, inputs, entry, record_time=True, output_not_none=filled)
    except Exception:
        print(json.dumps([None] * len(row["texts"])), flush=True)
        continue
    said = [
        untrusted_check(sys.argv[2], text, inputs, entry, expected, row["atol"], times, fast_check=True,
                        min_time_limit=4.0)[0] == PASS
        for text in row["texts"]
    ]
    print(json.dumps(said), flush=True)
"""
RETURNED = (
    "x", "list(x) if isinstance(x, tuple) else x", "x + 5e-7 if isinstance(x, float) else x", "None", "0",
    "x is not None", "x[::-1] if isinstance(x, (tuple, list, str)) else x",
    "float(x) if type(x) is int else x", "x + 2e-6 if isinstance(x, float) else bool(x)",
)  # fmt: skip


def inputs(test: str, called: str) -> list[list[Any]]:
    """Arguments of the calls in the test that are written out."""
    found = []
    for node in ast.walk(ast.parse(test)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == called:
            try:
                args = [ast.literal_eval(each) for each in node.args]
                found.append(json.loads(json.dumps(args)))
            except (TypeError, ValueError):
                continue
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


def humaneval(most: int, rng: random.Random) -> list[dict[str, Any]]:
    """Rows of the package's form, with `texts` to be judged."""
    with gzip.open(DATA / "HumanEval.jsonl.gz") as stream:
        rows = [json.loads(line) for line in stream][:most]
    said: dict[str, list[str]] = {}
    for line in (DATA / "wizardcoder_humaneval.jsonl").read_text("utf-8").splitlines():
        said.setdefault(json.loads(line)["task_id"], []).append(json.loads(line)["completion"])
    for row in rows:
        solution = row["prompt"] + row["canonical_solution"]
        base = inputs(row["test"], "candidate")
        texts = [solution, *broken(solution), *said.get(row["task_id"], [])[:2]]
        row.update(
            base_input=base,
            plus_input=further(solution, row["entry_point"], base, rng),
            atol=1e-4 if row["entry_point"] == "find_zero" else 0,
            texts=[f"{row['prompt']}\n    pass\n\n{each}" for each in texts],
        )
        del row["test"]
    return rows


def mbpp(most: int, rng: random.Random) -> list[dict[str, Any]]:
    """As `humaneval`."""
    lines = (DATA / "mbpp.jsonl").read_text("utf-8").splitlines()
    found = []
    for row in map(json.loads, lines):
        test = "\n".join(row["test_list"])
        own = [node.name for node in ast.walk(ast.parse(row["code"])) if isinstance(node, ast.FunctionDef)]
        entry = next((name for name in own if f"{name}(" in row["test_list"][0]), "")
        base = inputs(test, entry)
        if entry and base:
            found.append({"row": row, "entry": entry, "base": base})
    special = [each for each in found if each["entry"] in evalplus.KINDS["mbpp"]]
    taken = [each for each in found if each not in special][:: max(1, len(found) // most)]
    made = []
    for each in [*special, *taken]:
        code_of, entry = each["row"]["code"].replace("\r\n", "\n") + "\n", each["entry"]
        changed = [
            f"{code_of}\nplain = {entry}\ndef {entry}(*args):\n    x = plain(*args)\n    return {value}\n"
            for value in RETURNED
        ]
        made.append({
            "task_id": f"Mbpp/{each['row']['task_id']}", "prompt": f'"""\n{each["row"]["text"]}\n"""\n',
            "entry_point": entry, "canonical_solution": code_of, "base_input": each["base"], "atol": 0,
            "plus_input": further(code_of, entry, each["base"], rng),
            "texts": [code_of, *broken(code_of), *changed],
        })  # fmt: skip
    return made


def further(solution: str, entry: str, base: list[list[Any]], rng: random.Random) -> list[list[Any]]:
    """Variations of the inputs that the solution, which is a published one, does not fail on."""
    made = []
    for args in base[:20]:
        other = varied(args, rng)
        try:
            space: dict[str, Any] = {}
            exec(solution, space)
            space[entry](*json.loads(json.dumps(other)))
        except Exception:
            continue
        made.append(other)
    return made


def main() -> None:
    """Prints how many verdicts are equal, and each that is not."""
    folder, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "humaneval"
    most = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    rows = (mbpp if name == "mbpp" else humaneval)(most, random.Random(1))
    rows = [row for row in rows if row["base_input"]]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run(
        [sys.executable, "-c", THEIRS, folder, name], input=text.encode(), stdout=subprocess.PIPE, check=True
    )
    theirs = [right for line in done.stdout.splitlines() for right in json.loads(line)]
    source, file = (
        (mbpp_plus, "MbppPlus.jsonl") if name == "mbpp" else (humaneval_plus, "HumanEvalPlus.jsonl")
    )
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / file).write_text(text)
        records = list(source.problems(data=Path(place)))
    items = [(record, each) for record, row in zip(records, rows, strict=True) for each in row["texts"]]
    apart, judged = 0, 0
    for (record, each), right in zip(items, theirs, strict=True):
        if right is None:  # the package's inputs are none of the solution's
            continue
        judged += 1
        verdict = code({**record, "completion": f"```python\n{each}\n```"})
        if (verdict.value == 1) != right:
            apart += 1
            print(f"{record['id']}: r1 {verdict.value} ({verdict.reason}), evalplus {right}: {each[-80:]!r}")
    inputs_of = sum(len(row["base_input"]) + len(row["plus_input"]) for row in rows)
    print(f"{judged} generations on {len(rows)} problems, {inputs_of} inputs: {apart} verdicts differ")
    print(f"evalplus passes {sum(map(bool, theirs))} of them")


if __name__ == "__main__":
    main()
