"""Tensors in safetensors files of bounded size: written one at a time, read whole or a run of their numbers.

Other than with a mapped file nothing stays in memory but what was asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stages.checkpoints.parse import BITS, Entry, read_entries, wrong
from stages.runtime.errors import naming

# By the names in safetensors' headers.
TYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "I16": torch.int16, "U16": torch.uint16, "F16": torch.float16,
    "BF16": torch.bfloat16, "I32": torch.int32, "U32": torch.uint32, "F32": torch.float32,
    "C64": torch.complex64, "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64,
}  # fmt: skip
SHARD = 4 << 30  # bytes of one file, where nothing else is asked
NAMES = {kind: name for name, kind in TYPES.items()}
ORDER = list(BITS)  # as safetensors orders the types, of which the widest come first in a file


class Piece(NamedTuple):
    """A tensor to write: its form is known before `make` gives its numbers."""

    name: str
    dtype: torch.dtype
    shape: Sequence[int]
    make: Callable[[], Tensor]

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def piece(name: str, tensor: Tensor) -> Piece:
    """A tensor that is there."""
    return Piece(name, tensor.dtype, tensor.shape, lambda: tensor)


def write(
    directory: Path | None,
    stem: str,
    pieces: Iterable[Piece],
    limit: float = SHARD,
) -> None:
    """`stem.safetensors`, or several files of at most `limit` bytes and the index that transformers reads.

    The bytes are those that safetensors' own `save_file` writes. Without a `directory` the pieces are only
    made: the other ranks need this one to gather them.
    """
    files: list[list[Piece]] = [[]]
    filled = 0
    for each in pieces:
        if files[-1] and filled + each.size > limit:
            files.append([])
            filled = 0
        files[-1].append(each)
        filled += each.size
    count = len(files)
    names = [f"{stem}-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]
    if count == 1:
        names = [f"{stem}.safetensors"]
    for name, held in zip(names, files, strict=True):
        if directory is not None:
            _write_file(directory / name, held)
        else:
            for each in held:
                each.make()
    if directory is not None and count > 1:
        places = {each.name: name for name, held in zip(names, files, strict=True) for each in held}
        total = sum(each.size for held in files for each in held)
        index = json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2)
        (directory / f"{stem}.safetensors.index.json").write_text(index + "\n", "utf-8")


def _write_file(path: Path, pieces: Sequence[Piece]) -> None:
    """The pieces are made in their order, and stand in that of safetensors."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begins: dict[str, int] = {}
    end = 0
    for each in sorted(pieces, key=lambda each: (-ORDER.index(NAMES[each.dtype]), each.name.encode())):
        begins[each.name], end = end, end + each.size
        header[each.name] = {
            "dtype": NAMES[each.dtype],
            "shape": list(each.shape),
            "data_offsets": [begins[each.name], end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "xb", buffering=0) as stream:
        _write_all(stream, len(text).to_bytes(8, "little") + text)
        begin = stream.tell()
        for each in pieces:
            tensor = each.make().detach().to("cpu", each.dtype).contiguous().view(-1)
            if len(tensor):
                stream.seek(begin + begins[each.name])
                _write_all(stream, tensor.view(torch.uint8).numpy())


def _write_all(stream: Any, data: Any) -> None:
    left = memoryview(data)
    while len(left):
        left = left[stream.write(left) :]


def pieces(directory: Path, stem: str) -> Iterator[Piece]:
    """The tensors of a checkpoint's files, of which none is read yet."""
    for path in sorted(directory.glob(f"{stem}*.safetensors")):
        held = Ranges([path])
        for name in held:
            yield Piece(name, held.dtype(name), held.shape(name), partial(held.whole, name))


def read(directory: Path, stem: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a checkpoint's files by name, one at a time."""
    return ((each.name, each.make()) for each in pieces(directory, stem))


class Ranges:
    """What some files hold, by name."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Raises BadInput for a broken file."""
        self._places: dict[str, tuple[Path, Entry]] = {}
        for path in paths:
            self._places |= {name: (path, entry) for name, entry in read_entries(path).items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def shape(self, name: str) -> list[int]:
        return self._places[name][1].shape

    def dtype(self, name: str) -> torch.dtype:
        """Raises BadInput for a type that torch has not."""
        path, entry = self._places[name]
        if entry.dtype not in TYPES:
            raise wrong(path, f"{name} is in {entry.dtype}, and such numbers are not read")
        return TYPES[entry.dtype]

    def whole(self, name: str) -> Tensor:
        """A tensor in its own form and type. Raises what `read` does."""
        return self.read(name, 0, math.prod(self.shape(name))).view(self.shape(name))

    def read(self, name: str, start: int, stop: int) -> Tensor:
        """The numbers `[start, stop)` of a tensor, row by row, as a vector.

        Raises StreamError where the file cannot be read, BadInput where it has become shorter.
        """
        path, entry = self._places[name]
        made = torch.empty(stop - start, dtype=self.dtype(name))
        data: Any = made.view(torch.uint8).numpy() if len(made) else b""
        left = memoryview(data)
        with naming("read", path), open(path, "rb", buffering=0) as stream:
            stream.seek(entry.begin + start * made.element_size())
            while len(left):
                count = stream.readinto(left)
                if not count:
                    raise wrong(path, f"broken: {len(left)} bytes are missing of {name}")
                left = left[count:]
        return made
