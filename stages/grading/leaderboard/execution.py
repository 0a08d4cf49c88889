"""Conversations of several turns, by what their calls do: bfcl-eval's own simulated classes and checker.

The package runs calls as Python. Here every call is read first, and written anew as the name of a method of
its classes with literal values, so nothing else of what a model or a file has written is run. Another name is
written as one that is not defined, and a call of it fails as it does there.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import itertools
import keyword
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from stages.formats.function_docs import CLASSES, INSTALL, PACKAGE
from stages.grading.leaderboard.decoding import Call, Undecoded
from stages.runtime.errors import Unavailable

ROOM = f"{PACKAGE}.eval_checker.multi_turn_eval"
UNDEFINED = "undefined_function()"
RUNS = itertools.count()


def fault(
    category: str,
    classes: Sequence[str],
    config: dict[str, Any],
    turns: list[list[list[str]]],
    wanted: list[list[str]],
) -> str:
    """Why the calls of `turns`, each a list of steps, do not do what those of `wanted` do; "" where they do.

    Both are as `written` and `rewritten` give them. Raises Unavailable without the package.
    """
    if len(turns) != len(wanted):
        return f"{len(turns)} turns, not {len(wanted)}"
    checker = _module("multi_turn_checker")
    # Its program writes the problem's id into the code that it runs: none of a record's own.
    entry = {"id": f"{category}_0", "initial_config": config, "involved_classes": list(classes)}
    with _run() as run:
        found = checker.multi_turn_checker(turns, wanted, entry, category, run)
    return "" if found["valid"] else str(found["error_message"])


def results(
    category: str, classes: Sequence[str], config: dict[str, Any], steps: Iterable[list[str]]
) -> list[str]:
    """What each call of the last of `steps`, as `written`, gives after those before it, as a text.

    Raises Unavailable without the package.
    """
    execute, given = _module("multi_turn_utils").execute_multi_turn_func_call, []
    with _run() as run:
        for step in steps:
            given, _ = execute(
                step, config, list(classes), run, f"{category}_0", long_context="long_context" in category
            )
        for state in _states(run):  # whose name is written into a text that looks like a call
            given = [each.replace(f"{state}.", "") for each in given]
    return list(given)


@contextlib.contextmanager
def _run() -> Iterator[str]:
    """A name that the package keeps the state of one run by, in its own module."""
    run = f"r1x{next(RUNS)}x"
    try:
        yield run
    finally:
        for state in _states(run):
            delattr(_module("multi_turn_utils"), state)


def _states(run: str) -> list[str]:
    """The names in the package's module under which it keeps the state of a run."""
    return [each for each in vars(_module("multi_turn_utils")) if each.startswith(run)]


def here() -> bool:
    """Whether the package can be had, of which nothing is loaded yet."""
    return importlib.util.find_spec(PACKAGE) is not None


def methods(classes: Iterable[str]) -> set[str]:
    """The functions that may be called. Raises KeyError for a class that is not simulated here."""
    return {
        name
        for each in classes
        for name, _ in inspect.getmembers(
            getattr(_module(f"func_source_code.{CLASSES[each]}"), each), inspect.isfunction
        )
        if not name.startswith("_")
    }


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"{ROOM}.{name}")
    except ImportError as error:
        raise Unavailable(f"conversations of BFCL need bfcl-eval: {error}", install=INSTALL) from None


def written(calls: Iterable[Call], known: set[str] | None, *, nested: bool) -> list[str]:
    """Calls as the package runs them; `nested`, as where they were written in words, a value may be a call.

    Without `known` they are only to be read, and every name stays. Raises Undecoded for an empty object as
    a value, of which the program makes none.
    """
    value = _written if nested else lambda each, _: repr(each)
    return [_call(name, said, known, value) for call in calls for name, said in call.items()]


def _call(name: str, said: dict[str, Any], known: set[str] | None, value: Any) -> str:
    named = all(key.isidentifier() and not keyword.iskeyword(key) for key in said)
    if known is not None and (name not in known or not named):
        return UNDEFINED
    return f"{name}({', '.join(f'{key}={value(each, known)}' for key, each in said.items())})"


def _written(value: Any, known: set[str] | None) -> str:
    """An object of objects is what is left of a call within a call."""
    if not isinstance(value, dict):
        return repr(value)
    if not value:
        raise Undecoded("no calls: an empty object")
    if all(isinstance(each, dict) for each in value.values()):
        name, said = next(iter(value.items()))
        return _call(str(name), {str(key): each for key, each in said.items()}, known, _written)
    return "{" + ", ".join(f"{key!r}: {_written(each, known)}" for key, each in value.items()) + "}"


def rewritten(texts: Iterable[str], known: set[str]) -> list[str]:
    """The calls of a published answer. Raises ValueError for one that is not a method with literal values."""
    made = []
    for text in texts:
        try:
            body = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"{text[:60]!r} is no call: {error}") from None
        if not isinstance(body, ast.Call) or not isinstance(body.func, ast.Name) or body.func.id not in known:
            raise ValueError(f"{text[:60]!r} is no call of a function of its classes")
        try:
            values = [repr(ast.literal_eval(each)) for each in body.args]
            values += [f"{each.arg}={ast.literal_eval(each.value)!r}" for each in body.keywords if each.arg]
        except ValueError:
            raise ValueError(f"{text[:60]!r} has a value that is no literal") from None
        made.append(f"{body.func.id}({', '.join(values)})")
    return made
