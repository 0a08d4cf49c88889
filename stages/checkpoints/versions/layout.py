"""Where a version of the weights stands, and what its index says of it.

Version 12 is `000012.safetensors`, and `000012.json`, which appears after it: a version whose index is there
is whole. No file is ever changed, so that they may be copied in any order.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.checkpoints.parse import LARGEST_TEXT
from stages.runtime.errors import BadInput, R1Error, naming

FORMAT = "r1-weights-1"
NAME = re.compile(r"(\d{6,18})\.json")
MODEL = "model"  # the directory with all that a checkpoint has besides weights
AGAIN = "wait for the next base, or copy the directory again"
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Kept:
    """A tensor of a version: its form, and the SHA-256 of its bytes, row by row and little-endian."""

    shape: list[int]
    sha256: str


@dataclass(frozen=True)
class Index:
    """What `NUMBER.json` says. `previous` is the version that the files change, None where they have all;
    `size` the bytes of the file beside.
    """

    version: int
    previous: int | None
    dtype: str
    size: int
    tensors: Mapping[str, Kept]

    def encode(self) -> bytes:
        """The file."""
        said = {"format": FORMAT, **asdict(self)}
        return (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode()


def index_of(directory: Path, version: int) -> Path:
    """Where the index of a version is."""
    return directory / f"{version:06d}.json"


def weights_of(directory: Path, version: int) -> Path:
    """Where its tensors are."""
    return directory / f"{version:06d}.safetensors"


def versions(directory: Path) -> list[int]:
    """Those whose index is there, the oldest first; none where there is no such directory."""
    found = (NAME.fullmatch(path.name) for path in directory.glob("*.json"))
    return sorted(int(each[1]) for each in found if each is not None)


def digest_of(directory: Path, version: int) -> str:
    """The SHA-256 of an index, which stands for all that it names."""
    path = index_of(directory, version)
    with naming("read", path):
        return hashlib.sha256(path.read_bytes()).hexdigest()


def read(directory: Path, version: int, digest: str = "") -> Index:
    """The index of a version; with a `digest`, the one that has this SHA-256 and so stands for all it names.

    Raises BadInput where it is broken, R1Error where it is another, StreamError where it cannot be read.
    """
    path = index_of(directory, version)
    with naming("read", path), open(path, "rb") as stream:
        text = stream.read(LARGEST_TEXT)
    if digest and hashlib.sha256(text).hexdigest() != digest:
        raise R1Error(f"{path} is not the one that was written: its checksum differs; {AGAIN}")
    try:
        return _index(json.loads(text), version)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = f"not an index of weights ({type(error).__name__}: {error})"
        raise BadInput(what, place=str(path), remedy=AGAIN) from None


def _index(said: dict[str, Any], version: int) -> Index:
    if said["format"] != FORMAT or said["version"] != version or said["dtype"] not in DTYPES:
        raise ValueError(f"of another format, version or type than {FORMAT}, {version} and {DTYPES}")
    previous = said["previous"]
    if previous is not None and not (_whole(previous) and previous < version):
        raise ValueError(f"previous is {previous!r}")
    if not _whole(said["size"]):
        raise ValueError(f"size is {said['size']!r}")
    tensors = {name: Kept(list(one["shape"]), str(one["sha256"])) for name, one in said["tensors"].items()}
    if not all(_whole(size) for one in tensors.values() for size in one.shape):
        raise ValueError("a shape that is none")
    return Index(version, previous, said["dtype"], said["size"], tensors)


def _whole(number: object) -> bool:
    return type(number) is int and number >= 0
