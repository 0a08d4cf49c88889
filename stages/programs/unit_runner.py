"""In the sandbox: runs the unit tests that stand beside a program, and tells what became of them.

Knows nothing of this project: it is given to the box as a file. Classes of unittest and functions called
`test…` are run.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import traceback
import unittest
from typing import Any


def main() -> None:
    """Reads `{"token": …, "modules": […]}` as a line; at the end writes a line that begins with the token."""
    out = os.dup(1)
    asked = json.loads(sys.stdin.readline())
    here = os.getcwd()
    sys.path.insert(0, here)
    result, broken = unittest.TestResult(), []
    for name in asked["modules"]:
        try:
            module = importlib.import_module(name)
        except BaseException:  # whatever a program does where it is imported
            broken.append((name, traceback.format_exc()))
            continue
        suite = unittest.TestLoader().loadTestsFromModule(module)
        suite.addTests(
            unittest.FunctionTestCase(value)
            for key, value in vars(module).items()
            if key.startswith("test") and inspect.isfunction(value)
        )
        suite.run(result)
    failed = [
        *result.failures,
        *result.errors,
        *((test, "passes, and should not") for test in result.unexpectedSuccesses),
        *((test, f"skipped: {why}") for test, why in result.skipped if not _meant(test)),
    ]
    told = {
        "run": result.testsRun,
        "wrong": len(broken) + len({id(_whole(test)) for test, _ in failed}),
        "failed": [[str(of), said.replace(here + os.sep, "")] for of, said in [*broken, *failed]],
    }
    line = f"\n{asked['token']}{json.dumps(told)}\n".encode()
    while line:
        line = line[os.write(out, line) :]
    os._exit(0)  # whatever threads or exit handlers the program has left


def _whole(test: Any) -> Any:
    """The test that one of `subTest` is a part of."""
    return getattr(test, "test_case", test)


def _meant(test: Any) -> bool:
    """Whether it is the test that says it is skipped, and not a program that raises SkipTest."""
    method = getattr(test, getattr(test, "_testMethodName", ""), None)
    places = (type(test), method, getattr(test, "_testFunc", None))
    return any(getattr(place, "__unittest_skip__", False) for place in places)


if __name__ == "__main__":
    main()
