"""What some ranks wrote in shares, any number of them reads, and what is missing is said."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.checkpoints import shards
from stages.checkpoints.shares import Share, Stored, write


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    writers=st.integers(1, 5),
    readers=st.integers(1, 5),
    limit=st.sampled_from([16, 1 << 20]),
)
def test_any_ranks_read_what_any_ranks_wrote(
    sizes: list[int], writers: int, readers: int, limit: int
) -> None:
    whole = {f"w{i}.@x": torch.arange(size) + 100 * i for i, size in enumerate(sizes)}
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(shards.write, "__defaults__", (limit,))
        for rank in range(writers):
            cuts = {key: [len(t) * r // writers for r in (rank, rank + 1)] for key, t in whole.items()}
            shares = [Share(key, start, whole[key][start:stop]) for key, (start, stop) in cuts.items()]
            assert all(path.exists() for path in write(Path(name), rank, shares))
        stored = Stored(Path(name))
        assert sorted(stored.names("w")) == sorted(key.removeprefix("w") for key in whole)
        for key, tensor in whole.items():
            assert torch.equal(stored.whole(key, tensor), tensor)
            for rank in range(readers):
                start, stop = (len(tensor) * r // readers for r in (rank, rank + 1))
                assert torch.equal(stored.read(key, start, stop), tensor[start:stop])


def test_numbers_that_no_rank_wrote_are_missed(tmp_path: Path) -> None:
    write(tmp_path, 0, [Share("w", 0, torch.zeros(3))])
    write(tmp_path, 2, [Share("w", 6, torch.zeros(3))])
    stored = Stored(tmp_path)
    assert "w" in stored
    assert "v" not in stored
    with pytest.raises(ValueError, match="it has no w at 3"):
        stored.read("w", 0, 9)
    with pytest.raises(ValueError, match="it has no v at 0"):
        stored.whole("v", torch.zeros(2, 2))
    with pytest.raises(ValueError, match="its w has 9 numbers, and not 4"):
        stored.whole("w", torch.zeros(2, 2))
