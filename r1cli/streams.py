"""File descriptors: who may read stdin and write to stdout, and what happens when they can't be.

A stage's libraries and their children print to fd 1 (vLLM, NCCL, a stray `print`). `claim` keeps the real
stdout for the product under another number, and points fd 1 at stderr before a stage is imported. It keeps
the real stdin for the records in the same way: a library that asks a question there, or a program it starts,
finds an empty one.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from stages.runtime import shown, stdin
from stages.runtime.errors import StreamError, UsageError, naming

if TYPE_CHECKING:
    from stages.records.record import Record

Write = Callable[[bytes], object]
# Exit codes of a run that no error of stages.runtime.errors ended: 74, or 128 + the signal, as shells count.
READ_OR_WRITE = 74
INTERRUPTED = 130
BROKEN_PIPE = 141


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: everything is closed on the way out, as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class ReaderGone(Exception):
    """Who read our stdout has closed it, as `head` does: no error, but no reason to go on."""


def open_missing() -> None:
    """Opens closed standard descriptors, so that no file opened later becomes stdin or stdout.

    stdin is opened for writing and stdout for reading: using a stream that the caller closed
    is then an error, and neither an empty input nor a lost product. stderr goes to /dev/null.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)  # the lowest free number, which is this one
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    # Python leaves None for a closed stream, and libraries ask it whether it is a terminal.
    for name, number, way in (("stdin", 0, "r"), ("stdout", 2, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            opened_anew = os.fdopen(number, way, closefd=False)
            setattr(sys, name, opened_anew)
            setattr(sys, f"__{name}__", opened_anew)  # which Textual takes


class Product:
    """A descriptor that whole lines are written to, each at once.

    One write for each record costs half a microsecond more than a buffer, and in return the next program of
    the pipe sees a record as soon as it exists, without a timer or a thread that decides when.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name

    def write(self, data: bytes) -> None:
        """Raises ReaderGone where nobody reads any more, StreamError where it cannot be written."""
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BrokenPipeError:
                raise ReaderGone from None
            except BlockingIOError:  # another program made the shared terminal or pipe non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                raise StreamError(f"cannot write {self._name}: {error.strerror}") from error

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Raises StreamError where the system reports only now that it could not write."""
        with naming("write", self._name):
            os.close(self._descriptor)


def nowhere() -> Product:
    """Where the product goes that another process writes."""
    return Product(os.open(os.devnull, os.O_WRONLY), os.devnull)


def claim() -> Product:
    """The real stdout; from here on, fd 1 is stderr and fd 0 is empty for everything in and below this
    process.
    """
    sys.stdout.flush()
    product = Product(os.dup(1), "stdout")  # os.dup's is closed in child processes
    os.dup2(2, 1)
    stdin.claim()
    return product


@contextlib.contextmanager
def opened(path: str | None, stdout: Product) -> Iterator[Write]:
    """Where records go: stdout, or the file `path`, which appears whole when the block ends well."""
    if path is None or path == "-":
        yield stdout.write
        return
    from stages.records import jsonl

    if jsonl.is_special(path):
        with naming("write", path):
            device = Product(os.open(path, os.O_WRONLY), path)
        with contextlib.closing(device):
            yield device.write
        return
    with jsonl.open_output(path) as stream:
        yield stream.write


def records(files: tuple[str, ...], *, needed: bool, example: str) -> Iterator[Record]:
    """The records of `files`, or of stdin where there are none; nothing is read before the first is asked
    for.

    Raises UsageError where it would wait for a person at a terminal: at once if the stage always reads
    (`needed`), else when it does. Raises StreamError at once for a file that is not there.
    """
    for path in files:
        if path != "-" and not os.access(path, os.R_OK):
            raise StreamError(f"cannot read {path}: {_unread(path)}")
    if needed:
        _refuse_terminal(files, example)
    from stages.records.jsonl import Source  # 20 ms that `r1 --help` does without

    return Source(files, _records(files, example))


def named(files: Sequence[str]) -> str:
    """What the records came from, in a few words."""
    if not files:
        return "stdin"
    first = "stdin" if files[0] == "-" else shown.line(files[0])
    return first + (f" and {len(files) - 1} more" if len(files) > 1 else "")


def _unread(path: str) -> str:
    """Why `path` may not be opened."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return "it is a link to nothing" if os.path.islink(path) else "no such file"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", error)).lower()
    return "permission denied"


def _records(files: tuple[str, ...], example: str) -> Iterator[Record]:
    _refuse_terminal(files, example)
    from stages.records import jsonl

    yield from jsonl.read(files)


def _refuse_terminal(files: tuple[str, ...], example: str) -> None:
    if not files and stdin.is_terminal():
        raise UsageError(
            "no FILE is given and stdin is a terminal; name a file, or pipe records in"
            + (f", for example: {example}" if example else "")
        )
