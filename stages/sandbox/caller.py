"""Runs in a box of its own, with the tests and no program: calls into the other box, and judges what comes
back.

Names that the tests use and nobody here defines belong to the program; they are questions to the other box
(callee.py). Asserts are evaluated here, on built-in values. One line of JSON for each test leaves through a
descriptor that only this process has.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import math
import os
import sys
from typing import Any, BinaryIO

from stages.sandbox import values

LONGEST = 16 << 20  # bytes of one answer
MOST = 1_000_000  # items of something iterated
# Raised here they would end a loop or an iteration of the test early, as if all were well.
NEVER = ("StopIteration", "StopAsyncIteration", "GeneratorExit")


class Gone(BaseException):
    """The program has ended, or says what cannot be understood."""


class Inexpressible(BaseException):
    """The test asks for what cannot cross: its fault, not the program's."""


class Link:
    """The line to the other box."""

    def __init__(self, answers: BinaryIO, questions: BinaryIO) -> None:
        self.answers, self.questions = answers, questions
        self.gone = ""

    def ask(self, *question: Any) -> Any:
        """The answer to one question, or the exception that the program raised."""
        if self.gone:
            raise Gone(self.gone)
        try:
            self.questions.write(values.dumps(list(question), _back))
            self.questions.flush()
            line = self.answers.readline(LONGEST)
            if not line.endswith(b"\n"):
                raise EOFError("the program has ended")
            answer = values.loads(line, self._follow)
            if type(answer) is not dict or not ("value" in answer or "raised" in answer):
                raise ValueError("no answer")
        except (OSError, EOFError, ValueError, TypeError, RecursionError, ArithmeticError) as error:
            self.gone = str(error) if isinstance(error, EOFError) else "no answer that makes sense"
            raise Gone(self.gone) from None
        if "raised" in answer:
            raise _exception(answer["raised"])
        if question[0] == "call" and type(answer.get("args")) is list:
            for mine, theirs in zip(question[2], answer["args"], strict=False):
                _overwrite(mine, theirs)
        return answer["value"]

    def _follow(self, content: Any) -> Any:
        number, kind, call = content
        return (Function if call else Object)(self, int(number), str(kind))


class Object:
    """An object that stays in the other box. It equals nothing but itself: what it says of itself proves
    nothing.
    """

    def __init__(self, link: Link, number: int, kind: str) -> None:
        self.__dict__.update({"_link": link, "_number": number, "_kind": kind})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._link.ask("attribute", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.ask("assign", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._link.ask("item", self, key)

    def __iter__(self) -> Any:
        return iter(self._link.ask("list", self, MOST))

    def __len__(self) -> int:
        return int(self._link.ask("length", self))

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return str(self._link.ask("text", self))

    def __repr__(self) -> str:
        return f"an object of type {self._kind}"


class Function(Object):
    """One that can be called."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._link.ask("call", self, list(args), named)


def _back(value: Any) -> Any:
    """A reference on its way home. Anything else of the tests cannot cross."""
    if isinstance(value, Object):
        return {"object": value._number}
    raise Inexpressible(f"a test passes a {type(value).__name__} to the program")


def _exception(content: Any) -> Exception:
    """The built-in exception of that name, so that a test can expect it."""
    kind, message = str(content[0]), str(content[1])
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, Exception) and kind not in NEVER:
        try:
            return known(message)
        except TypeError:  # UnicodeError wants more
            pass
    return RuntimeError(f"{kind}: {message}")


def _overwrite(mine: Any, theirs: Any) -> None:
    """An argument as the call has left it, where it changed it in place and returned nothing."""
    if type(mine) is not type(theirs):
        return
    if isinstance(mine, list):
        mine[:] = theirs
    elif isinstance(mine, (dict, set)):
        mine.clear()
        mine.update(theirs)


def of_program(sources: list[str], known: dict[str, Any]) -> list[str]:
    """The names that `sources` read, never bind, and find neither in `known` nor among the built-ins.

    Where the tests use built-in names only, as those for a function called `sum`, the called ones are meant.
    """
    read: dict[str, None] = {}
    bound, called, owners = set(known), set(), set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                read[node.id] = None
            else:
                bound.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update((each.asname or each.name).partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owners.add(node.value.id)
    free = [name for name in read if name not in bound and not hasattr(builtins, name)]
    for name in list(free):
        if name in owners and name not in called and name in sys.stdlib_module_names:
            known[name] = importlib.import_module(name)
            free.remove(name)
    return free or [name for name in read if name in called and name not in bound]


def same(got: Any, want: Any, tolerance: float) -> bool:
    """Whether values are equal, where a tuple is as good as a list and floats may differ a little."""
    if isinstance(want, (list, tuple)):
        return (
            isinstance(got, (list, tuple))
            and len(got) == len(want)
            and all(same(a, b, tolerance) for a, b in zip(got, want, strict=True))
        )
    if isinstance(want, dict):
        return (
            isinstance(got, dict)
            and got.keys() == want.keys()
            and all(same(got[key], want[key], tolerance) for key in want)
        )
    if isinstance(want, float) and isinstance(got, (int, float)) and not isinstance(got, bool):
        return got == want or math.isclose(got, want, rel_tol=tolerance, abs_tol=tolerance)
    return bool(got == want)


def examine(test: Any, space: dict[str, Any], link: Link, tolerance: float) -> None:
    """Passes by returning."""
    if isinstance(test, str):
        exec(compile(test, "test", "exec"), space)
        return
    got = link.ask("function", test["name"])(*test["args"])
    if not any(same(got, want, tolerance) for want in test["expected"]):
        raise AssertionError(f"{_short(got)} is not {_short(test['expected'][0])}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _set_up(asked: dict[str, Any], space: dict[str, Any], link: Link) -> str:
    """Fetches the program's names and runs what the tests rely on; what the program lacks for it."""
    sources = [test for test in asked["tests"] if isinstance(test, str)]
    names = of_program([asked["before"], *sources], space)
    theirs = of_program([asked["before"]], space)
    entry = asked["entry"]
    if entry and sources:
        names = [name for name in names if not hasattr(builtins, name)]  # the called one is known
    failure = ""
    for name in dict.fromkeys([*names, entry] if entry and sources else names):
        try:
            space[name] = link.ask("name", name)
        except Gone:
            return link.gone
        except KeyError:
            failure = failure or f"the program has no {name}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    program_entry = space.get(entry)
    try:
        exec(compile(asked["before"], "before", "exec"), space)
    except Exception as error:
        if not theirs:
            raise
        return failure or f"{type(error).__name__}: {error}"
    if entry:
        # The prompt has a first line of it, without its body.
        space.pop(entry, None)
        if program_entry is not None:
            space[entry] = program_entry
    return failure


def main() -> None:
    """Reads what to test from standard input, tests, and says how each test went."""
    sys.set_int_max_str_digits(0)
    asked = json.loads(sys.stdin.buffer.read())
    verdicts = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # a test that prints what the program returned must not print a verdict
    link = Link(os.fdopen(3, "rb", 1 << 18), os.fdopen(4, "wb"))
    space: dict[str, Any] = {"__name__": "tests"}
    failure = _set_up(asked, space, link)
    for test in asked["tests"]:
        why, passed = "", None
        try:
            examine(test, space, link, asked["tolerance"])
            passed = True
        except Inexpressible as error:
            why = str(error)
        except BaseException as error:
            why, passed = f"{type(error).__name__}: {error}".rstrip(": "), False
        if link.gone or (failure and not passed):
            why, passed = link.gone or failure, False
        verdicts.write(json.dumps([passed, why[:300]]).encode() + b"\n")
        verdicts.flush()
    os._exit(0)  # all is said
