"""1 where the completion's program passes its tests, else 0; or the share it passes.

Python and C++, run in a sandbox (docs/sandbox.md) that holds neither tests nor expected outputs. Tests are
read in the forms they come in (suites.py). Null where there are none, or where they cannot be run.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

from stages.programs import compiled, extract, outputs, suites
from stages.programs.extract import Program
from stages.programs.outputs import Comparison
from stages.programs.suites import Suite
from stages.records.record import need
from stages.records.verdict import Example, Verdict
from stages.sandbox.box import PYTHON, Box, Limits, Outcome, Task, probed, shared
from stages.sandbox.dialogue import examine
from stages.sandbox.warm import FLAGS
from stages.settings.options import Range

ADD = {"tests": [{"input": "3 4\n", "output": "7\n"}, {"input": "10 -4", "output": "6"}]}
EXAMPLES: list[Example] = [
    ({**ADD, "completion": "```python\na, b = map(int, input().split())\nprint(a + b)\n```"}, {}, 1.0),
    ({**ADD, "completion": "<think>7</think>\n```python\nprint(7)\n```"}, {}, 0.0),
    ({**ADD, "completion": "```python\nprint(7)\n```"}, {"credit": "fraction"}, 0.5),
    ({**ADD, "completion": "The sum is 7."}, {}, 0.0),
    ({"test_list": ["assert inc(1) == 2"], "completion": "def inc(x):\n    return x + 1"}, {}, 1.0),
    ({"prompt": "def inc(x):\n", "entry_point": "inc", "completion": "    return x + 1\n",
      "test": "def check(f):\n    assert f(1) == 2"}, {}, 1.0),
    ({"prompt": "def inc(x):\n", "entry_point": "inc", "completion": "```\n    return x + 1\n```",
      "test": "def check(f):\n    assert f(1) == 2"}, {"part": "whole"}, 0.0),
    ({"verification_info": {"language": "python", "test_cases": [
      {"input": "[1, 2]", "output": "3", "type": "functional", "fn_name": "add"}]},
      "completion": "```python\nclass Solution:\n    def add(self, x):\n        return sum(x)\n```"}, {},
      1.0),
    ({"completion": "```python\nprint(7)\n```", "answer": "7"}, {}, None),
]  # fmt: skip

SECONDS, MEMORY = 6.0, 1024  # of a test, where neither the option nor the problem says
START = (
    "import builtins, sys; builtins.exit = builtins.quit = sys.exit; sys.argv = ['main.py']; "
    "exec(compile(open('main.py', 'rb').read(), 'main.py', 'exec'))"
)
RUN = {"python": (PYTHON, *FLAGS, "-c", START), "cpp": ("./main",)}
SLOW = 3  # tests over their time after which the rest is not run, and not passed
OVER = "the time for all tests was over after {} of them"

# Libraries that are often meant to be there, and are not in the box. Any other missing module is a mistake.
MISSING = re.compile(
    r"No module named '(numpy|scipy|pandas|sympy|networkx|sortedcontainers|sklearn|torch)[.']"
)

Sandbox = Literal["kernel", "none"]


@dataclass(frozen=True)
class PerTest:
    """What each test may take; None leaves it to the problem."""

    seconds: Annotated[float | None, suites.SECONDS] = None
    memory: Annotated[int | None, suites.MEMORY] = None


@dataclass(frozen=True)
class Taken:
    """What of the completion is the program."""

    part: Literal["summary", "whole"] = "summary"
    language: Literal["auto", "python", "cpp"] = "auto"


class Conditions(NamedTuple):
    """Under which a program is tested."""

    box: Box
    limits: Limits
    comparison: Comparison
    tolerance: float
    stop: bool  # at the first test that fails
    until: float  # time.monotonic() at which it must be over


class Result(NamedTuple):
    """Of one test: passed or not and why not; None where the machine was at fault."""

    passed: bool | None
    why: str = ""
    slow: bool = False


def code(
    record: dict[str, Any],
    *,
    credit: Literal["all", "fraction"] = "all",
    taken: Taken = Taken(),
    allowed: PerTest = PerTest(),
    compare: Comparison = "lines",
    tolerance: Annotated[float, Range(low=0, below=1)] = 1e-6,
    budget: Annotated[float, Range(above=0, high=1e6)] = 120.0,
    sandbox: Sandbox = "kernel",
) -> Verdict:
    """Null where there are no tests, or they cannot be read or run.

    The program is in the `summary`, what follows the thinking; or it is the `whole` completion as it stands,
    as programs of benchmarks run it. `seconds` and `memory` (MiB) are for each test, `budget` is seconds for
    all of them.
    Raises Unavailable where programs cannot be isolated here and `sandbox` is not "none".
    """
    verdict = quick(record, sandbox=sandbox)
    if verdict is not None:
        return verdict
    try:
        suite = suites.read(record)
    except ValueError as error:
        return Verdict(None, f"the tests cannot be read: {error}"[:300])
    if not suite.size:
        return Verdict(None, "the record has no tests")
    program = (extract.whole if taken.part == "whole" else extract.find)(record, suite, taken.language)
    if isinstance(program, str):
        return Verdict(0.0, program)
    limits = Limits(
        seconds=allowed.seconds or suite.seconds or SECONDS,
        memory=(allowed.memory or suite.memory or MEMORY) << 20,
    )
    until = time.monotonic() + budget
    under = Conditions(shared(sandbox), limits, compare, tolerance, credit == "all", until)
    results = _of_pairs(program, suite, under) if suite.pairs else _of_calls(program, suite, under)
    return _verdict(results, suite.size, credit)


def quick(record: dict[str, Any], *, sandbox: Sandbox = "kernel", **_: Any) -> Verdict | None:
    """Null where there is no test; the rest is for a worker, once it is known that it can be run."""
    need(record, "completion", str, "code judges completions: run r1 generate first")
    if not suites.has_tests(record):
        return Verdict(None, "the record has no tests")
    probed(sandbox)
    return None


def deadline(*, budget: float = 120.0, **_: Any) -> float:
    """Seconds after which a worker is stuck, whatever --timeout says: each test has its own limit."""
    return 2 * budget + 60


def _verdict(results: list[Result], count: int, credit: str) -> Verdict:
    passed = sum(result.passed is True for result in results)
    if passed == count:
        return Verdict(1.0, f"{count} of {count} tests pass" if count > 1 else "the test passes")
    failed = next((k for k, result in enumerate(results) if result.passed is False), None)
    unknown = next((result.why for result in results if result.passed is None), None)
    if failed is None or (unknown is not None and credit == "fraction"):
        return Verdict(None, unknown or "not all tests were run")
    where = f"test {failed + 1} of {count}: " if count > 1 else ""
    if credit == "all":
        return Verdict(0.0, where + results[failed].why)
    return Verdict(passed / count, f"{passed} of {count} tests pass; {where}{results[failed].why}")


def _of_pairs(program: Program, suite: Suite, under: Conditions) -> list[Result]:
    files, failure = _ready(program, under)
    if failure is not None:
        return [failure] * suite.size
    results: list[Result] = []
    for pair in suite.pairs:
        if time.monotonic() > under.until:
            return [*results, Result(None, OVER.format(len(results)))]
        warm: Literal["program", ""] = "program" if program.language == "python" else ""
        task = Task(RUN[program.language], files, pair.input.encode(), warm=warm, limits=under.limits)
        outcome = under.box.run(task)
        result = _ending(outcome, under)
        if result is None:
            result = _judged(outcome.stdout.decode(errors="replace"), pair, suite, under)
        results.append(result)
        if result.passed is None or (under.stop and not result.passed):
            break
        if sum(each.slow for each in results) >= SLOW:
            results += [result] * (suite.size - len(results))
            break
    return results


def _ready(program: Program, under: Conditions) -> tuple[dict[str, bytes], Result | None]:
    """The files of a program that can be run, or why it cannot."""
    source = program.source.encode("utf-8", "surrogatepass")
    if program.language == "python":
        return {"main.py": source}, None
    binary, failure, unknown = compiled.compiled(source, under.box)
    if binary is None:
        return {}, Result(None if unknown else False, failure)
    return {"main": binary}, None


def _ending(outcome: Outcome, under: Conditions) -> Result | None:
    """What is to be said of a program that did not end well; None of one that did."""
    match outcome.ended:
        case "lost" | "stalled":
            return Result(None, f"the program {_machine(outcome)}")
        case "time":
            return Result(False, f"over the time limit of {under.limits.seconds:g} s", slow=True)
        case "memory":
            return Result(False, f"over the memory limit of {under.limits.memory >> 20} MiB")
        case "output":
            return Result(False, f"more than {under.limits.output >> 20} MiB of output")
    if outcome.done:
        return None
    how = "signal" if outcome.ended == "signal" else "code"
    said = outcome.stderr.decode(errors="replace").strip().splitlines()
    last = f": {said[-1][:200]}" if said else ""
    if MISSING.search(last):
        return Result(None, f"it cannot be run here{last}")
    kind = (
        "does not compile"
        if last[2:].startswith(("SyntaxError", "IndentationError", "TabError"))
        else f"ended with {how} {outcome.code}"
    )
    return Result(False, kind + last)


def _machine(outcome: Outcome) -> str:
    lost = "was lost with the process that watched it"
    return lost if outcome.ended == "lost" else "got too little of a busy machine"


def _judged(got: str, pair: suites.Pair, suite: Suite, under: Conditions) -> Result:
    if suite.checker is not None:
        return _checked(got, pair, suite.checker, under)
    why = outputs.difference(got, pair.output, under.comparison, under.tolerance)
    return Result(not why, f"wrong output: {why}" if why else "")


def _checked(got: str, pair: suites.Pair, checker: str, under: Conditions) -> Result:
    """What the problem's own checker says: `checker.py INPUT WANTED GOT` prints a number, 1 for right."""
    texts = {"main.py": checker, "input": pair.input, "wanted": pair.output, "got": got}
    files = {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}
    start = START.replace("['main.py']", "['main.py', 'input', 'wanted', 'got']")
    argv = (*RUN["python"][:-1], start)
    run = Task(argv, files, warm="program", limits=replace(under.limits, seconds=30.0))
    outcome = under.box.beside().run(run)  # it shares nothing with what it judges
    words = outcome.stdout.split()
    try:
        score = float(words[-1]) if outcome.done and words else math.nan
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        said = outcome.stderr.decode(errors="replace").strip()[-200:]
        return Result(None, f"the checker gave no verdict: {outcome.ended} {outcome.code} {said}")
    return Result(score == 1, "" if score == 1 else "the checker says that it is wrong")


def _of_calls(program: Program, suite: Suite, under: Conditions) -> list[Result]:
    if program.language != "python":
        return [Result(None, "functions are called in Python only")]
    results: list[Result] = []
    separate = not isinstance(suite.calls[0], str)  # each test has its own time; asserts share it
    while len(results) < suite.size:
        if time.monotonic() > under.until:
            return [*results, Result(None, OVER.format(len(results)))]
        found = examine(
            under.box,
            program.source,
            suite.calls[len(results) :],
            before=suite.before,
            entry=suite.entry,
            prelude=suite.prelude,
            tolerance=under.tolerance,
            limits=under.limits,
        )
        new = _told(found.results, found.program, found.tests, under)
        if separate and new[-1].slow and len(new) > 1:
            new.pop()  # those before it have used the time: it has another go, as the first
        results += new
        if results[-1].passed is None or (under.stop and not all(each.passed for each in results)):
            break
        if sum(each.slow for each in results) >= SLOW:
            results += [results[-1]] * (suite.size - len(results))
    return results


def _told(
    said: list[tuple[bool | None, str]], program: Outcome, tests: Outcome, under: Conditions
) -> list[Result]:
    """One result or more, up to the test at which the program or the tests came to an end."""
    results: list[Result] = []
    for passed, why in said:
        if why in ("the program has ended", "no answer that makes sense"):
            ending = _ending(program, under)
            return [*results, ending or Result(False, why)]
        missing = MISSING.search(why)
        results.append(Result(None if missing else passed, why))
    if tests.done:
        return results or [Result(None, "the tests gave no verdict")]
    if tests.ended in ("lost", "stalled"):
        return [*results, Result(None, f"the tests {_machine(tests)}")]
    if program.ended == "time" or tests.ended == "time":
        return [
            *results,
            Result(False, f"over the time limit of {under.limits.seconds:g} s", slow=True),
        ]
    if tests.ended in ("memory", "output", "signal"):
        # Its own values are few; what is too much has come from the program.
        return [*results, Result(False, "what it returned is too much to be compared")]
    last = tests.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return [*results, Result(None, f"the tests failed: {tests.ended} {tests.code} {last}"[:300])]


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """HumanEval's or MBPP's own solution: 1. Else programs that do nothing: null where tests cannot run."""
    solution = problem.get("canonical_solution") or (problem.get("test_list") and problem.get("code"))
    if isinstance(solution, str):
        return [(f"</think>\n```\n{solution.rstrip()}\n```", 1.0)]
    return [("</think>\n```cpp\nint main() {}\n```\n```python\npass\n```", 0.0)]
