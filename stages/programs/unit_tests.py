"""A program in files on its unit tests in files, both in one process of the sandbox.

So the program is beside its tests and could change what they say: right for a benchmark, whose own program
does the same, and no reward to train on.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.sandbox.box import PYTHON, Box, Limits, Outcome, Task

RUNNER = "r1_unit_runner"
RUN = ("-P", "-s", "-S", "-B", "-c",
       f"import sys; sys.path.insert(0, '.'); import {RUNNER}; {RUNNER}.main()")  # fmt: skip
# Sets are in one order in each run, so that a model is told the same of a failure each time.
SEEDED = "import os, sys; os.execve(sys.argv[1], sys.argv[1:], {**os.environ, 'PYTHONHASHSEED': '0'})"
ARGV = (PYTHON, "-I", "-S", "-B", "-c", SEEDED, PYTHON, *RUN)
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
LINES, WIDTH = 50, 400  # of the output of tests that fail, as Aider shows it


class Tested(NamedTuple):
    """Whether all tests pass, None where that cannot be said; in a line why not; what the tests printed."""

    passed: bool | None
    why: str
    output: str = ""


def tested(files: Mapping[str, str], tests: Mapping[str, str], box: Box, limits: Limits) -> Tested:
    """What Python's tests say of a program. The `tests` win over files of the same name."""
    token = secrets.token_hex(16)
    modules = [name.removesuffix(".py") for name in tests if name.endswith(".py")]
    given = {**files, **tests, f"{RUNNER}.py": Path(__file__).with_name("unit_runner.py").read_text("utf-8")}
    encoded = {name: text.encode("utf-8", "surrogatepass") for name, text in given.items()}
    asked = json.dumps({"token": token, "modules": modules}) + "\n"
    outcome = box.run(Task(ARGV, encoded, asked.encode(), limits=limits))
    return _told(outcome, token, tests, limits)


def _told(outcome: Outcome, token: str, tests: Mapping[str, str], limits: Limits) -> Tested:
    match outcome.ended:
        case "lost" | "stalled":
            return Tested(None, "the machine was too busy, or the sandbox was killed")
        case "time":
            return _failed(f"over the time limit of {limits.seconds:g} s")
        case "memory":
            return _failed(f"over the memory limit of {limits.memory >> 20} MiB")
        case "output":
            return _failed(f"more than {limits.output >> 20} MiB of output")
    said = _said(outcome.stdout, token)
    if said is None:
        return _failed("the program ends before its tests have")
    output = "\n".join(f"{name}\n{text}" for name, text in said.failed)
    if "No module named 'pytest'" in output and any("pytest" in text for text in tests.values()):
        return Tested(None, "its tests need pytest, which is not in the sandbox")
    if said.failed:
        last = said.failed[0][1].rstrip().rpartition("\n")[2]
        run = max(said.run, said.wrong)  # one that cannot be imported has run no test
        return Tested(False, f"{said.wrong} of {run} tests fail: {last}"[:300], _cut(output))
    if not said.run:
        return Tested(None, "its files have no tests")
    return Tested(True, "the test passes" if said.run == 1 else f"{said.run} tests pass")


class Said(NamedTuple):
    """What the runner tells: tests that ran, how many are wrong, and of each failure its test and text."""

    run: int
    wrong: int
    failed: list[tuple[str, str]]


def _said(stdout: bytes, token: str) -> Said | None:
    """The runner's line; None where there is none, or a program wrote it and got the form wrong."""
    last = stdout.decode(errors="replace").rstrip("\n").rpartition("\n")[2]
    if not last.startswith(token):
        return None
    try:
        told = json.loads(last.removeprefix(token))
        failed = [(_text(name), _text(text)) for name, text in told["failed"]]
        return Said(int(told["run"]), int(told["wrong"]), failed)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _text(value: Any) -> str:
    r"""With halves of characters written out, as `\ud800`: no request and no record may hold them."""
    return str(value).encode(errors="backslashreplace").decode()


def _failed(why: str) -> Tested:
    return Tested(False, why, why)


def _cut(output: str) -> str:
    """The beginning, the same in each run: addresses are left out."""
    lines = ADDRESS.sub("0x…", output).split("\n")
    return "\n".join(line[:WIDTH] for line in lines[:LINES])
