"""Files written one tensor at a time are those that safetensors writes at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.checkpoints import shards
from stages.checkpoints.shards import Ranges
from stages.runtime.errors import BadInput

TENSORS = {
    "b.weight": torch.arange(6.0).view(2, 3),
    "a.weight": torch.arange(5).to(torch.bfloat16),
    "é": torch.tensor(3),
    "empty": torch.zeros(0, 4),
    "a.bias": torch.arange(3.0) / 7,
    "flag": torch.tensor([True, False, True]),
    "a.quote\"": torch.arange(4, dtype=torch.float16),
}  # fmt: skip


def test_the_bytes_are_those_of_safetensors(tmp_path: Path) -> None:
    made: list[str] = []

    def make(name: str) -> torch.Tensor:
        made.append(name)
        return TENSORS[name]

    shards.write(tmp_path, "model", (
        shards.Piece(name, t.dtype, t.shape, lambda name=name: make(name)) for name, t in TENSORS.items()
    ))  # fmt: skip
    save_file(TENSORS, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert made == list(TENSORS), "each is made once, in the order in which all ranks gather them"


def test_several_files_are_named_by_their_index(tmp_path: Path) -> None:
    shards.write(tmp_path, "model", (shards.piece(name, t) for name, t in TENSORS.items()), 40)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in TENSORS.values())
    files = sorted(tmp_path.glob("model-*.safetensors"))
    assert sorted(set(index["weight_map"].values())) == [path.name for path in files]
    found = {name: tensor for path in files for name, tensor in load_file(path).items()}
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    assert all(torch.equal(t, TENSORS[name]) for name, t in shards.read(tmp_path, "model"))


def test_a_range_is_read_and_a_file_that_became_shorter_is_said(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"v": torch.zeros(3), "w": torch.arange(20.0).view(4, 5)}, path)
    held = Ranges([path])
    assert torch.equal(held.read("w", 7, 11), torch.arange(7.0, 11.0))
    with open(path, "r+b") as stream:
        stream.truncate(path.stat().st_size - 8)
    with pytest.raises(BadInput, match="broken: 8 bytes are missing of w"):
        held.whole("w")
