"""Records in and out of files: JSON Lines, plain, .gz or .zst.

Reading names the `FILE:LINE` of what it cannot read. A file that is written appears whole.
`Journal` is what makes `--resume` possible: an append-only log of the records finished so far.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import orjson

from stages.records.compressed import endings, unpacked, zstd
from stages.records.record import Record, kind_of
from stages.runtime import atomic, reading, stdin
from stages.runtime.errors import BadInput, StreamError, UsageError, naming
from stages.runtime.lock import hold

# Digits in a row that may not fit the 64 bits of orjson's integers, once all digits are `0`.
LONG_INTEGER, ZEROS = b"0" * 19, bytes.maketrans(b"123456789", b"0" * 9)
DEPTH = 200  # levels of a value; orjson writes 254, and stages put records into others
LINES = "each line must be one JSON object"
# How files of other kinds begin, and what to do with one.
OTHERS = {
    b"[": "`r1 prompts FILE` makes records of a JSON array",
    b"PAR1": "`r1 prompts FILE` makes records of a parquet file whose name ends in .parquet",
    b"\x1f\x8b": "it is compressed: let its name end in .gz, or pipe it through zcat",
    b"\x28\xb5\x2f\xfd": "it is compressed: let its name end in .zst, or pipe it through zstdcat",
    b"PK\x03\x04": "it is a zip archive or a spreadsheet: unpack it, or save the sheet as CSV",
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
}
LONGEST = 1 << 28  # bytes of a line: a quarter of a GiB is no record, but a device or another kind of file


def decode(line: str | bytes) -> Any:
    """One line's JSON value. Integers keep all digits; NaN, Infinity and what is nested too deep are refused
    (ValueError).
    """
    raw = line.encode() if isinstance(line, str) else line
    value = orjson.loads(raw)
    if raw.count(b"[") + raw.count(b"{") > DEPTH and _deep(value):
        raise ValueError(f"nested more than {DEPTH} levels deep")
    # The other reader keeps the digits, but would take half a surrogate pair, NaN and UTF-16.
    return json.loads(raw) if LONG_INTEGER in raw.translate(ZEROS) else value


def _deep(value: Any) -> bool:
    """Whether `value` has more than `DEPTH` levels."""
    level: list[Any] = [[value]]
    for _ in range(DEPTH + 1):
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [one for each in inside for one in each if isinstance(one, (dict, list))]
        if not level:
            return False
    return True


def encode(record: dict[str, Any]) -> bytes:
    """One line, with its newline. Raises ValueError where a float is NaN or infinite."""
    try:
        line = orjson.dumps(record)
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    if b"null" in line and not _finite(record):  # orjson writes NaN as null
        raise ValueError("NaN and infinity are not JSON")
    return line + b"\n"


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_finite, value))


def read(paths: Sequence[str]) -> Iterator[Record]:
    """The records of `paths` in order; `-` and an empty list mean standard input.

    Raises BadInput with the place for a line that is no JSON object, StreamError for a file that
    cannot be read.
    """
    for path in paths or ("-",):
        if path == "-":
            with stdin.opened() as stream:
                yield from read_lines(stream, "stdin")
        else:
            yield from read_file(path)


class Source(Iterator[Record]):
    """Iterates over `records`, which are those of `paths`; `-` is standard input.

    A stage that reads `paths` itself leaves the records alone.
    """

    def __init__(self, paths: Sequence[str], records: Iterator[Record]) -> None:
        self.paths = tuple(paths) or ("-",)
        self._records = records

    def __next__(self) -> Record:
        return next(self._records)


def read_file(path: str | Path) -> Iterator[Record]:
    """The records of one file. Raises as `read` does."""
    with open_input(path) as stream:
        yield from read_lines(stream, str(path))


def lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of an open file, cut where one is longer than `LONGEST`; of anything else, its pieces."""
    readline = getattr(stream, "readline", None)
    return iter(stream) if readline is None else iter(functools.partial(readline, LONGEST), b"")


def read_lines(
    stream: Iterable[bytes], name: str, *, after: int = 0, beginning: bytes = b""
) -> Iterator[Record]:
    """The records of an open stream; `name` is what its place is called.

    `after` lines of it were read elsewhere, whose first had this `beginning`.
    """
    import jsonlines  # 18 ms of each start

    number = after
    line = b""
    name = name.encode(errors="backslashreplace").decode()  # it may get into a record

    def counted() -> Iterator[bytes]:
        nonlocal number, beginning, line
        try:
            for number, line in enumerate(lines(stream), after + 1):
                if len(line) >= LONGEST:
                    raise BadInput(
                        f"a line of more than {LONGEST >> 20} MiB",
                        place=f"{name}:{number}",
                        remedy=_remedy(name, beginning),
                    )
                beginning = beginning or line.lstrip()[:4]
                yield line
        except OSError as error:
            raise StreamError(f"{name}:{number + 1}: cannot read: {error}") from error

    reader = jsonlines.Reader(counted(), loads=decode)
    while True:
        try:
            value = reader.read(skip_empty=True, allow_none=True)
        except EOFError:
            return
        except (jsonlines.InvalidLineError, ValueError) as error:
            raise BadInput(
                f"not JSON ({_why(error.__cause__ or error)})",
                place=f"{name}:{number}",
                remedy=_remedy(name, beginning, line),
            ) from None
        if not isinstance(value, dict):
            raise BadInput(
                f"{kind_of(value)}, not an object",
                place=f"{name}:{number}",
                remedy=_remedy(name, beginning),
            )
        yield Record(value, place=f"{name}:{number}")


def _remedy(name: str, beginning: bytes, line: bytes = b"") -> str:
    """What to do about a stream that is no JSON Lines, by its name, how it begins, and the line."""
    if endings(name)[0] in (".csv", ".tsv"):
        return "`r1 prompts FILE` makes records of its rows"
    for mark, told in OTHERS.items():
        if beginning.startswith(mark):
            return told
    constants: list[str] = []
    try:
        json.loads(line, parse_constant=constants.append)
    except UnicodeDecodeError:
        return "save it as UTF-8"
    except (ValueError, RecursionError):
        return LINES
    return f"JSON has no {constants[0]}: write null" if constants else LINES


def _why(error: BaseException) -> str:
    """What is wrong with a line, and where in it: the line's own number stands in the place."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error)


@contextlib.contextmanager
def open_input(path: str | Path) -> Iterator[IO[bytes]]:
    """A file for reading, decompressed by its extension."""
    with naming("read", path), reading.opened(path) as raw, unpacked(raw, str(path)) as stream:
        yield stream


@contextlib.contextmanager
def open_output(path: str | Path) -> Iterator[IO[bytes]]:
    """A file that appears under `path`, whole, when the block ends without an error.

    A link stays one, and a device or a pipe is written into. Raises StreamError where that fails, UsageError
    where another run is writing `path`.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        if is_special(path):
            raw = stack.enter_context(atomic.device(path))
        else:
            target = Path(os.path.realpath(path)) if path.is_symlink() else path
            raw = stack.enter_context(atomic.file(target))
        stream: IO[bytes] = raw
        packing = endings(path)[1]
        if packing == ".gz":
            packed = stack.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0))
            stream = cast(IO[bytes], packed)
        elif packing == ".zst":
            stream = stack.enter_context(zstd().ZstdCompressor().stream_writer(raw, closefd=False))
        yield stream
        stream.flush()


def is_special(path: str | Path) -> bool:
    """Whether `path` is a device or a pipe, which a rename would replace."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # ValueError: a NUL in it
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def write(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    """Writes all records to `path`, which appears whole."""
    with open_output(path) as stream:
        for record in records:
            stream.write(encode(record))


class Journal:
    """The records an unfinished run has finished, on disk, by key.

    A stage asks `get(key)` before it works and calls `put(key, record)` when it has: the key
    names everything that the record depends on, so a line made under other settings is never
    taken. A torn last line, from a kill in mid-write, is cut. `discard` ends a finished run.
    """

    def __init__(self, path: str | Path, *, resume: bool) -> None:
        """Opens `path`. Raises UsageError where it holds an unfinished run and `resume` is not set, is no
        journal, or another process has it open; StreamError where it cannot be read or written.
        """
        self.path = Path(path)
        self._offsets: dict[str, int] = {}
        self.taken = 0
        self._file = self._open()
        try:
            with naming("read", self.path):
                size = os.fstat(self._file.fileno()).st_size
                if size and not resume:
                    raise UsageError(
                        f"{path} holds an unfinished run; add --resume to go on with it, or delete it"
                    )
                end = self._scan()
            with naming("write", self.path):
                self._file.truncate(end)
                self._file.seek(end)
        except BaseException:
            self.close()
            raise

    def _open(self) -> BinaryIO:
        """The file, locked."""
        while True:
            with naming("write", self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                opened = open(self.path, "a+b")  # noqa: SIM115 - open as long as the run
            try:
                hold(opened.fileno(), str(self.path))
                # Else a run that ended has deleted it meanwhile.
                if atomic.same(self.path, opened.fileno(), follow=True):
                    return opened
            except BaseException:
                opened.close()
                raise
            opened.close()

    def _scan(self) -> int:
        """Finds the lines, and where the last whole one ends."""
        self._file.seek(0)
        end = 0
        for line in self._file:
            try:
                if not line.endswith(b"\n"):
                    raise ValueError("torn")
                self._offsets[decode(line)["key"]] = end
            except (ValueError, KeyError, TypeError):
                if not end and not _torn(line):
                    raise UsageError(
                        f"{self.path} is no journal of r1; move it, or name another file"
                    ) from None
                break
            end += len(line)
        return end

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def get(self, key: str) -> dict[str, Any] | None:
        """The record finished under `key`, or None. Raises StreamError where it cannot be read any more."""
        offset = self._offsets.get(key)
        if offset is None:
            return None
        with naming("read", self.path):
            self._file.seek(offset)
            line = self._file.readline()
            self._file.seek(0, os.SEEK_END)
        self.taken += 1
        try:
            record: dict[str, Any] = decode(line)["record"]
        except (ValueError, KeyError, TypeError):
            raise StreamError(f"cannot read {self.path}: it was changed by another program") from None
        return record

    def put(self, key: str, record: dict[str, Any]) -> None:
        """Appends a finished record; it survives a kill of this process from here on."""
        with naming("write", self.path):
            offset = self._file.tell()
            self._file.write(encode({"key": key, "record": record}))
            self._file.flush()
            self._offsets[key] = offset

    def close(self) -> None:
        """Keeps the file, for a later `--resume`."""
        with contextlib.suppress(OSError):
            self._file.close()

    def discard(self) -> None:
        """Deletes the file: the run it served is complete. Raises StreamError where it stays."""
        with naming("delete", self.path):
            self.path.unlink(missing_ok=True)  # while it is locked: no other run opens it in between
        self.close()


def _torn(line: bytes) -> bool:
    """Whether `line` may be what a kill or a crash has left of a journal's first."""
    begin = b'{"key":"'
    return line.startswith(begin) or begin.startswith(line) or not line.strip(b"\0")
