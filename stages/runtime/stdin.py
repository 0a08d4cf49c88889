"""The one stdin: the records are in it, so nothing but the stage may read it.

A library that asks a question there would take a record for the answer, and a program that is started would
eat them. `claim` keeps the real one under another number, and leaves an empty one in its place.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from stages.runtime import reading
from stages.runtime.errors import UsageError

NAMES = (
    "/dev/stdin",
    "/dev/fd/0",
    "/proc/self/fd/0",
)  # by which a command line may ask for it as a file

_taken: bool | None = None  # whether it has been read since it was claimed
_place = 0  # where the real one is: a process has one, as it has one descriptor 0


def claim() -> None:
    """From here on only `opened` gives the real stdin. A command line that names descriptor 0 as a file keeps
    it there too.
    """
    global _place, _taken
    _taken = False
    if any(name in word for word in sys.argv for name in NAMES):
        _place = 0
    else:
        if _place:
            os.close(_place)
        _place = os.dup(0)  # os.dup's is closed in child processes
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - as long as the process


@contextlib.contextmanager
def opened() -> Iterator[BinaryIO]:
    """The real stdin; it stays open when the block ends.

    Raises UsageError where the program has read it before and it is no terminal: nothing would be left in it.
    """
    global _taken
    if _taken and not is_terminal():
        raise UsageError("standard input is asked for twice; it can be read once: name a file for one")
    _taken = None if _taken is None else True
    with reading.opened(_place, closefd=False) as stream:
        yield stream


def is_terminal() -> bool:
    """Whether a person would have to type the records."""
    return os.isatty(_place)
