"""A program and its tests, each in a box of its own, with a line between them that carries values only.

What is certain: the program never sees a test or an expected value, only the arguments of the call it is
asked to answer; and a verdict is made of built-in values in a process that it cannot reach. What is not: a
test that any value would pass, or that gives the program's text to `eval`, is as weak here as elsewhere.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import marshal
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from stages.sandbox.box import PYTHON, Box, Limits, Outcome, Task
from stages.sandbox.warm import FLAGS

START = (
    "import sys; sys.path.insert(0, '/tmp' if sys.argv.pop() == 'kernel' else '.'); "
    "from stages.sandbox import {0}; sys.path.pop(0); {0}.main()"
)
PATIENCE = 3.0  # each waits for the other, which may have to wait for a processor
SLACK = 5.0  # seconds that the tests may take beside the program


class Examination(NamedTuple):
    """For each test whether it passed, None where it cannot be put to a program in a box, and why not.

    Fewer than were asked where it was cut short.
    """

    results: list[tuple[bool | None, str]]
    program: Outcome
    tests: Outcome


def examine(
    box: Box,
    program: str,
    tests: Sequence[Any],
    *,
    before: str = "",
    entry: str | None = None,
    prelude: bool = False,
    tolerance: float = 0.0,
    limits: Limits,
) -> Examination:
    """Runs `tests` against a Python `program`.

    A test is Python source, or {"name", "args", "expected": [values, any of which is right]}. `before` is
    source that the tests rely on; `entry` names what they call where it would be taken for something of
    theirs.
    """
    asked = {"tests": list(tests), "before": before, "entry": entry, "tolerance": tolerance}
    answers, to_tests = os.pipe()
    questions, to_program = os.pipe()
    try:
        ready = box.ready(limits)
        callee = Task(
            argv=_argv("callee", "prelude" if prelude else "plain", box.isolation),
            files={**_files("callee", ready), "main.py": program.encode("utf-8", "surrogatepass")},
            warm="callee",
            limits=replace(limits, patience=PATIENCE),
        )
        caller = Task(
            argv=_argv("caller", box.isolation),
            files=_files("caller", ready),
            warm="caller",
            stdin=json.dumps(asked).encode(),
            limits=replace(limits, seconds=limits.seconds + SLACK, patience=PATIENCE),
        )
        judged = box.beside().start(caller, (answers, to_program))
        tried = box.start(callee, (questions, to_tests))
    finally:
        for fd in (answers, to_tests, questions, to_program):
            os.close(fd)
    program_end, tests_end = tried.outcome(), judged.outcome()
    lines = tests_end.stdout.decode().splitlines()
    results = [(passed, str(why)) for passed, why in map(json.loads, lines)]
    return Examination(results, program_end, tests_end)


def _argv(module: str, *arguments: str) -> tuple[str, ...]:
    return (PYTHON, *FLAGS, "-c", START.format(module), *arguments)


@functools.cache
def _files(module: str, ready: bool) -> dict[str, bytes]:
    """The module and what it imports, as bytecode: compiling them anew costs more than running them.

    None where an interpreter has them ready.
    """
    if ready:
        return {}
    folder = Path(__file__).parent
    header = importlib.util.MAGIC_NUMBER + bytes(12)
    found = {}
    for name in (module, "values"):
        source = (folder / f"{name}.py").read_bytes()
        code = compile(source, f"{name}.py", "exec", dont_inherit=True)
        found[f"stages/sandbox/{name}.pyc"] = header + marshal.dumps(code)
    return found
