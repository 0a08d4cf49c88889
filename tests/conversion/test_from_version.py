"""A version of a run's weights becomes a checkpoint with the same weights, or is refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from stages import convert
from stages.checkpoints.versions.writer import Writer
from stages.inference.vllm.weights import named_weights
from stages.runtime.errors import R1Error, Unavailable, UsageError


@pytest.fixture
def model(tiny: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)


@pytest.fixture
def kept(model: Any, tiny: Path, tmp_path: Path) -> Path:
    """A directory of two versions, the second of the weights that `model` has."""
    writer = Writer(tmp_path / "weights", "bfloat16")
    writer.describe(str(tiny))
    writer.write(named_weights(model))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1e-4)
    assert not writer.write(named_weights(model)).is_base
    writer.close()
    return tmp_path / "weights"


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_it_has_the_weights_of_the_version_and_all_else_of_the_model(
    kept: Path, model: Any, tiny: Path, tmp_path: Path, dtype: Any
) -> None:
    made = convert.run(kept / "000001.json", out=tmp_path / "made", dtype=dtype)
    wanted = "bfloat16" if dtype == "auto" else dtype
    loaded = AutoModelForCausalLM.from_pretrained(made.path, dtype="auto")
    assert loaded.dtype == getattr(torch, wanted)
    for (name, found), (_, weight) in zip(loaded.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(found.float(), weight.bfloat16().float()), name
    both = [AutoTokenizer.from_pretrained(each)("What is 3 + 4?").input_ids for each in (made.path, tiny)]
    assert both[0] == both[1]
    assert made.manifest["inputs"]["version"] == 1
    assert made.manifest["options"]["dtype"] == wanted
    again = convert.run(kept / "000001.json", out=tmp_path / "made", dtype=dtype, resume=True)
    assert again.manifest == made.manifest


def test_what_is_no_whole_version_is_refused(kept: Path, tmp_path: Path) -> None:
    out, last = tmp_path / "made", kept / "000001.json"
    with pytest.raises(R1Error, match=r"000002.json is not there"):
        convert.run(kept / "000002.json", out=out)
    with pytest.raises(UsageError, match="make a checkpoint of it first"):
        convert.run(last, out=tmp_path / "made.gguf")
    with pytest.raises(UsageError, match="--tie is for a GGUF file"):
        convert.run(last, out=out, tie=True)
    (kept / "model" / "config.json").unlink()
    with pytest.raises(Unavailable, match=r"no config.json"):
        convert.run(last, out=out)
    (kept / "000000.safetensors").unlink()
    with pytest.raises(R1Error, match=r"000000.safetensors is not there"):
        convert.run(last, out=out)
    assert not out.exists()
