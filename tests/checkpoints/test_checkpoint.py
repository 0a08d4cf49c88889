"""What a checkpoint keeps of its parent, and that what cannot be saved is said before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from models import fresh
from safetensors import safe_open
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from stages import sft
from stages.records.record import Record
from stages.runtime.errors import R1Error
from stages.settings.groups import Engine, Optimizer, Saving

RECORDS = [Record(id=f"p{i}", prompt="1+2=", completion="3") for i in range(2)]
ODD = '{"temperature": 0.6, "top_p": 0.9, "eos_token_id": 0}'  # transformers loads it and will not save it


def trained(parent: Path, out: Path, **saving: Any) -> Path:
    made = sft.run(
        RECORDS,
        sft.Settings(
            model=str(parent),
            out=out,
            template="none",
            epochs=1,
            batch=2,
            optimizer=Optimizer(lr=1e-3),
            saving=Saving(**saving),
            engine=Engine(device="cpu", threads=1),
        ),
    )
    return made.path


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A checkpoint in bfloat16 with what other programs leave in one."""
    path = fresh(tmp_path / "parent")
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    model.save_pretrained(path)
    for name in ("preprocessor_config.json", "LICENSE", "modeling_mine.py", "extra/words.txt"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(f"this is {name}")
    for name in ("optimizer.pt", "r1.json", "metrics.jsonl", "original/consolidated.00.pth"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("{}")
    (path / "generation_config.json").write_text(ODD)
    return path


def dtypes(path: Path) -> set[str]:
    found = set()
    for file in path.glob("*.safetensors"):
        with safe_open(file, "pt") as stored:
            found |= {stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118
    return found


def test_a_checkpoint_keeps_its_parents_files_and_type(parent: Path, tmp_path: Path) -> None:
    out = trained(parent, tmp_path / "out")
    for name in ("preprocessor_config.json", "LICENSE", "modeling_mine.py", "extra/words.txt"):
        assert (out / name).read_text() == f"this is {name}"
    assert not (out / "optimizer.pt").exists()
    assert not (out / "original").exists()
    assert json.loads((out / "r1.json").read_text())["stage"] == "sft"
    kept = json.loads((out / "generation_config.json").read_text())
    assert {name: kept[name] for name in json.loads(ODD)} == json.loads(ODD)
    assert dtypes(out) == {"BF16"}
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    assert AutoModelForCausalLM.from_pretrained(out, dtype="auto").dtype == torch.bfloat16


def test_another_type_and_smaller_files_where_they_are_asked_for(parent: Path, tmp_path: Path) -> None:
    out = trained(parent, tmp_path / "out", save_dtype="float32", shard_size=1e-4)
    assert dtypes(out) == {"F32"}
    assert len(list(out.glob("*.safetensors"))) > 1
    model, info = AutoModelForCausalLM.from_pretrained(out, dtype="auto", output_loading_info=True)
    assert model.dtype == torch.float32
    assert not info["missing_keys"]


def test_what_cannot_be_saved_is_said_before_the_first_update(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any, **__: Any) -> None:
        raise ValueError("this tokenizer has no file")

    monkeypatch.setattr(PreTrainedTokenizerBase, "save_pretrained", refuses)
    monkeypatch.setattr("stages.training.loop.run.Run.update", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(R1Error, match=r"could not be saved after training.*no file"):
        trained(parent, tmp_path / "out")


def test_another_chat_template_is_another_model(parent: Path, tmp_path: Path) -> None:
    """Else --resume would take over what was made of other prompts."""
    from stages import generate
    from stages.checkpoints.checkpoint import revision

    def asked(template: str) -> tuple[str, str]:
        (parent / "chat_template.jinja").write_text(template)
        (made,) = generate.run(
            [Record(id="a", prompt="1+2=")],
            generate.Settings(model=str(parent), engine=Engine(device="cpu", threads=1)),
        )
        return made["meta"]["generate"]["revision"], revision(str(parent))

    one, other = asked("{{ messages[0].content }}"), asked("Q{{ messages[0].content }}")
    assert len(set(one)) == len(set(other)) == 1
    assert one != other
