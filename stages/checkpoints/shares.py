"""Tensors of which every rank writes a share, and of which any number of ranks reads the shares it needs.

A share is a run of a tensor's numbers, read row by row. A file of safetensors holds it as `NAME@START`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stages.checkpoints import shards
from stages.checkpoints.shards import Ranges

STEM = "rank_{:05d}"


class Share(NamedTuple):
    """The numbers of the tensor `name` from `start` on, as a vector."""

    name: str
    start: int
    values: Tensor


def write(directory: Path, rank: int, shares: Iterable[Share]) -> list[Path]:
    """The files of `rank`, each of bounded size."""
    stem = STEM.format(rank)
    shards.write(directory, stem, (shards.piece(f"{name}@{start}", values) for name, start, values in shares))
    return sorted(directory.glob(f"{stem}*"))


class Stored:
    """What all ranks wrote into `directory`. Nothing but names is held; every read goes to the files."""

    def __init__(self, directory: Path) -> None:
        self._parts: dict[str, list[tuple[int, int, str]]] = {}
        self._held = Ranges(sorted(directory.glob(f"{STEM.format(0)[:5]}*.safetensors")))
        for key in self._held:
            name, _, start = key.rpartition("@")
            (size,) = self._held.shape(key)
            self._parts.setdefault(name, []).append((int(start), int(start) + size, key))
        for parts in self._parts.values():
            parts.sort(key=lambda part: part[:2])

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def names(self, prefix: str) -> Iterator[str]:
        """Those that begin with `prefix`, without it."""
        return (name.removeprefix(prefix) for name in self._parts if name.startswith(prefix))

    def read(self, name: str, start: int, stop: int) -> Tensor:
        """The numbers `[start, stop)` of a tensor. Raises ValueError where one of them is in no file."""
        found: list[Tensor] = []
        at = start
        for begin, end, key in self._parts.get(name, ()):
            if begin <= at < min(end, stop):
                last = min(end, stop)
                found.append(self._held.read(key, at - begin, last - begin))
                at = last
        if at < stop:
            raise ValueError(f"it has no {name} at {at}")
        return found[0] if len(found) == 1 else torch.cat(found) if found else torch.empty(0)

    def whole(self, name: str, like: Tensor) -> Tensor:
        """A tensor in the form of `like`. Raises ValueError where some of it is in no file, or too much."""
        last = max((part[1] for part in self._parts.get(name, ())), default=0)
        if last > like.numel():
            raise ValueError(f"its {name} has {last} numbers, and not {like.numel()}")
        return self.read(name, 0, like.numel()).view(like.shape)
