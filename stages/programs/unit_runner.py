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
    failed = [(str(test), said) for test, said in [*result.failures, *result.errors]]
    failed += [(str(test), "passes, and should not") for test in result.unexpectedSuccesses]
    told = {
        "run": result.testsRun,
        "failed": [[name, said.replace(here + os.sep, "")] for name, said in [*broken, *failed]],
    }
    line = f"\n{asked['token']}{json.dumps(told)}\n".encode()
    while line:
        line = line[os.write(out, line) :]
    os._exit(0)  # whatever threads or exit handlers the program has left


if __name__ == "__main__":
    main()
