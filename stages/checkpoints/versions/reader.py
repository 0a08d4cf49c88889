"""A sampler's side: the weights of any version, from the last base before it and what changed since.

Nothing but the tensors under way is held in memory. Each is compared with its checksum before it is given
out.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stages.checkpoints.shards import Ranges
from stages.checkpoints.versions import delta, layout, ordered
from stages.checkpoints.versions.layout import AGAIN, Index
from stages.checkpoints.versions.writer import numbers
from stages.runtime.errors import BadInput, R1Error, naming

TICK = 0.1  # seconds between two looks whether a version has come


@dataclass(frozen=True)
class Chain:
    """A version as its files have it: its base, and each that changes the one before, to itself."""

    directory: Path
    links: tuple[Index, ...]

    @property
    def index(self) -> Index:
        """That of the version."""
        return self.links[-1]


def chain(directory: Path, version: int, digest: str = "") -> Chain:
    """What `version` is made of. With a `digest`, its index is the one that has it.

    Raises R1Error where a file is not there or not as long as it should be; `awaited` waits for it.
    """
    links: list[Index] = []
    wanted: int | None = version
    while wanted is not None:
        path, file = layout.index_of(directory, wanted), layout.weights_of(directory, wanted)
        for each in (path, file):
            if not each.is_file():
                raise R1Error(f"{each} is not there; {AGAIN}")
        index = layout.read(directory, wanted, "" if links else digest)
        with naming("read", file):
            size = file.stat().st_size
        if size != index.size:
            raise R1Error(f"{file} has {size} bytes, and should have {index.size}; {AGAIN}")
        links.append(index)
        wanted = index.previous
    return Chain(directory, tuple(reversed(links)))


def awaited(directory: Path, version: int, digest: str, *, timeout: float) -> Chain:
    """As `chain`, of what may come within `timeout` seconds, where the directory is copied from elsewhere."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return chain(directory, version, digest)
        except R1Error as error:
            if time.monotonic() + TICK > deadline:
                raise R1Error(f"version {version} of the weights has not come: {error}") from error
        time.sleep(TICK)


def newest(directory: Path) -> Chain:
    """The last version that is all there. Raises R1Error where none is."""
    why = R1Error(f"{directory} has no version of weights; give the --weights-dir of a run")
    for version in reversed(layout.versions(directory)):
        try:
            return chain(directory, version)
        except R1Error as error:
            why = error
    raise why


def weights(made_of: Chain) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a version by name, one at a time, to the bit as they were written.

    Raises what those of `opened` raise.
    """
    read = opened(made_of)
    yield from ordered.each(lambda name: (name, read(name)), made_of.index.tensors)


def opened(made_of: Chain) -> Callable[[str], Tensor]:
    """What reads a tensor of a version by its name.

    It raises BadInput where a file does not hold what its index says, StreamError where it cannot be read.
    """
    base, *changes = (Ranges([layout.weights_of(made_of.directory, link.version)]) for link in made_of.links)
    changed = [set(each) for each in changes]

    def read(name: str) -> Tensor:
        index = made_of.index
        kept, kind = index.tensors[name], getattr(torch, index.dtype)
        if name not in base or base.dtype(name) is not kind or base.shape(name) != kept.shape:
            raise _wrong(made_of, f"its base has no {name} of {index.dtype} and {kept.shape}")
        whole = base.whole(name)
        held = numbers(whole)
        for each, names in zip(changes, changed, strict=True):
            if name in names:
                try:
                    if each.dtype(name) is not torch.uint8:
                        raise ValueError("it is no row of bytes")
                    delta.apply(each.whole(name).numpy().tobytes(), held)
                except ValueError as error:
                    raise _wrong(made_of, f"what changed of {name} is broken: {error}") from None
        if hashlib.sha256(held.data).hexdigest() != kept.sha256:
            raise _wrong(made_of, f"the checksum of {name} is another")
        return whole

    return read


def _wrong(made_of: Chain, what: str) -> BadInput:
    place = layout.index_of(made_of.directory, made_of.index.version)
    return BadInput(what, place=str(place), remedy=AGAIN)
