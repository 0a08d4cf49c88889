"""Records in the order of a key, in bounded memory: sorted pieces on disk, merged (external merge sort).

The sort is stable. `memory` bytes of encoded records are held at a time; what is more lies in temporary
files, which are as large as the input and gone when the process is, however it ends.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Annotated, Any, NamedTuple

from stages.records.jsonl import decode, encode
from stages.records.record import Record, seed_of
from stages.runtime.errors import StreamError
from stages.settings.options import Doc, Range

Key = list[Any]  # JSON values that can be compared with those of any other record's key
Memory = Annotated[int, Doc("MiB of records to hold; the rest lies in temporary files."), Range(low=1)]
PIECES = 64  # files merged at a time, each of them open
BESIDES = 400  # bytes that a record takes in memory besides its text


class Line(NamedTuple):
    """An encoded record with its key, and where it was read."""

    key: Key
    place: str
    text: bytes


def in_order(
    keyed: Iterable[tuple[Key, Record]], memory: int, *, reverse: bool = False
) -> Iterator[tuple[Key, Record]]:
    """All records with their keys, the lowest key first, or under `reverse` the highest; equals as they came.

    `memory` is in bytes. Raises StreamError where a temporary file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        pieces: list[IO[bytes]] = []
        held: list[Line] = []
        size = 0
        for key, record in keyed:
            text = encode(record)
            held.append(Line(key, record.place, text))
            size += len(text) + BESIDES
            if size >= memory:
                if len(pieces) == PIECES:
                    pieces = [_written(_merged(pieces, [], reverse), stack)]
                held.sort(key=_key, reverse=reverse)
                pieces.append(_written(held, stack))
                held, size = [], 0
        held.sort(key=_key, reverse=reverse)
        for line in _merged(pieces, held, reverse):
            yield line.key, Record(decode(line.text), place=line.place)


def shuffled(records: Iterable[Record], memory: int, seed: int, *, again: bool = False) -> Iterator[Record]:
    """All records in the order that `seed` names, all of them read before the first is given.

    With `again` all in another order follow, and so on without end. `memory` is as for `in_order`.
    """
    turn = 0
    with contextlib.ExitStack() as stack:
        while True:
            drawn = random.Random(seed_of(seed, turn))
            ordered = in_order((([drawn.random()], record) for record in records), memory)
            if not again:
                yield from (record for _, record in ordered)
                return
            kept = stack.enter_context(_file())
            count = 0
            for key, record in ordered:
                count += 1
                with _on_disk():
                    _write(kept, Line(key, record.place, encode(record)))
                yield record
            if not count:
                return
            records = (Record(decode(line.text), place=line.place) for line in _read(kept, last=True))
            turn += 1


def _key(line: Line) -> Key:
    return line.key


def _merged(pieces: list[IO[bytes]], held: list[Line], reverse: bool) -> Iterator[Line]:
    """The lines of what is sorted, sorted; those of an earlier piece before their equals of a later one."""
    yield from heapq.merge(*map(_read, pieces), held, key=_key, reverse=reverse)
    for piece in pieces:
        piece.close()


def _written(lines: Iterable[Line], stack: contextlib.ExitStack) -> IO[bytes]:
    piece = stack.enter_context(_file())
    with _on_disk():
        for line in lines:
            _write(piece, line)
        piece.flush()
    return piece


def _file() -> IO[bytes]:
    with _on_disk() as folder:
        return tempfile.TemporaryFile(dir=folder)


@contextlib.contextmanager
def _on_disk() -> Iterator[str]:
    """Where temporary files lie. Python would try it with a file that a kill can leave there."""
    folder = os.environ.get("TMPDIR") or "/tmp"
    try:
        yield folder
    except OSError as error:
        raise StreamError(f"cannot write to {folder}: {error.strerror or error}; set TMPDIR") from error


def _write(piece: IO[bytes], line: Line) -> None:
    piece.write(encode({"key": line.key, "place": line.place}) + line.text)


def _read(piece: IO[bytes], *, last: bool = False) -> Iterator[Line]:
    """The lines of a piece, which is closed where this is the `last` time."""
    with _on_disk():
        piece.seek(0)  # which writes what is still held back
    for head in piece:
        said = decode(head)
        yield Line(said["key"], said["place"], piece.readline())
    if last:
        piece.close()
