"""A program is paid for passing its tests, and for nothing else."""

from __future__ import annotations

import base64
import gzip
import json
import math
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from hacks import FUNCTIONS, PROGRAMS
from hypothesis import given
from hypothesis import strategies as st

from stages.programs import suites
from stages.programs.outputs import difference
from stages.records.record import Record
from stages.records.verdict import Verdict
from stages.rewards.code import _ending, code
from stages.runtime.errors import BadInput, Unavailable
from stages.sandbox.box import Box, Outcome, compiler
from stages.scoring.scorer import Scorer
from stages.scoring.spec import arguments

try:
    with Box() as probed:
        probed.probe()
except Unavailable as error:
    pytest.skip(str(error), allow_module_level=True)

cpp = pytest.mark.skipif(compiler() is None, reason="no g++ here")

SUM = {"tests": [{"input": "3 4\n", "output": "7\n"}, {"input": "10 20\n", "output": "30\n"}]}
ASSERTS = {"test_list": [
    "assert double(2) == 4", "assert double(3) == 6 and double([]) != double(2)",
    "assert abs(double(1) - 2) < 1e-6",
    "assert sorted([double(3), double(1), double(2)]) == [2, 4, 6]",
]}  # fmt: skip
CHECK = {
    "prompt": 'def double(x):\n    """ Twice x """\n', "entry_point": "double",
    "test": "def check(candidate):\n    assert all(candidate(k) == 2 * k for k in range(1, 9))\n"
    "    xs = [1, 2]\n    assert candidate(xs) == [1, 2, 1, 2]\n",
}  # fmt: skip
CALLS = {"verification_info": {"language": "python", "test_cases": [
    {"input": "2", "output": "4", "type": "function_call", "fn_name": "double"},
    {"input": '"ab"', "output": '"abab"', "type": "function_call", "fn_name": "double"},
]}}  # fmt: skip


SLOW = (
    "for ever",
    "without end",
    "forges",
    "half",
    "stops",
    "floods",
    "slowly",
    "huge",
    "more than",
)


def judge(tests: dict[str, Any], source: str, tag: str = "python", **options: Any) -> Verdict:
    """The verdict on a program in a block of code."""
    return code(
        Record({**tests, "completion": f"Here:\n```{tag}\n{source}\n```\n"}), **arguments(code, options)
    )


def some(names: dict[str, str], every: int) -> list[Any]:
    """All names; the fast tier takes one in `every` of those that end at once."""
    quick = [name for name in names if not any(word in name for word in SLOW)][::every]
    return [pytest.param(name, marks=() if name in quick else pytest.mark.full) for name in names]


def test_the_solution_of_what_is_hacked_below_is_paid() -> None:
    for tests in (ASSERTS, CHECK, CALLS):
        verdict = judge(tests, "def double(x):\n    return x + x")
        assert verdict.value == 1, verdict
    assert judge(SUM, "print(sum(map(int, input().split())))").value == 1


@pytest.mark.parametrize("name", some(FUNCTIONS, 8))
def test_no_hack_of_a_function_is_paid(name: str) -> None:
    forms = (ASSERTS, CHECK, CALLS)
    for tests in forms[:1] if any(word in name for word in SLOW) else forms:
        verdict = judge(tests, FUNCTIONS[name], seconds=1.0)
        assert verdict.value == 0, verdict


@pytest.mark.parametrize("name", some(PROGRAMS, 5))
def test_no_hack_of_a_program_is_paid(name: str) -> None:
    verdict = judge(SUM, PROGRAMS[name], seconds=1.0)
    assert verdict.value == 0, verdict
    share = judge(SUM, PROGRAMS[name], seconds=1.0, credit="fraction").value
    assert share is not None
    assert share < 1


@cpp
@pytest.mark.full
def test_cpp_is_compiled_and_run_and_its_errors_are_told_apart() -> None:
    good = "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }"
    assert judge(SUM, good, "cpp").value == 1
    wrong = judge(SUM, good.replace("a + b", "a - b"), "c++")
    assert (wrong.value, wrong.reason) == (0, "test 1 of 2: wrong output: line 1: '-1' is not '7'")
    broken = judge(SUM, good.replace("int a, b;", "int a"), "cpp")
    assert broken.value == 0
    assert "does not compile" in broken.reason
    crash = judge(SUM, "int main() { int *p = 0; return *p; }", "cpp")
    assert crash.reason == "test 1 of 2: ended with signal 11"
    include = judge(SUM, '#include "/etc/passwd"\nint main() {}', "cpp")
    assert "does not compile" in include.reason
    assert "root:" not in include.reason
    recursion = (
        "#include <cstdio>\nint f(int n) { volatile char pad[32]; pad[0] = 0; return n ? f(n - 1) + "
        '1 + pad[0] : 0; }\nint main() { int a, b; scanf("%d %d", &a, &b); printf("%d", '
        "f(300000) - 300000 + a + b); }"
    )
    assert judge(SUM, recursion, "cpp").value == 1


def test_a_syntax_error_is_told_apart_from_a_wrong_answer() -> None:
    assert "does not compile: SyntaxError" in judge(SUM, "print(").reason
    assert judge(SUM, "print(8)").reason == "test 1 of 2: wrong output: line 1: '8' is not '7'"
    assert "ended with code 1: ValueError" in judge(SUM, "int('x')").reason


def test_limits_are_those_of_the_option_then_of_the_problem() -> None:
    spin = "while True: pass"
    assert judge(SUM, spin, seconds=0.2).reason == "test 1 of 2: over the time limit of 0.2 s"
    assert "limit of 0.25 s" in judge({**SUM, "time_limit": 0.25}, spin).reason
    hungry = "x = bytearray(200 << 20)\nprint(sum(map(int, input().split())))"
    assert judge(SUM, hungry).value == 1
    assert "MemoryError" in judge({**SUM, "memory_limit": 128}, hungry).reason


def test_a_slow_program_is_not_run_on_every_test() -> None:
    many = {"tests": [{"input": "1", "output": "1"}] * 50}
    verdict = judge(many, "while True: pass", credit="fraction", seconds=0.1)
    assert verdict.value == 0
    assert "0 of 50" in verdict.reason


def test_the_share_of_tests_is_given_where_it_is_asked_for() -> None:
    verdict = judge(SUM, "print(7)", credit="fraction")
    assert verdict == (0.5, "1 of 2 tests pass; test 2 of 2: wrong output: line 1: '7' is not '30'")
    assert judge(ASSERTS, "def double(x): return 4", credit="fraction").value == 0.25


def test_what_cannot_be_judged_is_null() -> None:
    assert code(Record(completion="print(7)")).value is None
    assert judge({"tests": [{"input": "1"}]}, "print(1)").value is None
    assert judge({"tests": [{"input": "1", "output": "1"}], "language": "cobol"}, "x").value is None
    lambdas = {"test_list": ["assert apply(lambda x: x, 2) == 2"]}
    assert judge(lambdas, "def apply(f, x): return f(x)").value is None
    assert judge(SUM, "import numpy").value is None
    assert judge({"test_list": ["assert f(1) =="]}, "def f(x): return x").value is None
    with pytest.raises(BadInput):
        code(Record(SUM))


def test_a_reason_holds_nothing_that_a_terminal_would_obey() -> None:
    trick = "\\x1b]0;mine\\x07\\u202e\\u2066\\x9b1m\\r\\x7f\\ud800"
    records = [
        Record({**ASSERTS, "completion": f"def double(x): raise ValueError('{trick}')"}),
        Record(
            {
                **SUM,
                "completion": f"import sys\nsys.stderr.reconfigure(errors='surrogatepass')\nraise "
                f"ValueError('{trick}')",
            }
        ),
        Record({**SUM, "completion": f"print('{trick[:-6]}')"}),
        Record({**SUM, "checker": f"raise ValueError('{trick[:-6]}')", "completion": "print(7)"}),
    ]
    with Scorer(["code"], workers=1) as scorer:
        scored = list(scorer.score(records))
    reasons = [each["reasons"]["code"] for each in scored]
    assert all(reason.isprintable() for reason in reasons), reasons
    assert "\\x1b]0;mine" in reasons[0], reasons
    assert [each["reward"] for each in scored] == [0, 0, 0, None]


@pytest.mark.parametrize(
    "limits",
    [
        {"time_limit": value}
        for value in (0, -1, 1e300, 1e-9, 10**400, math.nan, "nan", "inf", "soon", "", True, [1], {"s": 1})
    ]
    + [{"memory_limit": value} for value in (0, -1, 15, 1e300, 10**400, math.inf, "256MB", False, [])],
)  # fmt: skip
def test_a_limit_of_a_record_that_makes_no_sense_is_null(limits: dict[str, Any]) -> None:
    verdict = judge({**SUM, **limits}, "print(sum(map(int, input().split())))")
    assert verdict.value is None
    assert verdict.reason.startswith("the tests cannot be read: ")


def test_a_call_that_cannot_be_made_is_null_and_no_mistake_of_the_program() -> None:
    case = {"input": 2, "output": 4, "type": "function_call", "fn_name": "double"}
    for tests in (
        {"tests": [case]},
        {"tests": {"inputs": [2], "outputs": [4], "fn_name": "double"}},
    ):
        assert judge(tests, "def double(x): return 2 * x").value is None


def test_a_checker_of_the_problem_decides() -> None:
    checker = (
        "import sys\ngiven, wanted, got = (open(p).read().split() for p in sys.argv[1:])\n"
        "print(int(sorted(got) == sorted(wanted)))"
    )
    tests = {"tests": [{"input": "3", "output": "1 2 3"}], "checker": checker}
    assert judge(tests, "print(3, 1, 2)").value == 1
    assert judge(tests, "print(3, 1, 1)").value == 0
    assert judge({**tests, "checker": "raise SystemExit(3)"}, "print(3, 1, 2)").value is None
    assert judge({**tests, "checker": "print('fine')"}, "print(3, 1, 2)").value is None


def test_a_program_knows_nothing_of_the_process_of_its_checker() -> None:
    checker = "import sys\nprint(int(int(open(sys.argv[3]).read()) != hash('a')))"
    assert judge({"tests": [{"input": "", "output": ""}], "checker": checker}, "print(hash('a'))").value == 1


def test_the_last_block_counts_after_the_thinking() -> None:
    good, bad = "print(sum(map(int, input().split())))", "print(0)"
    text = f"<think>```python\n{bad}\n```</think>\nFirst\n```python\n{bad}\n```\nthen\n```python\n{good}\n```"
    assert code(Record({**SUM, "completion": text})).value == 1
    assert code(Record({**SUM, "completion": f"<think>```python\n{good}\n```"})).value == 0
    assert code(Record({**SUM, "completion": good})).value == 1
    assert code(Record({**SUM, "completion": f"```\n{good}\n```\n```text\n3 4\n```"})).value == 1
    assert code(Record({**SUM, "completion": "I would add the two numbers."})).value == 0


def test_humaneval_is_continued_or_given_whole() -> None:
    body = "    return x + x"
    for text in (
        body,
        f"def double(x):\n{body}",
        f"```python\ndef double(x):\n{body}\n```\nIt doubles.",
    ):
        assert code(Record({**CHECK, "completion": text})).value == 1


def test_every_form_of_tests_is_read() -> None:
    pair, call = suites.Pair("3 4", "7"), {"name": "f", "args": [3, [4]], "expected": [7]}
    case = {"input": "3 4", "output": "7"}
    hidden = base64.b64encode(zlib.compress(pickle.dumps(json.dumps([{**case, "testtype": "stdin"}]))))
    for record in (
        {"tests": [case]},
        {"tests": json.dumps([case])},
        {"tests": {"inputs": ["3 4"], "outputs": ["7"]}},
        {"input_output": json.dumps({"inputs": ["3 4"], "outputs": ["7"]})},
        {
            "verification_info": {
                "language": "python",
                "test_cases": [{**case, "type": "stdin_stdout"}],
            }
        },
        {"verification_info": json.dumps({"language": "cpp", "test_cases": [case]})},
        {"official_tests": [case], "time_limit": 2.0, "memory_limit": 256.0},
        {"public_test_cases": json.dumps([{**case, "testtype": "stdin"}])},
        {"private_test_cases": hidden.decode(), "public_test_cases": "[]"},
    ):
        assert suites.has_tests(record)
        assert list(suites.read(record).pairs) == [pair]
    function = {"input": "3\n[4]", "output": "7", "testtype": "functional"}
    for record in (
        {"public_test_cases": json.dumps([function]), "metadata": json.dumps({"func_name": "f"})},
        {"verification_info": {"language": "python", "test_cases": [{**function, "fn_name": "f"}]}},
        {"input_output": json.dumps({"fn_name": "f", "inputs": [[3, [4]]], "outputs": [7]})},
    ):
        assert list(suites.read(record).calls) == [call]
    assert suites.read({"official_tests": [case], "memory_limit": 256.0}).memory == 256
    assert suites.read({"tests": {"functional": "assert f(1)"}}).prelude
    evil = base64.b64encode(zlib.compress(pickle.dumps(print))).decode()
    with pytest.raises(ValueError, match="more than text"):
        suites.read({"private_test_cases": evil})


def test_outputs_are_compared_as_documented() -> None:
    def right(got: str, want: str, compare: Any = "lines") -> bool:
        return not difference(got, want, compare, 1e-6)

    assert right("1 2 \n3\n\n", "1  2\n3")
    assert not right("1\n2", "1 2")
    assert right("1\n2", "1 2", "tokens")
    assert right("0.3333333", "0.33333333333")
    assert not right("0.333", "0.33333333333")
    assert right("1e0", "1.0")
    assert not right("1000001", "1000000")
    assert not right("nan", "1.0")
    assert not right("Yes", "YES")
    assert not right("", "1")
    assert right("a \n", "a ", "exact")
    assert not right("a", "a ", "exact")


@given(st.text(), st.sampled_from(["lines", "tokens", "exact"]))
def test_every_output_equals_itself(text: str, compare: Any) -> None:
    assert difference(text, text, compare, 0.0) == ""


def test_records_are_scored_in_workers_beside_other_rewards() -> None:
    good = Record(SUM, id="a", completion="print(sum(map(int, input().split())))")
    bad = Record(SUM, id="b", completion="while True: pass")
    none = Record(id="c", completion="print(7)")
    # A record's own limits hold, not the pool's: a slow program is wrong, not unjudged.
    with Scorer(["code:seconds=0.3", "format*0"], workers=2, timeout=0.4) as scorer:
        scored = list(scorer.score([good, bad, none, good]))
    assert [each["rewards"]["code"] for each in scored] == [1, 0, None, 1]
    assert "time limit" in scored[1]["reasons"]["code"]


@pytest.mark.parametrize(("ended", "why"), [("lost", "was lost"), ("stalled", "a busy machine")])
def test_what_the_machine_did_to_a_program_is_no_fault_of_it(ended: Any, why: str) -> None:
    under: Any = None  # of which nothing is asked
    result = _ending(Outcome(ended), under)
    assert result is not None
    assert result.passed is None
    assert why in result.why


def test_a_program_is_run_without_a_sandbox_only_where_that_is_said() -> None:
    verdict = judge(SUM, "print(sum(map(int, input().split())))", sandbox="none")
    assert verdict.value == 1
    assert judge(CHECK, "def double(x): return x + x", sandbox="none").value == 1


def labelled(data: Path, name: str) -> list[tuple[Record, float]]:
    """A set of records, each with the value it should get."""
    folder = data / "code"
    with gzip.open(folder / "HumanEval.jsonl.gz") as stream:
        problems = {row["task_id"]: row for row in map(json.loads, stream)}
    if name == "canonical":
        return [(Record(r, completion=r["canonical_solution"]), 1.0) for r in problems.values()]
    if name == "emptied":
        return [(Record(r, completion="    pass\n"), 0.0) for r in problems.values()]
    if name == "wizardcoder":
        rows = map(json.loads, (folder / "wizardcoder_humaneval.jsonl").read_text().splitlines())
        return [
            (Record(problems[r["task_id"]], completion=r["completion"]), float(r["passed"])) for r in rows
        ]
    if name == "mbpp":
        rows = map(json.loads, (folder / "mbpp.jsonl").read_text().splitlines())
        return [(Record(r, completion=f"```python\n{r['code']}\n```"), 1.0) for r in rows]
    return [
        (Record(tests=r["tests"], completion=f"```python\n{r['solutions']}\n```"), 1.0)
        for r in json.loads((folder / "leetcode.json").read_text())
    ]


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("canonical", 1.0),
        ("emptied", 1.0),
        ("wizardcoder", 1.0),
        ("mbpp", 0.995),
        ("leetcode", 0.995),
    ],
)
def test_labels_are_reproduced(name: str, share: float, data: Path) -> None:
    rows = labelled(data, name)
    with Scorer(["code"]) as scorer:
        scored = list(scorer.score([record for record, _ in rows]))
    differing = [
        (index, each["reward"], want, each["reasons"]["code"])
        for index, (each, (_, want)) in enumerate(zip(scored, rows, strict=True))
        if each["reward"] != want
    ]
    print(f"{name}: {len(rows) - len(differing)} of {len(rows)}", *differing, sep="\n  ")
    assert len(differing) <= round((1 - share) * len(rows))
    if name == "wizardcoder":
        assert sum(each["reward"] for each in scored) == 98


@pytest.mark.full
def test_the_tests_of_code_contests_can_be_read_and_run(data: Path) -> None:
    rows = json.loads((data / "code" / "code_contests.json").read_text())
    records = [Record(tests=r["tests"], completion="```python\nprint(input())\n```") for r in rows]
    with Scorer(["code:credit=fraction"]) as scorer:
        scored = list(scorer.score(records))
    assert all(each["reward"] is not None for each in scored)
    assert sum(each["reward"] == 1 for each in scored) <= 3
