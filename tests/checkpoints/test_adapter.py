"""LoRA adapters that others trained: `--adapter` gives what the merged model gives, and one that does not fit
is refused.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import R1
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from stages import convert, generate
from stages.checkpoints.adapter import largest_rank
from stages.checkpoints.checkpoint import revision
from stages.checkpoints.contents import check_template
from stages.checkpoints.template import choose_template
from stages.evaluation.measure import template_of
from stages.inference.backends import open_backend
from stages.inference.encoding import load_tokenizer
from stages.inference.transformers.model import load_model
from stages.records.record import Record
from stages.records.templates import load
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.settings.groups import Engine, Sampling

ON_CPU = Engine(device="cpu", threads=1)
GREEDY = Sampling(temperature=0, max_tokens=12)


def saved(model: Path, folder: Path, **options: Any) -> tuple[Path, Path]:
    """An adapter with an effect, as peft saves it, and the checkpoint that it makes of `model` when
    merged."""
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    config = LoraConfig(
        **{"r": 3, "lora_alpha": 24, "target_modules": "all-linear", "init_lora_weights": False, **options}
    )
    adapted = get_peft_model(base, config)
    adapted.save_pretrained(folder / "adapter")
    adapted.merge_and_unload().save_pretrained(folder / "merged")
    AutoTokenizer.from_pretrained(model).save_pretrained(folder / "merged")
    return folder / "adapter", folder / "merged"


def test_it_is_the_merged_model(tiny: Path, tmp_path: Path) -> None:
    adapter, merged = saved(tiny, tmp_path)

    def made(model: Path, adapter: Path | None = None) -> list[Record]:
        problems = [Record(id=str(i), prompt=f"{i} + 3 =") for i in range(6)]
        settings = generate.Settings(
            model=str(model), adapter=adapter, template="none", sampling=GREEDY, engine=ON_CPU
        )
        return list(generate.run(problems, settings))

    plain, whole, put_on = made(tiny), made(merged), made(tiny, adapter)
    texts = [[record["completion"] for record in records] for records in (plain, whole, put_on)]
    assert texts[2] == texts[1] != texts[0]
    names = {record["meta"]["generate"]["revision"] for record in put_on}
    assert names == {f"{revision(str(tiny))}+{revision(str(adapter))}"}
    with torch.no_grad():
        one, other = load_model(str(merged), ON_CPU), load_model(str(tiny), ON_CPU, adapter)
        for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-6), name


def test_the_chat_template_is_that_of_the_adapter_where_it_has_one(tiny: Path, tmp_path: Path) -> None:
    """For all that put an adapter on a model, and in what is merged."""
    adapter, _ = saved(tiny, tmp_path)
    base = tmp_path / "base"
    shutil.copytree(tiny, base)
    of_base, own = (f"{{% for m in messages %}}<{who}>{{{{ m.content }}}}{{% endfor %}}" for who in "ab")
    assert choose_template(str(base), "none", adapter)[:2] == ("none", None)

    (adapter / "tokenizer_config.json").write_text(json.dumps({"chat_template": own}))
    assert load_tokenizer(str(base), adapter=adapter).chat_template == own
    check_template(str(base), load("chat"), adapter)
    with pytest.raises(UsageError, match="no chat template"):
        check_template(str(base), load("chat"))

    (base / "chat_template.jinja").write_text(of_base)
    named = [{"name": "tool_use", "template": ""}, {"name": "default", "template": own}]
    (adapter / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    chosen = choose_template(str(base), "none", adapter)
    assert (chosen.name, chosen.why) == ("chat", "its adapter's own")
    assert load_tokenizer(str(base)).chat_template == of_base
    with contextlib.closing(open_backend(ON_CPU, str(base), adapter=adapter)) as backend:
        assert backend.tokenizer.chat_template == own
    convert.run(base, out=tmp_path / "whole", adapter=adapter)
    assert load_tokenizer(str(tmp_path / "whole")).chat_template == own


def test_the_template_is_the_one_that_the_adapter_was_trained_with(tiny: Path, tmp_path: Path) -> None:
    adapter, _ = saved(tiny, tmp_path)
    said = {"stage": "sft", "options": {"template": "r1-zero", "prefill": None}}
    (tmp_path / "r1.json").write_text(json.dumps(said))  # of the checkpoint around it
    chosen = choose_template(str(tiny), "none", adapter)
    assert (chosen.name, chosen.why) == ("r1-zero", "as r1.json of its adapter's sft says")
    assert template_of(str(tiny), adapter).name == "r1-zero"
    assert choose_template(str(tiny), "none").name == "none"
    (adapter / "r1.json").write_text(json.dumps({**said, "options": {"template": "r1"}}))
    assert choose_template(str(tiny), "none", adapter).name == "r1"


def test_what_is_none_or_fits_another_model_is_refused(tiny: Path, tmp_path: Path) -> None:
    adapter, _ = saved(tiny, tmp_path)
    assert largest_rank(adapter) == 3

    def refused(change: Any, match: str) -> None:
        altered = tmp_path / "altered"
        shutil.rmtree(altered, ignore_errors=True)
        shutil.copytree(adapter, altered)
        change(altered)
        with pytest.raises((BadInput, Unavailable), match=match):
            load_model(str(tiny), ON_CPU, altered)

    def config(**values: Any) -> Any:
        def change(folder: Path) -> None:
            path = folder / "adapter_config.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

        return change

    refused(lambda folder: (folder / "adapter_config.json").unlink(), r"no adapter_config\.json")
    refused(lambda folder: (folder / "adapter_model.safetensors").unlink(), "other files are not")
    refused(config(peft_type="IA3"), "IA3")
    refused(config(r=5), "cannot load the adapter")
    refused(config(target_modules=["q_proj"]), "made for another model")
    with pytest.raises(UsageError, match="--lora-modules"):
        open_backend(Engine(backend="openai"), str(tiny), adapter=adapter)


def test_its_scale_is_part_of_its_name(tiny: Path, tmp_path: Path) -> None:
    one, _ = saved(tiny, tmp_path / "one")
    other, _ = saved(tiny, tmp_path / "other", lora_alpha=48)
    assert revision(str(one)) != revision(str(other))


@pytest.mark.full
@pytest.mark.timeout(900)
def test_vllm_gives_what_transformers_gives(smollm2: Path, r1: R1, tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vllm is not installed here")
    # Small enough for the model to stay one, large enough to tell it from what it was.
    adapter, _ = saved(smollm2, tmp_path, r=4, lora_alpha=1)
    problems = [{"id": str(i), "prompt": f"Name {i} things that are red."} for i in range(8)]
    lines = "".join(json.dumps(problem) + "\n" for problem in problems).encode()
    settings = (
        "generate", "-m", smollm2, "--temperature", 0, "--max-tokens", 24, "--tokens", "--threads", 1,
        "--gpu-memory", 0.05, "--device", "cpu",
    )  # fmt: skip
    plain = r1(*settings, "--backend", "transformers", input=lines, timeout=200)
    wanted = r1(*settings, "--backend", "transformers", "--adapter", adapter, input=lines, timeout=200)
    found = r1(*settings, "--backend", "vllm", "--adapter", adapter, input=lines, timeout=200)
    assert found.returncode == 0, found.stderr
    texts = [[json.loads(line) for line in run.stdout.splitlines()] for run in (plain, wanted, found)]
    same = 0
    for bare, one, other in zip(*texts, strict=True):
        first = abs(one["logprobs"][0] - other["logprobs"][0])
        assert first < 1e-3 < abs(one["logprobs"][0] - bare["logprobs"][0])
        same += one["completion_ids"] == other["completion_ids"]
    assert same >= 7
