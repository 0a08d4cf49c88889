"""Records in and out of files: JSON Lines, plain, .gz or .zst.

Reading names the `FILE:LINE` of what it cannot read. A file that is written appears whole.
`Journal` is what makes `--resume` possible: an append-only log of the records finished so far.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import orjson

from stages.data.errors import BadInput, StreamError, Unavailable, UsageError
from stages.data.lock import hold
from stages.data.record import Record, kind_of

LONG_INTEGER = re.compile(rb"\d{19}")  # may not fit the 64 bits of orjson's integers


def decode(line: str | bytes) -> Any:
    """One line's JSON value. Integers keep all digits; NaN and Infinity are refused (ValueError)."""
    raw = line.encode() if isinstance(line, str) else line
    value = orjson.loads(raw)
    # The other reader keeps the digits, but would take half a surrogate pair, NaN and UTF-16.
    return json.loads(raw) if LONG_INTEGER.search(raw) else value


def encode(record: dict[str, Any]) -> bytes:
    """One line, with its newline. Raises ValueError where a float is NaN or infinite."""
    try:
        line = orjson.dumps(record)
    except TypeError:  # an integer of more than 64 bits
        return (
            json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
            + b"\n"
        )
    if b"null" in line and not _finite(record):  # orjson writes NaN as null
        raise ValueError("NaN and infinity are not JSON")
    return line + b"\n"


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_finite, value))


def read(paths: Sequence[str], stdin: BinaryIO) -> Iterator[Record]:
    """The records of `paths` in order; `-` and an empty list mean `stdin`.

    Raises BadInput with the place for a line that is no JSON object, StreamError for a file that
    cannot be read.
    """
    for path in paths or ("-",):
        if path == "-":
            yield from read_lines(stdin, "stdin")
        else:
            with open_input(path) as stream:
                yield from read_lines(stream, path)


def read_lines(stream: Iterable[bytes], name: str) -> Iterator[Record]:
    """The records of an open stream; `name` is what its place is called."""
    import jsonlines  # 18 ms of each start

    number = 0

    def counted() -> Iterator[bytes]:
        nonlocal number
        try:
            for number, line in enumerate(stream, 1):  # noqa: B007
                yield line
        except (OSError, EOFError) as error:  # EOFError: a compressed file that was cut short
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
                remedy="each line must be one JSON object",
            ) from None
        if not isinstance(value, dict):
            raise BadInput(
                f"{kind_of(value)}, not an object",
                place=f"{name}:{number}",
                remedy="each line must be one JSON object",
            )
        yield Record(value, place=f"{name}:{number}")


def _why(error: BaseException) -> str:
    """What is wrong with a line, and where in it: the line's own number stands in the place."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error)


@contextlib.contextmanager
def open_input(path: str | Path) -> Iterator[IO[bytes]]:
    """A file for reading, decompressed by its extension."""
    try:
        with contextlib.ExitStack() as stack:
            if str(path).endswith(".gz"):
                yield cast(IO[bytes], stack.enter_context(gzip.open(path, "rb")))
            elif str(path).endswith(".zst"):
                raw = stack.enter_context(open(path, "rb"))
                yield io.BufferedReader(
                    stack.enter_context(_zstd().ZstdDecompressor().stream_reader(raw))
                )
            else:
                yield stack.enter_context(open(path, "rb"))
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def open_output(path: str | Path) -> Iterator[IO[bytes]]:
    """A file that appears under `path`, whole, when the block ends without an error."""
    path = Path(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(os.fdopen(handle, "wb"))
            stream: IO[bytes] = raw
            if path.name.endswith(".gz"):
                packed = stack.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0))
                stream = cast(IO[bytes], packed)
            elif path.name.endswith(".zst"):
                stream = stack.enter_context(_zstd().ZstdCompressor().stream_writer(raw))
            yield stream
            stream.flush()
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise StreamError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write(path: str | Path, records: Iterable[dict[str, Any]]) -> int:
    """Writes all records to `path`, which appears whole. Returns how many."""
    count = 0
    with open_output(path) as stream:
        for record in records:
            stream.write(encode(record))
            count += 1
    return count


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _zstd() -> Any:
    try:
        import zstandard
    except ImportError:
        raise Unavailable("reading .zst needs zstandard", install="pip install zstandard") from None
    return zstandard


class Journal:
    """The records an unfinished run has finished, on disk, by key.

    A stage asks `get(key)` before it works and calls `put(key, record)` when it has: the key
    names everything that the record depends on, so a line made under other settings is never
    taken. A torn last line, from a kill in mid-write, is cut. `discard` ends a finished run.
    """

    def __init__(self, path: str | Path, *, resume: bool) -> None:
        """Opens `path`. Raises UsageError where it holds an unfinished run and `resume` is not set, or
        another process has it open; StreamError where it cannot be written.
        """
        self.path = Path(path)
        self._offsets: dict[str, int] = {}
        self.taken = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115 - open as long as the run
        except OSError as error:
            raise StreamError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            hold(self._file, str(path))
            if self.path.stat().st_size and not resume:
                raise UsageError(
                    f"{path} holds an unfinished run; add --resume to go on with it, or delete it"
                )
            self._scan()
        except BaseException:
            self._file.close()
            raise

    def _scan(self) -> None:
        self._file.seek(0)
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            try:
                self._offsets[decode(line)["key"]] = end
            except (ValueError, KeyError, TypeError):
                break
            end += len(line)
        self._file.truncate(end)
        self._file.seek(end)

    def __len__(self) -> int:
        return len(self._offsets)

    def __bool__(self) -> bool:
        return True  # an empty journal is still one to write to

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def get(self, key: str) -> dict[str, Any] | None:
        """The record finished under `key`, or None."""
        offset = self._offsets.get(key)
        if offset is None:
            return None
        self._file.seek(offset)
        line = self._file.readline()
        self._file.seek(0, os.SEEK_END)
        self.taken += 1
        record: dict[str, Any] = decode(line)["record"]
        return record

    def put(self, key: str, record: dict[str, Any]) -> None:
        """Appends a finished record; it survives a kill of this process from here on."""
        try:
            offset = self._file.tell()
            self._file.write(encode({"key": key, "record": record}))
            self._file.flush()
            self._offsets[key] = offset
        except OSError as error:
            raise StreamError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Keeps the file, for a later `--resume`."""
        with contextlib.suppress(OSError):
            self._file.close()

    def discard(self) -> None:
        """Deletes the file: the run it served is complete."""
        self.close()
        self.path.unlink(missing_ok=True)
