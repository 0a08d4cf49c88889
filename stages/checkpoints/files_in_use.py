"""A model's files while they are in use: what happens where another program changes them.

Weights are mapped into memory, and what was not looked at yet is read when it is: perhaps hours later. Where
the file has become shorter by then, or the disk fails, the kernel ends the process with SIGBUS and not a
word. Here it ends as any failed read does, with a line and code 74.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.runtime.errors import StreamError

ADDRESS = 16  # of si_addr in siginfo_t, on 64-bit Linux
HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
SA_SIGINFO = 4
PARTS = (".json", ".safetensors", ".jinja", ".model", ".txt")  # of what transformers reads


class Action(ctypes.Structure):
    """`struct sigaction` of the C library on 64-bit Linux."""

    _fields_ = [
        ("handler", HANDLER),
        ("mask", ctypes.c_ulong * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


@contextmanager
def unchanged(model: str) -> Iterator[None]:
    """Raises StreamError where a file of the directory `model` is not after the block what it was before.

    Whatever the block has loaded is then of no version. It raises that, too, in place of the errors this
    leads to.
    """
    before = stamps(model)
    try:
        yield
    except Exception as error:
        refuse_changed(model, before, error)
        raise
    refuse_changed(model, before)


def stamps(model: str) -> dict[Path, tuple[int, int, int]]:
    """What tells whether a file of the directory `model` is changed, for `refuse_changed`."""
    directory = Path(model)
    found = {}
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.suffix not in PARTS or not path.is_file():
            continue
        now = path.stat()
        found[path] = (now.st_ino, now.st_size, now.st_mtime_ns)
    return found


def refuse_changed(
    model: str, before: dict[Path, tuple[int, int, int]], error: Exception | None = None
) -> None:
    """Raises StreamError where a file of `model` is not what it was when its stamps were `before`."""
    after = stamps(model)
    for path in sorted({*before, *after}):
        if before.get(path) != after.get(path):
            raise StreamError(
                f"cannot read {path}: another program changed it meanwhile; run the command again"
            ) from error


@functools.cache
def guard_mapped() -> Action:
    """From here on a mapped file that cannot be read ends this process with a line that names it."""
    action = Action(HANDLER(_end), (ctypes.c_ulong * 16)(), SA_SIGINFO, None)
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).sigaction(signal.SIGBUS, ctypes.byref(action), None)
    return action  # which lives as long as the handler


def _end(number: int, information: int, context: int) -> None:
    # The instruction that failed would fail again: nothing can be raised here, and nothing be closed.
    with suppress(Exception):
        address = ctypes.c_size_t.from_address(information + ADDRESS).value
        os.write(
            2,
            f"r1: cannot read {_file_at(address)}: it became shorter while it was in use, or its disk "
            "failed\n".encode("ascii", "backslashreplace"),
        )
    os._exit(StreamError.code)


def _file_at(address: int) -> str:
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            begin, end = (int(each, 16) for each in line.split(maxsplit=1)[0].split("-"))
            if begin <= address < end:
                return "".join(c if c.isprintable() else "?" for c in line[73:].strip()) or "a file"
    return "a mapped file"
