"""Limits on the time and memory of a chat template, which is a program that came with the checkpoint.

transformers runs it in jinja's sandbox, which keeps it from Python and from files, and sets no limit on time.
A template takes milliseconds.
"""

from __future__ import annotations

import ctypes
import operator
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SECONDS = 10.0  # seconds of one rendering
MEMORY = 1 << 30  # bytes that one rendering may take
LONGEST = 1 << 24  # characters or items of what a product makes
PAUSE = 0.05  # seconds between two looks
# Seconds after which it is interrupted again: Python loses what is raised where an object is taken away.
AGAIN = 1.0


class LimitExceeded(Exception):
    """A template took more than it may."""

    def __str__(self) -> str:
        return f"it takes more than {SECONDS:g} s or {MEMORY >> 30} GiB"


@contextmanager
def limited() -> Iterator[None]:
    """Raises LimitExceeded inside the block where it goes on for too long, or takes too much memory."""
    _bound_products()
    done = threading.Event()
    thread = threading.get_ident()
    start = _resident()
    interrupted = False

    def watch() -> None:
        nonlocal interrupted
        waited, pause = 0.0, PAUSE
        while not done.wait(pause):
            waited += pause
            if waited > SECONDS or _resident() - start > MEMORY:
                interrupted, error = True, ctypes.py_object(LimitExceeded)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)
                pause = AGAIN

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        if interrupted:
            _let_it_come()


def _let_it_come() -> None:
    """Takes an interrupt that came too late: withdrawing it makes Python 3.11 loop for ever in a debugger."""
    with suppress(LimitExceeded):
        time.sleep(0)


def _resident() -> int:
    """Bytes of memory that this process has in use."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096
    except OSError:
        return 0


def _bound_products() -> None:
    """Tells jinja's sandbox to look at `*` and `**`, of which one alone may fill the memory."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment as Sandbox

    Sandbox.intercepted_binops = frozenset({"*", "**"})
    Sandbox.default_binop_table = {
        **Sandbox.default_binop_table,
        "*": _checked(operator.mul, lambda a, b: _length(a) * _length(b)),
        "**": _checked(operator.pow, lambda a, b: _length(a).bit_length() * _length(b)),
    }


def _length(value: Any) -> int:
    """How long a text or list is, or how large a number."""
    if hasattr(value, "__len__"):
        return len(value)
    return min(abs(int(value)), 1 << 62) if isinstance(value, int | float) else 0


def _checked(
    operation: Callable[[Any, Any], Any], size: Callable[[Any, Any], int]
) -> Callable[[Any, Any], Any]:
    def compute(a: Any, b: Any) -> Any:
        plain = isinstance(a, int | float) and isinstance(b, int | float)
        if size(a, b) > LONGEST and not (plain and operation is operator.mul):
            raise LimitExceeded
        return operation(a, b)

    return compute
