"""A version of the weights in a run's --weights-dir as a checkpoint."""

from __future__ import annotations

import math
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch

from stages.checkpoints import shards, weights
from stages.checkpoints.contents import check_files
from stages.checkpoints.parse import read_json
from stages.checkpoints.shards import Piece
from stages.checkpoints.versions import layout, reader
from stages.checkpoints.versions.reader import Chain
from stages.runtime.errors import Unavailable


def found(source: Path) -> Chain:
    """What the version with the index `source` is made of. Raises R1Error where some of it is missing."""
    made_of = reader.chain(source.parent, int(source.stem))
    described = source.parent / layout.MODEL
    if not (described / "config.json").is_file():
        raise Unavailable(f"{described} has no config.json, and weights alone are no checkpoint: copy it too")
    return made_of


def write(made_of: Chain, directory: Path, *, dtype: str, shard_size: float) -> int:
    """Fills `directory` with the version, in `dtype`, and returns how many weights it has.

    No more than one tensor of them is held. No file has more than `shard_size` GB. Raises BadInput where a
    file does not hold what its index says, StreamError where it cannot be read.
    """
    described, index = made_of.directory / layout.MODEL, made_of.index
    shutil.copytree(described, directory, dirs_exist_ok=True)
    read, kind = reader.opened(made_of), getattr(torch, index.dtype)
    pieces = (Piece(name, kind, kept.shape, partial(read, name)) for name, kept in index.tensors.items())
    exact = weights.exact_parts(read_json(described / "config.json"))
    shards.write(directory, "model", weights.cast_pieces(pieces, dtype, exact), int(shard_size * 1e9))
    weights.declare(directory, dtype)
    check_files(str(directory))
    return sum(math.prod(kept.shape) for kept in index.tensors.values())


def inputs_of(made_of: Chain) -> dict[str, Any]:
    """What the manifest says that it was made of: the number, and the digest of the index."""
    return {
        "version": made_of.index.version,
        "digest": layout.digest_of(made_of.directory, made_of.index.version),
    }
