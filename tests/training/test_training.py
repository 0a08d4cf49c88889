"""Training runs from their first record to their checkpoint: learning, resuming to the same bits,
refusing."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import beside, mostly_full
from models import fresh
from safetensors.torch import load_file

from stages import distill, generate, grpo, score, sft
from stages.inference.transformers.model import load_model
from stages.records import jsonl
from stages.records.record import Record, digest
from stages.runtime.errors import BadInput, DryRun, R1Error, StreamError, Unavailable, UsageError
from stages.runtime.report import Silent
from stages.settings.criteria import Selection
from stages.settings.groups import Engine, Lora, Objective, Optimizer, Sampling, Saving
from stages.training.loop.job import RATE, digest_of, with_rate
from stages.training.sft.learner import _taught

CPU = Engine(device="cpu", threads=1)
FAST = Optimizer(lr=3e-3, schedule="cosine", warmup=0.1)
STEADY = Optimizer(lr=1e-3, schedule="constant", warmup=0.0, beta2=0.999)
SHORT = Sampling(max_tokens=12)
OFTEN = Saving(save_every=1)
TIMES = ("step_time", "time/generate", "time/learn", "time/eval")


def sums(count: int) -> list[Record]:
    """Sums of two digits, as prompt and completion, each with its answer."""
    pairs = [(a, b) for a in range(10) for b in range(10)]
    random.Random(0).shuffle(pairs)
    return [
        Record(id=f"s{i}", prompt=f"{a}+{b}=", completion=f"{a + b}", answer=f"{a + b}")
        for i, (a, b) in enumerate(pairs[:count])
    ]


def problems(count: int) -> list[Record]:
    return [Record({k: v for k, v in r.items() if k != "completion"}) for r in sums(count)]


def taught(model: Path, out: Path, records: Iterable[Record] | None = None, **options: Any) -> Any:
    given = sums(20) if records is None else records
    options = {"template": "none", "batch": 4, "optimizer": FAST, "engine": CPU, **options}
    kept = beside(options)
    return sft.run(given, sft.Settings(model=str(model), out=out, **options), **kept)


def reinforced(
    model: Path, out: Path, reward: str | tuple[str, ...], records: Any = None, **options: Any
) -> Any:
    options = {
        "template": "none", "reward": (reward,) if isinstance(reward, str) else reward,
        "steps": 4, "problems": 3, "samples": 4, "workers": 1,
        "sampling": SHORT, "optimizer": STEADY, "engine": CPU, **options,
    }  # fmt: skip
    given, kept = problems(8) if records is None else records, beside(options)
    return grpo.run(given, grpo.Settings(model=str(model), out=out, **options), **kept)


def metrics(out: Path, *, times: bool = False) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return lines if times else [{k: v for k, v in m.items() if k not in TIMES} for m in lines]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def assert_same_run(one: Path, other: Path) -> None:
    """The same weights to the bit, the same metrics except times, the same rollouts."""
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert metrics(one) == metrics(other)
    made = {p.relative_to(one): p.read_bytes() for p in one.glob("rollouts/*")}
    assert made == {p.relative_to(other): p.read_bytes() for p in other.glob("rollouts/*")}
    assert not other.with_name(other.name + ".partial").exists()


class Stopped(Exception):
    """Stands for a kill: no stage catches it."""


class Heard(Silent):
    """A report that keeps its notes and its last lines."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.summaries: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def summary(self, message: str) -> None:
        self.summaries.append(message)


class StopAt(Silent):
    """Ends a run as its `step`-th line of metrics is written, before the state of that step is saved."""

    def __init__(self, step: int) -> None:
        self.left = step + 1  # the first call says where the run begins

    def advance(self, steps: int = 1, **fields: float | str) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Stopped


# sft


def test_sft_learns_and_leaves_a_checkpoint_that_transformers_loads(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "sft"
    made = taught(tiny, out, epochs=6)
    losses = [m["loss"] for m in metrics(out)]
    assert len(losses) == 30
    assert losses[-1] < 0.6 * losses[0]
    assert [m["step"] for m in metrics(out)] == list(range(1, 31))
    config = (out / "config.json").read_text()
    assert "ragged" not in config
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.dtype == torch.float32
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = torch.tensor([tokenizer("1+2=")["input_ids"]])
    assert torch.isfinite(model(ids).logits).all()
    assert made.manifest["stage"] == "sft"
    assert made.manifest["parent"]["model"] == str(tiny)
    assert made.manifest["metrics"]["loss"] == losses[-1]
    assert not (tmp_path / "sft.partial").exists()


def test_the_reported_loss_is_the_mean_over_completion_tokens(tiny: Path, tmp_path: Path) -> None:
    """The first update's loss, from the parent's own logits: prompt tokens play no part, the end of text
    does.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    records = sums(4)
    taught(tiny, tmp_path / "out", records, epochs=1)
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny),
        AutoTokenizer.from_pretrained(tiny),
    )
    total, count = 0.0, 0
    for record in records:
        prompt = tokenizer(record["prompt"])["input_ids"]
        said = [*tokenizer(record["completion"])["input_ids"], tokenizer.eos_token_id]
        logp = model(torch.tensor([prompt + said])).logits[0].log_softmax(-1)
        total -= sum(logp[len(prompt) + i - 1, token].item() for i, token in enumerate(said))
        count += len(said)
    assert metrics(tmp_path / "out")[0]["loss"] == pytest.approx(total / count, rel=1e-4)


def test_row_tokens_bound_memory_and_change_no_result(tiny: Path, tmp_path: Path) -> None:
    taught(tiny, tmp_path / "a", epochs=1)
    taught(tiny, tmp_path / "b", epochs=1, row_tokens=16)
    for one, other in zip(metrics(tmp_path / "a"), metrics(tmp_path / "b"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_adapters_learn_and_are_merged(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    out = tmp_path / "lora"
    taught(tiny, out, epochs=4, lora=Lora(lora=4), optimizer=replace(FAST, lr=1e-2))
    losses = [m["loss"] for m in metrics(out)]
    assert losses[-1] < 0.8 * losses[0]
    before, after = weights(tiny), weights(out)
    assert before.keys() == after.keys(), "the weights of a plain checkpoint"
    name = "model.layers.0.self_attn.q_proj.weight"
    moved = after[name] - before[name]
    assert torch.linalg.matrix_rank(moved, rtol=1e-4) == 4
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    AutoModelForCausalLM.from_pretrained(out)
    put_on = load_model(str(tiny), CPU, out / "adapter")
    for name, weight in put_on.named_parameters():
        assert torch.allclose(weight, after[name], atol=1e-6), name
    assert json.loads((out / "adapter/adapter_config.json").read_text())["base_model_name_or_path"] == str(
        tiny
    )
    taught(out, tmp_path / "child", epochs=0.2)
    assert not (tmp_path / "child/adapter").exists(), "it belongs to the parent's weights"


def test_adapters_learn_at_ten_times_the_rate_unless_one_is_given(tiny: Path, tmp_path: Path) -> None:
    def rate(stage: str, given: float | None, recipe: Any = None, rank: int = 2, **more: Any) -> float:
        settings = grpo.Settings if stage == "grpo" else sft.Settings
        options = {"recipe": recipe} if stage == "grpo" else {}
        optimizer = replace(settings.optimizer, lr=given)
        made = settings(
            model="m",
            out=more.pop("out", tmp_path / "x"),
            optimizer=optimizer,
            lora=Lora(lora=rank),
            **options,
        )
        usual = {"grpo": grpo.RATES.get(recipe, 1e-6), "sft": RATE}[stage]
        return with_rate(made, usual, **{"resume": False, "report": Silent(), **more}).optimizer.peak

    assert rate("sft", None) == pytest.approx(1e-4)
    assert rate("sft", None, rank=0) == 1e-5
    assert rate("sft", 3e-5) == 3e-5
    assert rate("grpo", None) == pytest.approx(1e-5)
    assert rate("grpo", None, "r1-zero") == pytest.approx(3e-5)
    assert rate("grpo", None, "dapo", rank=0) == 1e-6
    heard, out = Heard(), tmp_path / "out"
    taught(tiny, out, epochs=0.2, lora=Lora(lora=2), optimizer=replace(FAST, lr=None), report=heard)
    assert "--lr 0.0001: under --lora 10 times the 1e-05 of full training" in heard.notes
    manifest = json.loads((out / "r1.json").read_text())
    assert manifest["options"]["optimizer"]["lr"] == pytest.approx(1e-4)
    manifest["options"]["optimizer"]["lr"] = 1e-5  # as a version made it that had one rate for both
    (out / "r1.json").write_text(json.dumps(manifest))
    assert rate("sft", None, out=out, resume=True) == 1e-5
    taught(
        tiny, out, epochs=0.2, lora=Lora(lora=2), optimizer=replace(FAST, lr=None), resume=True, report=heard
    )


def test_interrupted_sft_resumes_to_the_same_bits(tiny: Path, tmp_path: Path) -> None:
    for name, lora in (("full", Lora()), ("lora", Lora(lora=2))):
        options = {"saving": Saving(save_every=3), "lora": lora, "epochs": 2.0}
        taught(tiny, tmp_path / name / "whole", **options)
        out = tmp_path / name / "stopped"
        for step in (2, 5, 2):  # before the first state, between two, and again after a resume
            with pytest.raises(Stopped):
                taught(tiny, out, **options, report=StopAt(step), resume=True)
            assert not out.exists()
        assert (tmp_path / name / "stopped.partial" / "state").is_dir()
        with pytest.raises(UsageError, match="--resume"):
            taught(tiny, out, **options)
        taught(tiny, out, **options, resume=True)
        assert_same_run(tmp_path / name / "whole", out)


def test_state_of_another_run_is_refused(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        taught(tiny, out, saving=OFTEN, report=StopAt(3))
    for other in ({"seed": 1}, {"optimizer": replace(FAST, lr=1e-3)}, {"records": sums(19)}):
        with pytest.raises(UsageError, match="other options, input or code version"):
            taught(tiny, out, **{"saving": OFTEN, **other}, resume=True)
    (share,) = Path(f"{out}.partial").glob("state/step_*/rank_00000.safetensors")
    share.write_bytes(share.read_bytes()[:-4])
    with pytest.raises(
        BadInput, match=r"rank_00000.* 4 bytes are missing; delete .*out\.partial to begin anew"
    ):
        taught(tiny, out, saving=OFTEN, resume=True)


def test_a_checkpoint_is_never_overwritten_and_taken_only_for_the_same_run(
    tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    taught(tiny, out, epochs=1)
    before = (out / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(UsageError, match="exists"):
        taught(tiny, out, epochs=1)
    again = taught(tiny, out, epochs=1, resume=True)
    assert again.path == out
    for other, named in (
        ({"epochs": 2.0}, "option epochs"),
        ({"epochs": 1, "records": sums(19)}, "records"),
        ({"epochs": 1, "model": fresh(tmp_path / "other", seed=5)}, "model"),
    ):
        options = {"model": tiny, "records": None, **other}
        with pytest.raises(UsageError, match=f"another {named}"):
            taught(options.pop("model"), out, options.pop("records"), **options, resume=True)
    # Made before there was an option, which is at its default now, or is not.
    manifest = json.loads((out / "r1.json").read_text())
    del manifest["options"]["context"], manifest["options"]["optimizer"]["clip"]
    (out / "r1.json").write_text(json.dumps(manifest))
    assert taught(tiny, out, epochs=1, resume=True).path == out
    with pytest.raises(UsageError, match="another option context"):
        taught(tiny, out, epochs=1, context=512, resume=True)
    with pytest.raises(UsageError, match="another option optimizer"):
        taught(tiny, out, epochs=1, optimizer=replace(FAST, clip=0.5), resume=True)
    assert (out / "model.safetensors").stat().st_mtime_ns == before


def test_the_input_of_sft_is_named_by_its_records_as_they_came() -> None:
    turns = [{"role": "user", "content": "1+2="}, {"role": "assistant", "content": "3"}]
    given, digests = [Record(messages=turns), Record(sums(1)[0])], list[str]()
    assert [record["completion"] for record in _taught(given, digests)] == ["3", sums(1)[0]["completion"]]
    assert digest(digests) == digest_of(given), "what --resume compares where the checkpoint is complete"


def test_sft_reads_every_form_into_the_same_examples(tiny: Path, tmp_path: Path) -> None:
    plain = sums(4)
    turns = [
        Record(
            messages=[
                {"role": "user", "content": r["prompt"]},
                {"role": "assistant", "content": r["completion"]},
            ]
        )
        for r in plain
    ]
    parts = [
        Record(prompt=[{"role": "user", "content": r["prompt"]}], completion=[{"role": "assistant",
        "content": r["completion"]}])
        for r in plain
    ]  # fmt: skip
    for name, records in (("plain", plain), ("turns", turns), ("parts", parts)):
        taught(tiny, tmp_path / name, records, epochs=1)
        assert metrics(tmp_path / name) == metrics(tmp_path / "plain")


def test_a_completion_that_was_cut_gets_no_end_of_text(tiny: Path, tmp_path: Path) -> None:
    ended, cut = sums(1), [sums(1)[0].adding(finish="length")]
    taught(tiny, tmp_path / "ended", ended, epochs=1)
    taught(tiny, tmp_path / "cut", cut, epochs=1)
    tokens = [metrics(tmp_path / name)[0]["num_tokens"] for name in ("ended", "cut")]
    assert tokens[0] == tokens[1] + 1


def test_what_cannot_be_learned_is_named(tiny: Path, tmp_path: Path) -> None:
    for broken, why in (
        ([], "no records"),
        ([Record(prompt="x", place="f:1")], "f:1: field 'completion' is missing"),
        ([Record(messages=[{"role": "user", "content": "x"}], place="f:2")], "f:2: "),
        ([Record(prompt="x" * 300, completion="y", place="f:3")], "f:3: the prompt has 300 tokens"),
    ):
        with pytest.raises(BadInput, match=why):
            taught(tiny, tmp_path / "out", broken)
    assert not (tmp_path / "out").exists()


def changed(model: Path, out: Path, name: str, **values: Any) -> Path:
    """A copy of the model with other values in one of its files."""
    shutil.copytree(model, out)
    path = out / name
    held = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**held, **values}))
    return out


def test_settings_that_transformers_will_not_save_stay_as_they_are(tiny: Path, tmp_path: Path) -> None:
    from transformers import GenerationConfig

    odd = changed(tiny, tmp_path / "odd", "generation_config.json", temperature=0.6, top_p=0.9)
    more: dict[str, Any] = {"lora": Lora(lora=2)}
    for stage, options in (("full", dict[str, Any]()), ("lora", more)):
        taught(odd, tmp_path / stage, sums(4), epochs=1, **options)
        settings = GenerationConfig.from_pretrained(tmp_path / stage)
        assert (settings.temperature, settings.top_p, settings.do_sample) == (0.6, 0.9, None)


def test_what_cannot_be_saved_is_found_out_before_the_first_update(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import PreTrainedTokenizerFast

    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("not this\none")

    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", refuse)
    with pytest.raises(R1Error, match="could not be saved after training: not this one; mend"):
        taught(tiny, tmp_path / "out")
    assert not list(tmp_path.glob("out.partial/*.jsonl"))
    monkeypatch.undo()
    taught(tiny, tmp_path / "out", sums(4), epochs=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(StreamError, match=r"it takes 0\.00 GB, and 0\.00 GB are free"):
        taught(tiny, tmp_path / "full")


def test_an_end_of_turn_that_is_learned_is_an_end_for_other_programs_too(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    template = "{% for m in messages %}{{ m.role[0] }}{{ m.content }}</answer>{% endfor %}"
    template += "{% if add_generation_prompt %}a{% endif %}"
    base = changed(tiny, tmp_path / "base", "tokenizer_config.json", chat_template=template)
    taught(base, tmp_path / "out", sums(4), epochs=1, template="chat")
    settings = GenerationConfig.from_pretrained(tmp_path / "out")
    end = AutoTokenizer.from_pretrained(tiny).convert_tokens_to_ids("</answer>")
    assert settings.eos_token_id == [0, end]


def test_dry_run_trains_nothing_and_shows_the_first_example(tiny: Path, tmp_path: Path, reward: str) -> None:
    heard = Heard()
    with pytest.raises(DryRun):
        taught(
            tiny,
            tmp_path / "sft",
            [Record(id="f", prompt="Add\n1+1=", completion="2")],
            dry_run=True,
            report=heard,
        )
    assert heard.notes[1:4] == [
        "the first example, what is learned of it between ⟦ and ⟧:",
        "  Add",
        "  1+1=⟦2<|end|>⟧",
    ]
    heard = Heard()
    with pytest.raises(DryRun, match=r"55,\d{3} weights"):
        reinforced(tiny, tmp_path / "grpo", reward, dry_run=True, report=heard)
    assert heard.notes[1:3] == ["the first prompt, which ends where ⟦ is:", "  2+3=⟦"]
    assert not list(tmp_path.iterdir())


def test_a_weight_that_is_not_a_number_stops_sft(tiny: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    planted = weights(tiny)
    planted["model.layers.1.mlp.down_proj.weight"][0, 0] = torch.nan
    save_file(planted, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(R1Error):
        taught(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# grpo


def test_grpo_raises_its_reward_and_keeps_its_rollouts(tiny: Path, tmp_path: Path, reward: str) -> None:
    out = tmp_path / "out"
    reinforced(tiny, out, reward, steps=12, samples=8, problems=4, optimizer=replace(STEADY, lr=4e-3))
    rewards = [m["reward"] for m in metrics(out)]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.1
    line = metrics(out, times=True)[-1]
    assert line["sampling/logp_gap_mean"] < 1e-5
    assert line["rewards/early/mean"] == pytest.approx(line["reward"])
    rollouts = [json.loads(r) for r in (out / "rollouts" / "step_000012.jsonl").read_text().splitlines()]
    assert len(rollouts) == 32
    assert {
        "prompt_ids",
        "completion_ids",
        "logprobs",
        "rewards",
        "reward",
        "advantage",
    } <= rollouts[0].keys()
    for start in range(0, 32, 8):
        assert sum(r["advantage"] for r in rollouts[start : start + 8]) == pytest.approx(0, abs=1e-9)


RUNS: dict[str, dict[str, Any]] = {
    # Resumed after the reference was replaced at step 2, and, below, before it ever was.
    "reference replaced": {"objective": Objective(beta=0.2, ref_reset=2)},
    "reference kept": {"objective": Objective(beta=0.2, minibatches=2, inner_epochs=2)},
    "dynamic": {
        "objective": Objective(dynamic_sampling=2, aggregate="token"),
        "records": problems(3),
    },
    "adapters": {"objective": Objective(beta=0.2), "lora": Lora(lora=2)},
    "one step off": {"one_step_off": True, "objective": Objective(minibatches=2)},
}


@pytest.mark.parametrize("name", mostly_full(RUNS, "reference kept", "one step off"))
def test_interrupted_grpo_resumes_to_the_same_bits(
    name: str, tiny: Path, tmp_path: Path, reward: str
) -> None:
    options = {"saving": OFTEN, "steps": 5, **RUNS[name]}
    reinforced(tiny, tmp_path / "whole", reward, **options)
    for step in (
        3,
        2,
    ):  # stopped in its third step, resumed after the second, stopped in the fourth
        with pytest.raises(Stopped):
            reinforced(tiny, tmp_path / "stopped", reward, **options, report=StopAt(step), resume=True)
    reinforced(tiny, tmp_path / "stopped", reward, **options, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_problems_come_in_the_given_order_and_go_on_in_it_after_a_resume(
    tiny: Path, tmp_path: Path, reward: str
) -> None:
    options = {"saving": OFTEN, "steps": 5, "order": "given"}
    reinforced(tiny, tmp_path / "whole", reward, **options)
    with pytest.raises(Stopped):
        reinforced(tiny, tmp_path / "stopped", reward, **options, report=StopAt(3))
    with pytest.raises(UsageError, match="other options"):
        reinforced(tiny, tmp_path / "stopped", reward, **{**options, "order": "shuffled"}, resume=True)
    reinforced(tiny, tmp_path / "stopped", reward, **options, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
    taken = []
    for path in sorted((tmp_path / "whole" / "rollouts").iterdir()):
        with jsonl.open_input(path) as stream:
            taken += list(dict.fromkeys(record["group"] for record in jsonl.read_lines(stream, path.name)))
    assert taken == [problem["id"] for problem in [*problems(8), *problems(8)][:15]]


def test_one_step_off_samples_with_the_weights_of_the_step_before(
    tiny: Path, tmp_path: Path, reward: str
) -> None:
    """Its first two steps are sampled by the parent, so the second's completions are those of a run that
    learns nothing.
    """
    options = {"steps": 2, "one_step_off": True}
    reinforced(tiny, tmp_path / "learns", reward, **options)
    still = replace(STEADY, lr=1e-30)
    reinforced(tiny, tmp_path / "still", reward, **options, optimizer=still)
    on_policy = tmp_path / "on"
    reinforced(tiny, on_policy, reward, steps=2)

    def said(out: Path) -> list[list[float]]:
        with jsonl.open_input(out / "rollouts" / "step_000002.jsonl") as stream:
            return [r["logprobs"] for r in jsonl.read_lines(stream, "")]

    assert said(tmp_path / "learns") == said(tmp_path / "still") != said(on_policy)
    gaps = [m["sampling/logp_gap_mean"] for m in metrics(tmp_path / "learns")]
    assert gaps[0] < 1e-5 < gaps[1]
    assert metrics(tmp_path / "learns")[1]["sampling/importance_mean"] != 1


def test_the_last_states_and_the_best_stay_as_checkpoints(tiny: Path, tmp_path: Path, reward: str) -> None:
    options = {"steps": 7, "saving": Saving(save_every=2, keep_last=2)}
    reinforced(tiny, tmp_path / "whole", reward, **options)
    with pytest.raises(Stopped):
        reinforced(tiny, tmp_path / "out", reward, **options, report=StopAt(5))
    reinforced(tiny, tmp_path / "out", reward, **options, resume=True)
    rewards = [m["reward"] for m in metrics(tmp_path / "out")]
    means = {step: sum(rewards[step - 2 : step]) / 2 for step in (2, 4, 6)}
    for out in (tmp_path / "out", tmp_path / "whole"):
        assert [p.name for p in sorted((out / "steps").iterdir())] == ["step_000004", "step_000006"]
        best = json.loads((out / "best" / "r1.json").read_text())["metrics"]["step"]
        assert best == max(means, key=lambda step: means[step])
    for name in ("steps/step_000004", "steps/step_000006", "best"):
        one, other = weights(tmp_path / "whole" / name), weights(tmp_path / "out" / name)
        assert all(torch.equal(one[n], other[n]) for n in one)
    kept = weights(tmp_path / "out" / "steps" / "step_000006")
    assert any(not torch.equal(kept[n], w) for n, w in weights(tmp_path / "out").items())


def test_metrics_go_to_tensorboard(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    taught(tiny, tmp_path / "out", saving=Saving(track="tensorboard"))
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("loss")]
    assert losses == pytest.approx([m["loss"] for m in metrics(tmp_path / "out")])


def test_a_tracker_that_is_not_installed_is_named(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(Unavailable, match="pip install wandb"):
        taught(tiny, tmp_path / "out", saving=Saving(track="wandb"))


def test_the_divergence_is_measured_from_the_reference(tiny: Path, tmp_path: Path, reward: str) -> None:
    """At the first update policy and reference are one; after a reset they are one again."""
    fast = {"optimizer": replace(STEADY, lr=1e-2)}
    reinforced(tiny, tmp_path / "out", reward, objective=Objective(beta=0.1, ref_reset=2), **fast)
    kl = [m["kl"] for m in metrics(tmp_path / "out")]
    assert kl[0] == pytest.approx(0, abs=1e-6)
    assert kl[1] > 1e-3
    assert kl[2] == pytest.approx(0, abs=1e-6)
    assert kl[3] > 1e-3


def test_dynamic_sampling_drops_groups_without_a_lesson(tiny: Path, tmp_path: Path) -> None:
    """A reward of 1 for problems s0 to s3 whatever is said: their groups are flat and are replaced."""
    path = tmp_path / "some.py"
    path.write_text(
        "def some(record):\n"
        "    if record['group'].partition('@')[0] in ('s0', 's1', 's2', 's3'):\n        return 1.0\n"
        "    return sum(c < 'N' for c in record['completion']) / 12\n"
    )
    objective = Objective(dynamic_sampling=12)
    reinforced(tiny, tmp_path / "out", f"{path}:some", steps=3, objective=objective)
    for line in metrics(tmp_path / "out"):
        assert line["dynamic_sampling/kept"] == 3
        assert line["frac_reward_zero_std"] == 0
    assert sum(m["dynamic_sampling/dropped"] for m in metrics(tmp_path / "out")) > 0


def scored(model: Path, reward: str, **options: Any) -> list[Record]:
    options = {"sampling": SHORT, "tokens": True, "samples": 4, **options}
    made = generate.run(
        problems(6), generate.Settings(model=str(model), template="none", engine=CPU, **options)
    )
    return list(score.run(made, score.Settings(reward=(reward,), workers=1)))


def test_rollouts_made_by_the_pipe_train_one_step(tiny: Path, tmp_path: Path, reward: str) -> None:
    source = tmp_path / "rollouts.jsonl"
    jsonl.write(source, scored(tiny, reward))
    with jsonl.open_input(source) as stream:
        records = list(jsonl.read_lines(stream, str(source)))
    objective = Objective(minibatches=3)
    reinforced(tiny, tmp_path / "out", reward, records, rollouts=True, objective=objective)
    (line,) = metrics(tmp_path / "out")
    assert line["sampling/logp_gap_mean"] < 1e-5
    assert line["grad_norm"] > 0
    moved = [
        not torch.equal(a, b)
        for a, b in zip(weights(tiny).values(), weights(tmp_path / "out").values(), strict=True)
    ]
    assert all(moved)


def test_rollouts_that_cannot_be_trained_on_are_refused(tiny: Path, tmp_path: Path, reward: str) -> None:
    good = scored(tiny, reward)
    first = good[0]
    without = {k: v for k, v in first.items() if k != "logprobs"}
    cool = scored(tiny, reward, sampling=replace(SHORT, temperature=0.7))
    for broken, why in (
        ([Record(without, place="r:1"), *good[1:]], "r:1: field 'logprobs' is missing; make the rollouts "
"with"),
        ([Record({k: v for k, v in first.items() if k != "reward"}, place="r:1")],
        "r:1: field 'reward' is missing"),
        (cool, "sampled with --temperature 0.7, trained with 1.0"),
        ([*good, good[0].adding(reward="1")], "field 'reward' is a"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=why) as caught:
            reinforced(tiny, tmp_path / "out", reward, broken, rollouts=True)
        assert caught.value.code == 65
    reinforced(
        tiny,
        tmp_path / "cool",
        reward,
        cool,
        rollouts=True,
        sampling=replace(SHORT, temperature=0.7),
    )
    (line,) = metrics(tmp_path / "cool")
    assert line["sampling/logp_gap_mean"] < 1e-5


def test_rollouts_that_claim_to_be_the_policys_and_are_not_stop_the_run(
    tiny: Path, tmp_path: Path, reward: str
) -> None:
    """From another model: off-policy, and honestly so. With this model's revision written in: refused."""
    stranger = fresh(tmp_path / "stranger", seed=9)
    foreign = scored(stranger, reward)
    reinforced(tiny, tmp_path / "off", reward, foreign, rollouts=True)
    assert metrics(tmp_path / "off")[0]["sampling/logp_gap_mean"] > 0.5
    claimed = scored(tiny, reward)[0]["meta"]["generate"]["revision"]
    for record in foreign:
        record["meta"]["generate"]["revision"] = claimed
    with pytest.raises(R1Error, match="did not sample from the weights that are trained"):
        reinforced(tiny, tmp_path / "out", reward, foreign, rollouts=True)
    assert not (tmp_path / "out").exists()


def test_problems_that_grpo_cannot_use_are_refused(tiny: Path, tmp_path: Path, reward: str) -> None:
    twice = [*problems(3), problems(1)[0]]
    long = [*problems(3), Record(id="l", prompt="x" * 250, place="p:4")]
    for records, why in (
        (twice, "'s0' stands twice"),
        (long, "p:4: the prompt has 250 tokens"),
        ([], "no records"),
    ):
        with pytest.raises(BadInput, match=why):
            reinforced(tiny, tmp_path / "out", reward, records)
    for options, why in (
        ({"samples": 1}, "at least two"),
        ({"sampling": replace(SHORT, top_p=0.9)}, "--top-p"),
        ({"sampling": replace(SHORT, temperature=0)}, "--temperature"),
        ({"lora": Lora(lora=2), "objective": Objective(beta=0.1, ref_reset=2)}, "--ref-reset"),
    ):
        with pytest.raises(UsageError, match=why):
            reinforced(tiny, tmp_path / "out", reward, **options)
    assert not (tmp_path / "out.partial").exists()


# distill


def distilled(teacher: Path, student: Path, out: Path, reward: str, **options: Any) -> Any:
    kept = beside(options)
    return distill.run(
        problems(6),
        distill.Settings(
            model=str(student),
            teacher=str(teacher),
            out=out,
            reward=(reward,),
            template="none",
            epochs=1,
            batch=4,
            workers=1,
            sampling=SHORT,
            selection=Selection(keep="best", reward_name=("early",), max_per_group=2),
            optimizer=FAST,
            engine=CPU,
            saving=OFTEN,
            **options,
        ),
        **kept,
    )


def test_distill_keeps_its_traces_and_resumes_to_the_same_bits(
    tiny: Path, tmp_path: Path, reward: str
) -> None:
    student = fresh(tmp_path / "student", seed=4)
    distilled(tiny, student, tmp_path / "whole", reward)
    for step in (5, 15, 26):  # while sampling, while sampling after a resume, while training
        with pytest.raises(Stopped):
            distilled(tiny, student, tmp_path / "stopped", reward, report=StopAt(step), resume=step > 5)
    distilled(tiny, student, tmp_path / "stopped", reward, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
    for name in ("completions", "kept", "rejected"):
        one, other = (tmp_path / run / "traces" / f"{name}.jsonl" for run in ("whole", "stopped"))
        assert one.read_bytes() == other.read_bytes()
    assert len((tmp_path / "whole/traces/completions.jsonl").read_text().splitlines()) == 24
    again = distilled(tiny, student, tmp_path / "whole", reward, resume=True)
    assert again.path == tmp_path / "whole"


def test_on_policy_distillation_brings_the_student_to_the_teacher(
    tiny: Path, tmp_path: Path, reward: str
) -> None:
    """The divergence falls, no reward being paid; and a run that was stopped ends with the same bits."""
    student = fresh(tmp_path / "student", seed=4)

    def closer(out: Path, **options: Any) -> None:
        kept = beside(options)
        distill.run(
            problems(6),
            distill.Settings(
                model=str(student),
                teacher=str(tiny),
                out=out,
                on_policy=True,
                steps=25,
                problems=4,
                samples=4,
                reward=(reward,),
                template="none",
                workers=1,
                sampling=SHORT,
                optimizer=replace(STEADY, lr=3e-3),
                engine=CPU,
                saving=Saving(save_every=5),
                **options,
            ),
            **kept,
        )

    closer(tmp_path / "whole")
    divergences = [m["kl"] for m in metrics(tmp_path / "whole")]
    assert sum(divergences[-5:]) < 0.7 * sum(divergences[:5])
    with pytest.raises(Stopped):
        closer(tmp_path / "stopped", report=StopAt(13))
    closer(tmp_path / "stopped", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_teacher_with_other_tokens_cannot_teach_on_policy(tiny: Path, tmp_path: Path, reward: str) -> None:
    other = fresh(tmp_path / "other", words=("<think>",))
    with pytest.raises(UsageError, match="other tokens than the student"):
        distill.run(
            problems(4),
            distill.Settings(
                model=str(tiny),
                teacher=str(other),
                out=tmp_path / "out",
                on_policy=True,
                reward=(reward,),
                template="none",
                engine=CPU,
                sampling=SHORT,
            ),
        )
