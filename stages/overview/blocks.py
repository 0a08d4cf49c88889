"""A stream of JSON Lines by the block: many lines are read and checked together.

`jsonl.read_lines` says of each line where it stands and what is wrong with it. Who only counts lines takes
them from here in a fraction of the time, and gives a block that has anything unusual to `read_lines`.

A stream consists of pieces and a piece of blocks, both by the number of bytes: the same bytes make the same
blocks, whether they come from a file or through a pipe.
"""

from __future__ import annotations

from typing import IO, Any

import orjson

from stages.records.jsonl import DEPTH, LONGEST

BLOCK = 1 << 18  # bytes: what is made of it fits the cache of a core
PIECE = 1 << 25  # bytes; a line belongs to the piece that it begins in
WINDOW = 1 << 10  # bytes whose brackets are counted together
SMALL = 1 << 14  # bytes of a block that numpy is not loaded for
BRACKET = 0x7B  # `{`, and also `[` once its bit 0x20 is set


class Blocks:
    """The lines of an open stream, which begins where a line does."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""
        self._error: OSError | None = None

    def next(self, room: int) -> bytes:
        """Whole lines that begin in the next `room` bytes; nothing at the end of the stream.

        Of a line longer than `LONGEST` its beginning. Raises OSError where the stream cannot be read, after
        the lines that could be.
        """
        size = min(BLOCK, room)
        self._fill(size)
        end = self._rest.rfind(b"\n", 0, size) + 1 if room > BLOCK else 0
        end = end or self._line_end(size - 1)
        block = self._rest[:end]
        self._rest = self._rest[len(block) :]
        if self._error is not None:
            block = block[: block.rfind(b"\n") + 1]
            if not block:
                raise self._error
        return block

    def _line_end(self, begin: int) -> int:
        """The end of the line that has byte `begin`."""
        while (end := self._rest.find(b"\n", begin)) < 0:
            begin = len(self._rest)
            if begin >= LONGEST or not self._fill(max(2 * begin, BLOCK)):
                return begin
        return end + 1

    def _fill(self, size: int) -> bool:
        """Has `size` bytes ready, or all that are left; False where nothing is."""
        parts, had = [self._rest], len(self._rest)
        ready = had
        try:
            while ready < size and (part := self._stream.read1(size - ready)):  # type: ignore[attr-defined]
                parts.append(part)
                ready += len(part)
        except OSError as error:
            self._error = error
        self._rest = b"".join(parts) if ready > had else self._rest
        return ready > had


def objects(block: bytes) -> list[dict[str, Any]] | None:
    """The JSON objects of its lines; None where one must be looked at alone: an error, or an empty line.

    Integers of more than 64 bits are floats.
    """
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if _brackets(block, lines) > DEPTH:
        return None
    try:
        values = list(map(orjson.loads, lines))
    except ValueError:
        return None
    return values if set(map(type, values)) == {dict} else None


def _brackets(block: bytes, lines: list[bytes]) -> int:
    """How many a line has at most, or more."""
    if len(block) > SMALL:
        import numpy as np

        whole = np.frombuffer(block, dtype=np.uint8, count=len(block) // WINDOW * WINDOW)
        marks = ((whole | 0x20) == BRACKET).view(np.uint64).reshape(-1, WINDOW // 8).sum(axis=1)
        most = int(marks.view(np.uint8).reshape(-1, 8).sum(axis=1).max())
        end = block[len(whole) :]
        most = max(most, end.count(b"[") + end.count(b"{"))
        bound = most * (max(map(len, lines)) // WINDOW + 2)
        if bound <= DEPTH:
            return bound
    return max(line.count(b"[") + line.count(b"{") for line in lines)
