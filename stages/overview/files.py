"""Whole files counted: by the block, a large one by several processes, and line by line where that is needed.

The figures do not depend on who counts: each piece of a file (blocks.py) is counted by itself, and
the pieces are joined in their order. A piece has more different texts than are kept only where it knows which
of them the pieces before it keep; so this process counts it, and not a helper.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import signal
import stat
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from stages.formats.foreign import Rows, is_whole
from stages.overview.blocks import PIECE, Blocks, objects
from stages.overview.counting import Asked, Counting
from stages.records import jsonl
from stages.records.compressed import endings
from stages.runtime import stdin
from stages.runtime.errors import StreamError
from stages.runtime.report import Report

HELPERS = 2  # processes that count a large file; each takes 20 MB


def of_files(paths: Sequence[str], asked: Asked, report: Report) -> Counting:
    """All records of `paths`; `-` is standard input. Raises as `jsonl.read` and `Counting.add` do."""
    counting, rows = Counting(asked), Rows()
    with _without_collector():
        for path in paths:
            if path == "-":
                with stdin.opened() as stream:
                    _File(stream, "stdin", counting, rows, report).count()
            else:
                with jsonl.open_input(path) as opened, _helpers(path, asked) as helpers:
                    _File(opened, path, counting, rows, report).count(helpers)
    rows.tell(report)
    return counting


class _File:
    """A stream that is counted, piece after piece."""

    def __init__(self, stream: IO[bytes], path: str, counting: Counting, rows: Rows, report: Report) -> None:
        self._stream, self._counting, self._rows, self._report = stream, counting, rows, report
        self._name = path.encode(errors="backslashreplace").decode()  # as read_lines calls it
        self._lines = 0
        self._beginning = b""

    def count(self, helpers: Sequence[IO[bytes]] = ()) -> None:
        """Takes what helpers have counted, and counts the rest."""
        blocks = Blocks(self._stream)
        piece, end = 0, 0
        while True:
            counting = Counting(self._counting.asked)
            found = _received(helpers[piece % len(helpers)]) if helpers else None
            if found is not None and not self._counting.knows(found.counting):
                found, helpers = None, ()  # the pieces after it have as many texts
            if found is not None:
                counting, end = found.counting, found.end
                counting.asked = self._counting.asked
                self._take(found)
                self._stream.seek(end)
                blocks = Blocks(self._stream)
            counting.follow(self._counting)
            while (room := (piece + 1) * PIECE - end) > 0:
                try:
                    block = blocks.next(room)
                except OSError as error:
                    raise StreamError(f"{self._name}:{self._lines + 1}: cannot read: {error}") from error
                if not block:
                    break
                self._block(block, counting)
                end += len(block)
            self._counting.join(counting)
            if room > 0:
                return
            piece += 1

    def _take(self, found: Piece) -> None:
        self._lines += found.lines
        self._rows.passed(self._name, found.counting.records)
        self._report.advance(found.counting.records)
        if found.counting.records:
            self._beginning = self._beginning or b"{"

    def _block(self, block: bytes, counting: Counting) -> None:
        count = _at_once(block, self._name, counting)
        if count:
            self._rows.passed(self._name, count)
            self._report.advance(count)
        else:
            count = block.count(b"\n")
            lines = io.BytesIO(block)
            for row in jsonl.read_lines(lines, self._name, after=self._lines, beginning=self._beginning):
                for record in self._rows.records(row):
                    counting.add(record)
                    self._report.advance()
        self._beginning = self._beginning or block.lstrip()[:4]
        self._lines += count


class Piece(NamedTuple):
    """What a helper has counted: its lines, up to byte `end` of the file."""

    counting: Counting
    lines: int
    end: int


def _at_once(block: bytes, name: str, counting: Counting) -> int:
    """Counts all lines of the block, and says how many.

    0, and nothing is counted, where one must be looked at alone.
    """
    rows = objects(block)
    if rows is None:
        return 0
    shapes = [*map(tuple, rows)]
    return len(rows) if all(map(is_whole, set(shapes))) and counting.add_all(rows, shapes, name) else 0


@contextlib.contextmanager
def _helpers(path: str, asked: Asked) -> Iterator[list[IO[bytes]]]:
    """Processes that count a large plain file, one piece after the other in turns; what they send.

    One that finds anything unusual, or is killed, leaves the rest of its piece to this process.
    """
    status = os.stat(path)
    several = status.st_size > 2 * PIECE and len(os.sched_getaffinity(0)) > 1
    count = HELPERS if several and stat.S_ISREG(status.st_mode) and not endings(path)[1] else 0
    found: list[IO[bytes]] = []
    children: list[int] = []
    try:
        for k in range(count):
            source, sink = os.pipe()
            child = os.fork()
            if not child:
                try:
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                        signal.signal(number, signal.SIG_DFL)
                    for stream in (*found, os.fdopen(source, "rb")):
                        stream.close()
                    with os.fdopen(sink, "wb") as out:
                        _help(path, asked, range(k, status.st_size // PIECE + 1, count), out)
                finally:
                    os._exit(0)
            children.append(child)
            os.close(sink)
            found.append(os.fdopen(source, "rb"))
        yield found
    finally:
        for stream in found:
            stream.close()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _help(path: str, asked: Asked, pieces: Sequence[int], out: IO[bytes]) -> None:
    """Counts pieces of a file and sends them."""
    name = path.encode(errors="backslashreplace").decode()
    with jsonl.open_input(path) as stream:
        for piece in pieces:
            stream.seek(max(piece * PIECE - 1, 0))
            if piece:
                stream.readline()
            end, lines = stream.tell(), 0
            blocks, counting = Blocks(stream), Counting(asked)
            while (room := (piece + 1) * PIECE - end) > 0 and (block := blocks.next(room)):
                count = _at_once(block, name, counting)
                if not count:
                    break
                end += len(block)
                lines += count
            del counting.asked  # it is the same there
            pickle.dump(Piece(counting, lines, end), out)
            out.flush()


def _received(source: IO[bytes]) -> Piece | None:
    """The next piece; None where its helper has ended."""
    try:
        found: Piece = pickle.load(source)
    except (EOFError, OSError, pickle.UnpicklingError):
        return None
    return found


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing here is a circle of references, and looking for them takes a fifth of the time."""
    had = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if had:
            gc.enable()
