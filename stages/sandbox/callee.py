"""Runs in a box, beside the program under test: loads it and answers calls with plain values.

The program can do what it likes to this process. It sees the arguments of one call at a time, and whatever it
answers, or makes this file answer, is only a value: what it ought to be is known in the other box alone
(caller.py).
"""

from __future__ import annotations

import builtins
import os
import sys
from types import ModuleType
from typing import Any

from stages.sandbox import values

# What LeetCode and LiveCodeBench import unasked, starred in this order.
MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics",
    "itertools", "functools", "operator", "io", "sys", "json",
)  # fmt: skip
PRELUDE = "\n".join(
    (
        *(f"from {name} import *" for name in (*MODULES, "builtins", "typing")),
        f"import {', '.join(MODULES)}",
    )
)


class Program:
    """The module made of main.py, and the objects that were handed out by number."""

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.failure: BaseException | None = None
        self.module = ModuleType("solution")
        sys.modules["solution"] = self.module

    def load(self, *, prelude: bool) -> None:
        """Runs main.py; an error becomes the answer to every question."""
        space = self.module.__dict__
        try:
            if prelude:
                exec(compile(PRELUDE, "prelude", "exec"), space)
            with open("main.py", "rb") as stream:
                exec(compile(stream.read(), "main.py", "exec"), space)
        except BaseException as error:
            self.failure = error

    def answer(self, line: bytes) -> bytes:
        """The reply to one question."""
        try:
            if self.failure is not None:
                raise self.failure
            question, *rest = values.loads(line, self.objects.__getitem__)
            return values.dumps(getattr(self, f"on_{question}")(*rest), self.refer)
        except BaseException as error:
            return values.dumps({"raised": [type(error).__name__, _said(error)]}, self.refer)

    def refer(self, value: Any) -> Any:
        """An object that stays here, as its number and type."""
        self.objects.append(value)
        return {"object": [len(self.objects) - 1, type(value).__name__, callable(value)]}

    def on_name(self, name: str) -> dict[str, Any]:
        """A global of the program."""
        return {"value": vars(self.module)[name]}

    def on_function(self, name: str) -> dict[str, Any]:
        """A function, or a method of a new Solution as LeetCode has it."""
        space = vars(self.module)
        if hasattr(space.get("Solution"), name):
            return {"value": getattr(space["Solution"](), name)}
        return {"value": space[name]}

    def on_call(self, function: Any, args: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        """What a call returns; where that is nothing, also its arguments, which it may have changed."""
        value = function(*args, **named)
        return {"value": value} if value is not None else {"value": None, "args": args}

    def on_attribute(self, value: Any, name: str) -> dict[str, Any]:
        """An attribute of an object."""
        return {"value": getattr(value, name)}

    def on_assign(self, value: Any, name: str, new: Any) -> dict[str, Any]:
        """Sets an attribute of an object."""
        setattr(value, name, new)
        return {"value": None}

    def on_item(self, value: Any, key: Any) -> dict[str, Any]:
        """An item of an object."""
        return {"value": value[key]}

    def on_length(self, value: Any) -> dict[str, Any]:
        """len()."""
        return {"value": len(value)}

    def on_text(self, value: Any) -> dict[str, Any]:
        """str()."""
        return {"value": str(value)}

    def on_list(self, value: Any, most: int) -> dict[str, Any]:
        """The first items of something that can be iterated, once."""
        found = []
        for each in value:
            found.append(each)
            if len(found) > most:
                raise ValueError(f"more than {most} items")
        return {"value": found}


def _said(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except BaseException:
        return ""


def main() -> None:
    """Answers until the other side is gone."""
    sys.set_int_max_str_digits(0)
    for name in ("exit", "quit"):  # which the site module would have brought
        setattr(builtins, name, sys.exit)
    questions, answers = os.fdopen(3, "rb"), os.fdopen(4, "wb")
    program = Program()
    program.load(prelude=sys.argv[1] == "prelude")
    for line in questions:
        answers.write(program.answer(line))
        answers.flush()
    os._exit(0)  # nobody asks what a program does at its end
