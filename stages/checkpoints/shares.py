"""Tensors of which every rank writes a share, and of which any number of ranks reads the shares it needs.

A share is a run of a tensor's numbers, read row by row. A file of safetensors holds it as `NAME@START`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stages.checkpoints import shards

STEM = "rank_{:05d}"


class Share(NamedTuple):
    """The numbers of the tensor `name` from `start` on, as a vector."""

    name: str
    start: int
    values: Tensor


def write(directory: Path, rank: int, shares: Iterable[Share]) -> list[Path]:
    """The files of `rank`, each of bounded size."""
    stem = STEM.format(rank)
    shards.write(directory, stem, ((f"{name}@{start}", values) for name, start, values in shares))
    return sorted(directory.glob(f"{stem}*"))


class Stored:
    """What all ranks wrote into `directory`. Nothing but names is held; every read goes to the files."""

    def __init__(self, directory: Path) -> None:
        from safetensors import safe_open

        self._parts: dict[str, list[tuple[int, int, str, Any]]] = {}
        for path in sorted(directory.glob(f"{STEM.format(0)[:5]}*.safetensors")):
            opened = safe_open(path, "pt")
            for key in opened.keys():  # noqa: SIM118 - it is no dictionary
                name, _, start = key.rpartition("@")
                (size,) = opened.get_slice(key).get_shape()
                self._parts.setdefault(name, []).append((int(start), int(start) + size, key, opened))
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
        for begin, end, key, opened in self._parts.get(name, ()):
            if begin <= at < min(end, stop):
                last = min(end, stop)
                found.append(opened.get_slice(key)[at - begin : last - begin])
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
