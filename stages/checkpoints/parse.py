"""A checkpoint's files, parsed: objects of JSON, and the headers of safetensors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from stages.runtime.errors import BadInput, Unavailable, naming

AGAIN = "copy or make the checkpoint again"
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
LARGEST_HEADER = 100_000_000  # bytes; safetensors reads no larger one
LARGEST_TEXT = 1 << 28  # bytes of a file of JSON
# Bits of an element, by the names in safetensors' headers.
BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip


class Entry(NamedTuple):
    """A tensor in a safetensors file: its type by the file's name, and where its bytes begin."""

    dtype: str
    shape: list[int]
    begin: int


class Held(NamedTuple):
    """What the weight files hold: how many tensors, and how many elements in all of them."""

    tensors: int
    elements: int


def wrong(path: Path, what: str) -> BadInput:
    """The error of a file that is broken."""
    return BadInput(what, place=str(path), remedy=AGAIN)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of JSON. Raises BadInput where there is none, StreamError if unreadable."""
    try:
        with naming("read", path):
            if path.stat().st_size > LARGEST_TEXT:
                raise wrong(path, "too large for what it is")
            found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise wrong(path, f"not JSON ({why})") from None
    if not isinstance(found, dict):
        raise wrong(path, "not an object of JSON")
    return found


def weights_of(directory: Path) -> Held:
    """What the safetensors files of a checkpoint hold, from their headers.

    Raises Unavailable where there are none, BadInput where one is broken or the index names another file.
    """
    paths = sorted(directory.glob("*.safetensors"))
    if not paths:
        raise Unavailable(f"{directory} has no weights: no .safetensors file, and others are not loaded")
    held: dict[str, set[str]] = {}
    elements = 0
    for path in paths:
        header = read_header(path)
        held[path.name] = set(header)
        elements += sum(map(math.prod, header.values()))
    if (directory / INDEX).exists():
        _check_index(directory / INDEX, held)
    return Held(sum(map(len, held.values())), elements)


def read_header(path: Path) -> dict[str, list[int]]:
    """The shapes of the tensors in a safetensors file. Raises BadInput where it is no whole one."""
    return {name: entry.shape for name, entry in read_entries(path).items()}


def read_entries(path: Path) -> dict[str, Entry]:
    """The tensors in a safetensors file. Raises BadInput where it is no whole one.

    It begins with 8 bytes that give the length of a header in JSON; the tensors follow without gaps.
    """
    with naming("read", path), open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        size = path.stat().st_size
        if not 0 < length <= min(size - 8, LARGEST_HEADER):
            raise wrong(path, "broken: it has no header")
        text = stream.read(length)
    try:
        header: dict[str, Any] = json.loads(text)
        shapes = {name: _shape(entry) for name, entry in header.items() if name != "__metadata__"}
        spans = sorted(entry["data_offsets"] for name, entry in header.items() if name in shapes)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise wrong(path, "broken: its header cannot be read") from None
    end = 0
    for begin, following in spans:
        if begin != end:
            raise wrong(path, "broken: its tensors overlap or leave gaps")
        end = following
    missing = 8 + length + end - size
    if missing:
        what = f"{missing} bytes are missing" if missing > 0 else f"{-missing} bytes are too many"
        raise wrong(path, f"broken: {what}")
    return {
        name: Entry(header[name]["dtype"], shape, 8 + length + header[name]["data_offsets"][0])
        for name, shape in shapes.items()
    }


def _shape(entry: dict[str, Any]) -> list[int]:
    """The shape of a tensor from its entry in a header. Raises ValueError where that contradicts itself."""
    shape: list[int] = entry["shape"]
    begin, end = entry["data_offsets"]
    numbers = [*shape, begin, end]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("not a size")
    if math.prod(shape) * BITS[entry["dtype"]] != (end - begin) * 8:
        raise ValueError("not the bytes of that shape")
    return shape


def _check_index(path: Path, held: dict[str, set[str]]) -> None:
    """Raises BadInput where the index names a file that is not there, or a tensor that is not in its file."""
    places = read_json(path).get("weight_map")
    if not isinstance(places, dict):
        raise wrong(path, "has no weight_map")
    for name, file in places.items():
        if not isinstance(file, str) or file not in held:
            raise wrong(path, f"{name} is in {file!r}, and there is no such .safetensors file beside it")
        if name not in held[file]:
            raise wrong(path, f"{name} is not in {file}")
