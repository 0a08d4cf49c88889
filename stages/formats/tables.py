"""Rows of a file, whatever holds them: JSON Lines, a JSON array, CSV, TSV or parquet.

A row is a `Record` with its place, and nothing of it is interpreted: stages/formats/rows.py says what
its fields mean. `.gz` and `.zst` are read through, except around parquet, which compresses itself.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from stages.records.compressed import endings
from stages.records.jsonl import decode, lines, open_input, open_output, read_lines
from stages.records.record import Record, kind_of, place_of
from stages.runtime import stdin
from stages.runtime.errors import BadInput, StreamError, Unavailable

BATCH = 1024  # rows of a parquet file in memory at once


def read_rows(path: str, *, columns: Sequence[str] = ()) -> Iterator[Record]:
    """The rows of `path` in order; `-` is standard input. `columns` name those of a CSV without a header.

    Raises BadInput with the place for a row that cannot be read, StreamError for a file that cannot,
    Unavailable where parquet is asked for and pyarrow is missing.
    """
    if path == "-":
        with stdin.opened() as stream:
            yield from _json_rows(stream, "stdin")
        return
    kind = endings(path)[0]
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
    rest = lines(stream)
    head: list[bytes] = []
    try:
        for line in rest:
            head.append(line)
            if line.strip():
                break
    except OSError as error:
        raise StreamError(f"{path}:{len(head) + 1}: cannot read: {error}") from error
    every = itertools.chain(head, rest)
    if head and head[-1].lstrip().startswith(b"["):
        yield from _array_rows(b"".join(every), path)
    else:
        yield from read_lines(every, path)


def _array_rows(text: bytes, path: str) -> Iterator[Record]:
    try:
        rows: list[Any] = decode(text)
    except ValueError as error:
        line = text.count(b"\n", 0, getattr(error, "pos", 0)) + 1
        raise BadInput(
            f"not JSON ({getattr(error, 'msg', error)})",
            place=f"{path}:{line}",
            remedy="a JSON array of objects",
        ) from None
    for number, row in enumerate(rows, 1):
        yield Record(_object(row, f"{path}[{number}]"), place=f"{path}[{number}]")


def _object(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadInput(f"{kind_of(row)}, not an object", place=place, remedy="an array of objects")
    return row


def _separated_rows(stream: IO[bytes], path: str, separator: str, columns: Sequence[str]) -> Iterator[Record]:
    """CSV quotes as RFC 4180 says; TSV does not quote at all, so a lone quotation mark is text."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    if separator == "\t":
        reader = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(text, delimiter=separator, strict=True)
    names = list(columns)
    _refuse_twins(names, "--columns")
    try:
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if not names:
                names = row
                _refuse_twins(names, place)
                _refuse_other_separator(names, place)
                continue
            if not row:
                continue
            if len(row) != len(names):
                raise BadInput(
                    f"{len(row)} columns, expected {len(names)} ({', '.join(names)})",
                    place=place,
                    remedy="give each row as many, and quote a field that holds the separator",
                )
            yield Record(zip(names, row, strict=True), place=place)
    except csv.Error as error:
        raise BadInput(
            f"not CSV ({error})",
            place=f"{path}:{reader.line_num}",
            remedy="close each quotation mark, and double one that is text",
        ) from None
    except UnicodeDecodeError as error:
        raise BadInput(
            f"not UTF-8 ({error.reason})",
            place=f"{path}:{reader.line_num + 1}",
            remedy="save it as UTF-8",
        ) from None
    except OSError as error:
        raise StreamError(f"{path}:{reader.line_num + 1}: cannot read: {error}") from error


def _refuse_twins(names: Sequence[str], place: str) -> None:
    """Raises BadInput where two columns have one name: a record would keep the last of them alone."""
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise BadInput(
            f"the columns hold {twins[0]!r} twice",
            place=place,
            remedy="rename one of them, or leave the header out: `r1 prompts FILE --columns A,B` names them",
        )


def _refuse_other_separator(names: Sequence[str], place: str) -> None:
    """Raises BadInput where a header is one name that holds what other programs separate by."""
    found = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None)
    if found is not None:
        raise BadInput(
            f"one column, called {names[0]!r}",
            place=place,
            remedy=f"it is separated by {found!r}: save it with commas, or as .tsv with tabs",
        )


def _plain(value: Any, place: str) -> Any:
    """A value of parquet as JSON has it: times in ISO 8601, decimals as texts, NaN, which is none, as null.

    Raises BadInput for bytes that are no text, and for infinity.
    """
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise BadInput("infinity", place=place, remedy="JSON has no infinity: write null")
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {str(key): _plain(each, place) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, place) for each in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadInput(
                "bytes that are no text", place=place, remedy="leave that column out of the file"
            ) from None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _parquet_rows(path: str) -> Iterator[Record]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]
    except ImportError:
        raise Unavailable("reading parquet needs pyarrow", install="pip install pyarrow") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            _refuse_twins(file.schema_arrow.names, path)
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    place = f"{path}:{number}"
                    yield Record(_plain(row, place), place=place)
    except pyarrow.ArrowInvalid as error:
        raise BadInput(f"not parquet ({error})", place=path) from None
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror or error}") from error


def _misfit(pyarrow: Any, rows: Sequence[dict[str, Any]], error: Exception) -> BadInput:
    """What is wrong with the first row that does not go into one table with the row before."""
    place = place_of(rows[0])
    for before, row in itertools.pairwise(rows):
        try:
            pyarrow.Table.from_pylist([before, row])
        except (pyarrow.ArrowException, OverflowError):
            place = place_of(row)
            break
    return BadInput(
        f"not of the type that the rows before have ({error})",
        place=place,
        remedy="a parquet column holds one type: filter the records by it first",
    )


def write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes `rows` as one parquet file, which appears whole. Holds them all in memory."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise Unavailable("writing parquet needs pyarrow", install="pip install pyarrow") from None
    every = list(rows)
    try:
        table = pyarrow.Table.from_pylist(every)
    except (pyarrow.ArrowException, OverflowError) as error:
        raise _misfit(pyarrow, every, error) from None
    with open_output(path) as stream:
        parquet.write_table(table, stream)
