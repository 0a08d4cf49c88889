"""The trainer's side: a version of the weights for each update, all of them now and then, else what changed.

Between two versions it holds the last one's weights in memory, in the samplers' type.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stages.checkpoints import shards
from stages.checkpoints.checkpoint import take_over, writing
from stages.checkpoints.shards import Piece
from stages.checkpoints.versions import delta, layout, ordered
from stages.checkpoints.versions.layout import Index, Kept
from stages.runtime import atomic, lock
from stages.runtime.errors import R1Error, UsageError

EVERY = 16  # versions from one base to the next
BITS = {2: np.uint16, 4: np.uint32}
LOCK = ".lock"
TENSORS = re.compile(r"\.?(\d{6,18})\.safetensors")  # of a version; with the dot, in the making


class Written(NamedTuple):
    """A version that is there. `digest` is that of its index, `size` the bytes of both its files."""

    version: int
    digest: str
    size: int
    is_base: bool


class _Tensor(NamedTuple):
    """One on its way into a version. `frame` is what changed, where another of its form was there before."""

    name: str
    held: Tensor
    kept: Kept
    frame: bytes | None


class Writer:
    """Makes versions in `directory`, in the type `dtype`, every `every`-th of them a base.

    Versions before the last base but one are removed: who reads one of the others has `every` updates to read
    it in. Raises UsageError where another run writes there, StreamError where nothing can be written.
    """

    def __init__(self, directory: Path, dtype: str, *, every: int = EVERY) -> None:
        self.directory, self.dtype, self._every = directory, dtype, every
        with atomic.writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            lock.hold(self._lock, str(directory))
        except UsageError:
            self.close()
            told = f"--weights-dir {directory}: another run writes there; give each run its own"
            raise UsageError(told) from None
        with atomic.writing(directory):
            self._next = self._sweep()
        there = layout.versions(directory)
        self._bases = [each for each in there if layout.read(directory, each).previous is None]
        self._held: dict[str, Tensor] = {}
        self._last: Index | None = None  # of what is held

    def close(self) -> None:
        """Lets another run write here."""
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def describe(self, model: str) -> None:
        """Makes `model/` anew, with what the checkpoint `model` has besides weights."""
        with writing(self.directory), atomic.directory(self.directory / layout.MODEL, replace=True) as draft:
            take_over(model, draft)

    def write(self, weights: Iterable[tuple[str, Tensor]]) -> Written:
        """The next version, of all `weights`. Raises StreamError where it cannot be written.

        What fails on the way leaves no version, and makes the next one a base.
        """
        last, self._last = self._last, None
        if last is not None and last.version - self._bases[-1] + 1 >= self._every:
            last = None  # a base is due
        kept: dict[str, Kept] = {}
        frames: dict[str, bytes | None] = {}
        for made in ordered.each(lambda one: self._made(*one, last), self._taken(weights)):
            if made.name in kept:
                raise R1Error(f"two weights are called {made.name}")
            self._held[made.name], kept[made.name] = made.held, made.kept
            frames[made.name] = made.frame
        self._held = {name: self._held[name] for name in kept}
        delta_of = self._follows(last, frames)
        if delta_of is None:
            pieces = [shards.piece(name, weight) for name, weight in self._held.items()]
        else:
            pieces = [_piece(name, frame) for name, frame in frames.items() if frame]
        return self._publish(delta_of, pieces, kept)

    def _taken(self, weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """The weights in memory of their own: those of a model go away, or change in their place."""
        for name, weight in weights:
            yield name, weight.detach().to("cpu", getattr(torch, self.dtype), copy=True).contiguous()

    def _made(self, name: str, whole: Tensor, last: Index | None) -> _Tensor:
        """In a thread of its own."""
        kept = Kept(list(whole.shape), hashlib.sha256(numbers(whole).data).hexdigest())
        before = last.tensors.get(name) if last is not None else None
        frame: bytes | None = None
        if before == kept:
            frame = b""
        elif before is not None and before.shape == kept.shape:
            frame = delta.between(numbers(self._held[name]), numbers(whole))
        return _Tensor(name, whole, kept, frame)

    def _follows(self, last: Index | None, frames: dict[str, bytes | None]) -> int | None:
        """The version that the next one says the changes of; None where it is to be a base."""
        if last is None or last.tensors.keys() != frames.keys() or None in frames.values():
            return None
        changes = sum(len(frame) for frame in frames.values() if frame)
        return last.version if changes < sum(each.nbytes for each in self._held.values()) else None

    def _publish(self, previous: int | None, pieces: list[Piece], kept: dict[str, Kept]) -> Written:
        """First the tensors, on disk, and then the index."""
        version, self._next = self._next, self._next + 1
        file, stem = layout.weights_of(self.directory, version), f".{version:06d}"
        draft = self.directory / f"{stem}.safetensors"
        with writing(file):
            try:
                shards.write(self.directory, stem, pieces, float("inf"))
                size = draft.stat().st_size
                atomic.force(draft)
                os.rename(draft, file)
            finally:
                draft.unlink(missing_ok=True)
            atomic.force(self.directory)
        index = Index(version, previous, self.dtype, size, kept)
        text = index.encode()
        with atomic.file(layout.index_of(self.directory, version)) as stream:
            stream.write(text)
        self._last = index
        if previous is None:
            self._bases.append(version)
            with atomic.writing(self.directory):
                self._retire()
        return Written(version, hashlib.sha256(text).hexdigest(), size + len(text), previous is None)

    def _retire(self) -> None:
        """Removes what is before the last base but one: the last first, and of each the index first, so that
        wherever it is stopped each version that has an index is whole.
        """
        self._bases = self._bases[-2:]
        for version in reversed(layout.versions(self.directory)):
            if version < self._bases[0]:
                layout.index_of(self.directory, version).unlink()
                layout.weights_of(self.directory, version).unlink(missing_ok=True)

    def _sweep(self) -> int:
        """Removes tensors without an index, which a killed run left. The first number that none has had."""
        there = layout.versions(self.directory)
        taken = [*there]
        for path in self.directory.iterdir():
            found = TENSORS.fullmatch(path.name)
            if found is not None:
                taken.append(int(found[1]))
            if found is not None and (path.name.startswith(".") or int(found[1]) not in there):
                path.unlink()
        return max(taken, default=-1) + 1


def numbers(tensor: Tensor) -> delta.Numbers:
    """The bit patterns of a tensor's numbers, as a vector that shares its memory."""
    bits: delta.Numbers = tensor.view(-1).view(torch.uint8).numpy().view(BITS[tensor.element_size()])
    return bits


def _piece(name: str, frame: bytes) -> Piece:
    held = torch.frombuffer(bytearray(frame), dtype=torch.uint8)
    return Piece(name, torch.uint8, [len(frame)], lambda: held)
