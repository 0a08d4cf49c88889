"""Benchmarks of programs: published rows are problems that the reward judges as it should.

The rows are made up in the published form; no data set's text is here.
"""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from stages.evaluation.benchmark import load, open_problems
from stages.formats.export import exported
from stages.programs import suites
from stages.records.record import Record
from stages.rewards.code import code
from stages.rewards.swe_bench import check, swe_bench
from stages.runtime.errors import BadInput, Unavailable, UsageError
from tests.isolation import isolated

STDIN = {"input": "1 2\n", "output": "3\n", "testtype": "stdin"}
LIVE = {
    "question_title": "t", "question_content": "Add two.", "platform": "atcoder", "question_id": "abc_a",
    "contest_id": "abc", "contest_date": "2024-08-03T00:00:00", "starter_code": "", "difficulty": "easy",
    "public_test_cases": json.dumps([STDIN]), "metadata": "{}",
    "private_test_cases": base64.b64encode(
        zlib.compress(pickle.dumps(json.dumps([{**STDIN, "input": "4 5\n", "output": "9\n"}])))
    ).decode(),
}  # fmt: skip
CALL = [{"input": "[1, 2]\n3", "output": "6", "testtype": "functional"}]
FUNCTION = {
    **LIVE, "question_id": "2", "contest_date": "2025-01-31T00:00:00", "private_test_cases": "[]",
    "starter_code": "class Solution:\n    def total(self, a, b):\n        ",
    "metadata": '{"func_name": "total"}', "public_test_cases": json.dumps(CALL),
}  # fmt: skip
FORCES = {
    "id": "7/A", "contest_id": "7", "index": "A", "title": "Sum", "description": "Add them.", "rating": 800,
    "time_limit": 2.0, "memory_limit": 256.0, "input_format": "Two numbers.", "output_format": "Their sum.",
    "examples": [{"input": "1 2", "output": "3"}], "note": None,
    "official_tests": [{"input": "1 2\n", "output": "3\n"}],
}  # fmt: skip
PLUS = {
    "task_id": "HumanEval/0", "prompt": 'def half(x):\n    """ Half of x """\n', "entry_point": "half",
    "canonical_solution": "    return x / 2\n", "base_input": [[2], [3]], "plus_input": [[1e308]], "atol": 0,
}  # fmt: skip
ASSERTION = (
    "import numpy as np\n\ndef is_floats(x):\n    if isinstance(x, float):\n        return True\n"
    "    if isinstance(x, np.ndarray):\n        return x.dtype == np.float64\n    return False\n\n"
    "def assertion(out, exp, atol):\n    exact_match = out == exp\n    if atol == 0 and is_floats(exp):\n"
    "        atol = 1e-6\n    if not exact_match and atol != 0:\n"
    "        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n    else:\n        assert exact_match\n\n"
)
LOOP = "inputs = [[2], [3]]\nresults = [1.0, 1.5]\nfor inp, exp in zip(inputs, results):\n"
HUB = {
    "task_id": 3, "prompt": "Write a function to halve.", "code": "", "test_list": ["assert half(2) == 1"],
    "test": f"{ASSERTION}{LOOP}    assertion(half(*inp), exp, 0)\n",
}  # fmt: skip


def made(name: str, file: str, rows: list[dict[str, Any]], folder: Path, **settings: Any) -> list[Record]:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(open_problems(load(name), data=folder, settings=settings))


def judged(record: Record, program: str) -> float | None:
    return code({**record, "completion": f"```python\n{program}\n```"}).value


def test_livecodebench_has_the_window_the_prompt_and_both_kinds_of_tests(tmp_path: Path) -> None:
    rows = [{**LIVE, "contest_date": "2024-07-31T00:00:00"}, LIVE, FUNCTION]
    first, second = made("livecodebench", "code/livecodebench/test5.jsonl", rows, tmp_path)
    assert (first["id"], second["id"]) == ("livecodebench-abc_a", "livecodebench-2")
    assert first["prompt"].startswith("You will be given a question (problem specification) and will")
    assert "Question: Add two.\n\nRead the inputs from stdin" in first["prompt"]
    assert first["prompt"].endswith("```python\n# YOUR CODE HERE\n```\n\n")
    assert f"```python\n{FUNCTION['starter_code']}\n```" in second["prompt"]
    file = "code/livecodebench/test5.jsonl"
    assert len(made("livecodebench", file, rows, tmp_path, since="2024-08-04", until="2025-01-31")) == 1
    assert len(made("livecodebench", file, rows, tmp_path, since="2024-07", until="2024-08-02")) == 1
    for since, until, says in (("2024-13", "2025", "since=2024-13"), ("2025-01", "2024-12-31", "is after")):
        with pytest.raises(UsageError, match=says):
            made("livecodebench", file, rows, tmp_path, since=since, until=until)
    if isolated():
        assert judged(first, "print(sum(map(int, input().split())))") == 1
        assert judged(first, "print(3)") == 0
        assert judged(second, "class Solution:\n    def total(self, a, b):\n        return sum(a) + b") == 1


def test_hidden_tests_that_are_no_text_or_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "LARGEST", 1000)
    bomb = base64.b64encode(zlib.compress(bytes(5000))).decode()
    with pytest.raises(ValueError, match="unpacked"):
        suites.read({"private_test_cases": bomb})


def test_codeforces_has_what_a_rating_and_a_verdict_need(tmp_path: Path) -> None:
    rows = [FORCES, {**FORCES, "index": "B", "official_tests": []}, {**FORCES, "contest_id": 8}]
    file = "codeforces_test.jsonl"
    first, second = made("codeforces", file, rows, tmp_path)
    assert (first["id"], second["id"], second["contest_id"]) == ("codeforces-7A", "codeforces-8A", "8")
    assert (first["rating"], first["index"], first["language"]) == (800, "A", "cpp")
    assert "- Time limit: 2 seconds\n- Memory limit: 256 megabytes" in first["prompt"]
    assert "## Example\n\n```input\n1 2\n```\n```output\n3\n```" in first["prompt"]
    (python,) = made("codeforces", file, rows, tmp_path, contest="7", language="python")
    assert "complete program in Python 3" in python["prompt"]
    given = [{**FORCES, "prompt": "As given.", "language": each} for each in ("cpp", "python")]
    (own,) = made("codeforces", file, given, tmp_path)
    assert own["prompt"] == "As given."
    with pytest.raises(UsageError, match="language=rust: choose cpp or python"):
        made("codeforces", file, rows, tmp_path, language="rust")
    if isolated():
        assert judged(python, "print(sum(map(int, input().split())))") == 1


def test_evalplus_is_judged_in_both_its_forms_without_numpy(tmp_path: Path) -> None:
    (plus,) = made("humaneval_plus", "HumanEvalPlus.jsonl", [PLUS], tmp_path)
    (hub,) = made("mbpp_plus", "MbppPlus.jsonl", [HUB], tmp_path)
    assert plus["prompt"] == PLUS["prompt"]
    assert hub["prompt"].endswith("should pass these tests:\n\nassert half(2) == 1")
    tuples = {**PLUS, "task_id": "Mbpp/2", "base_input": [[[1], [2]]], "plus_input": []}
    tuples |= {"prompt": '"""\nDo.\n"""\n', "entry_point": "f"}
    tuples["canonical_solution"] = "def f(a, b):\n    return a + b\n"
    (mbpp,) = made("mbpp_plus", "MbppPlus.jsonl", [tuples], tmp_path)
    if isolated():
        for record in (plus, hub):
            assert judged(record, "def half(x):\n    return x * 0.5") == 1
            assert judged(record, "def half(x):\n    return x * 0.50000001") == 1
            assert judged(record, "def half(x):\n    return x // 2") == 0
        assert judged(plus, "    return x / 2") == 1
        assert judged(mbpp, "def f(a, b):\n    return (*a, *b)") == 1
        assert judged(mbpp, "def f(a, b):\n    return [*a, *b]") == 0


def test_patches_go_to_the_harness_and_its_report_comes_back(tmp_path: Path) -> None:
    row = {"instance_id": "a__b-1", "repo": "a/b", "base_commit": "1f", "problem_statement": "It fails."}
    (problem,) = made("swe_bench", "swe_bench_verified.jsonl", [row], tmp_path)
    assert "<issue>\nIt fails.\n</issue>" in problem["prompt"]
    patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n"
    for text in (f"<think>no</think>So:\n<patch>\n{patch}</patch>", f"```diff\n{patch}```\nDone.", patch):
        record = Record({**problem, "completion": text, "model": "m"})
        (row,) = exported([record], "swe-bench")
        assert row == {"instance_id": "a__b-1", "model_name_or_path": "m", "model_patch": patch}
    assert next(exported([Record({**problem, "completion": "None."})], "swe-bench"))["model_patch"] == ""
    report = tmp_path / "m.one.json"
    for ids, value in (
        ({"resolved_ids": ["a__b-1"]}, 1.0),
        ({"unresolved_ids": ["a__b-1"]}, 0.0),
        ({}, None),
    ):
        path = report.with_name(f"{value}.json")
        path.write_text(json.dumps({"resolved_ids": [], **ids}))
        assert swe_bench(record, report=str(path)).value == value
    assert swe_bench(record).value is None
    with pytest.raises(Unavailable, match="needs Docker: write the patches with `r1 export --to swe-bench`"):
        check()
    for text in ("[1]", "x", "{}", '{"resolved_ids": [], "unresolved_ids": 3}'):
        report.write_text(text)
        with pytest.raises(
            UsageError, match=r"swe_bench:report=.*: (not JSON|no resolved_ids|un.* is no list)"
        ):
            swe_bench(record, report=str(report))


@pytest.mark.parametrize(
    ("name", "file", "row", "says"),
    [
        ("livecodebench", "test.jsonl", {**LIVE, "contest_date": "soon"}, "'soon' is no date"),
        ("livecodebench", "test.jsonl", {**LIVE, "question_content": None}, "question_content"),
        ("codeforces", "codeforces_test.jsonl", {**FORCES, "contest_id": None}, "contest_id"),
        ("codeforces", "codeforces_test.jsonl", {**FORCES, "description": 1}, "description"),
        ("humaneval_plus", "HumanEvalPlus.jsonl", {**PLUS, "plus_input": None}, "plus_input"),
        ("humaneval_plus", "HumanEvalPlus.jsonl", {**PLUS, "canonical_solution": "("}, "is no program"),
        ("mbpp_plus", "MbppPlus.jsonl", {**PLUS, "task_id": "Mbpp/2", "base_input": [[1]]}, "none of MBPP"),
        ("mbpp_plus", "MbppPlus.jsonl", {**HUB, "test_list": None}, "test_list"),
    ],
    ids=["date", "question", "contest", "description", "inputs", "solution", "tuples", "asserts"],
)
def test_a_row_that_lacks_something_is_refused(
    name: str, file: str, row: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        made(name, file, [row], tmp_path)
    assert "take the published file" in str(caught.value)
