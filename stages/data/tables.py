"""Rows of a file, whatever holds them: JSON Lines, a JSON array, CSV, TSV or parquet.

A row is a `Record` with its place, and nothing of it is interpreted: stages/data/formats.py says what
its fields mean. `.gz` and `.zst` are read through, except around parquet, which compresses itself.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import orjson

from stages.data.errors import BadInput, StreamError, Unavailable
from stages.data.jsonl import open_input, read_lines
from stages.data.record import Record, kind_of

BATCH = 1024  # rows of a parquet file in memory at once


def read_rows(path: str, *, columns: Sequence[str] = ()) -> Iterator[Record]:
    """The rows of `path` in order; `-` is standard input. `columns` name those of a CSV without a header.

    Raises BadInput with the place for a row that cannot be read, StreamError for a file that cannot,
    Unavailable where parquet is asked for and pyarrow is missing.
    """
    if path == "-":
        # By descriptor: the stage's room never touches sys's streams.
        with open(0, "rb", closefd=False) as stream:
            yield from _json_rows(stream, "stdin")
        return
    kind = Path(path.removesuffix(".gz").removesuffix(".zst")).suffix.lower()
    if kind == ".parquet":
        yield from _parquet_rows(path)
        return
    with open_input(path) as stream:
        if kind in (".csv", ".tsv"):
            yield from _separated_rows(stream, path, "\t" if kind == ".tsv" else ",", columns)
        else:
            yield from _json_rows(stream, path)


def stem_of(path: str) -> str:
    """The file's name without its folders and extensions, as made-up ids use it."""
    return "stdin" if path == "-" else Path(path).name.split(".")[0] or "row"


def _json_rows(stream: IO[bytes], path: str) -> Iterator[Record]:
    """A JSON array where the first character says so, else JSON Lines."""
    head: list[bytes] = []
    for line in stream:
        head.append(line)
        if line.strip():
            break
    lines = _chained(head, stream)
    if head and head[-1].lstrip().startswith(b"["):
        yield from _array_rows(b"".join(lines), path)
    else:
        yield from read_lines(lines, path)


def _chained(head: list[bytes], stream: Iterable[bytes]) -> Iterator[bytes]:
    yield from head
    yield from stream


def _array_rows(text: bytes, path: str) -> Iterator[Record]:
    try:
        rows: list[Any] = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        line = text.count(b"\n", 0, error.pos) + 1
        raise BadInput(
            f"not JSON ({error.msg})", place=f"{path}:{line}", remedy="a JSON array of objects"
        ) from None
    for number, row in enumerate(rows, 1):
        yield Record(_object(row, f"{path}[{number}]"), place=f"{path}[{number}]")


def _object(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadInput(f"{kind_of(row)}, not an object", place=place, remedy="an array of objects")
    return row


def _separated_rows(
    stream: IO[bytes], path: str, separator: str, columns: Sequence[str]
) -> Iterator[Record]:
    """CSV quotes as RFC 4180 says; TSV does not quote at all, so a lone quotation mark is text."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    if separator == "\t":
        reader = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(text, delimiter=separator, strict=True)
    names = list(columns)
    try:
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if not names:
                names = row
                continue
            if not row:
                continue
            if len(row) != len(names):
                raise BadInput(
                    f"{len(row)} columns, expected {len(names)} ({', '.join(names)})",
                    place=place,
                    remedy="name the columns of a file without a header with --columns",
                )
            yield Record(zip(names, row, strict=True), place=place)
    except csv.Error as error:
        raise BadInput(f"not CSV ({error})", place=f"{path}:{reader.line_num}") from None
    except UnicodeDecodeError as error:
        raise BadInput(
            f"not UTF-8 ({error.reason})", place=f"{path}:{reader.line_num + 1}"
        ) from None


def _parquet_rows(path: str) -> Iterator[Record]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]
    except ImportError:
        raise Unavailable("reading parquet needs pyarrow", install="pip install pyarrow") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(row, place=f"{path}:{number}")
    except pyarrow.ArrowInvalid as error:
        raise BadInput(f"not parquet ({error})", place=path) from None
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror or error}") from error


def write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Writes `rows` as one parquet file, which appears whole. Holds them all in memory. Returns how many."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise Unavailable("writing parquet needs pyarrow", install="pip install pyarrow") from None
    from stages.data.jsonl import open_output

    table = pyarrow.Table.from_pylist([dict(row) for row in rows])
    with open_output(path) as stream:
        parquet.write_table(table, stream)
    return int(table.num_rows)
