"""Evaluation inside a run: what it says, that it changes nothing, and that `r1 eval` says the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import (
    Heard,
    StopAt,
    Stopped,
    assert_same_run,
    metrics,
    problems,
    reinforced,
    sums,
    taught,
    weights,
)

from stages import distill
from stages import eval as measure
from stages.evaluation import benchmark
from stages.records.jsonl import Journal, write
from stages.records.record import Record
from stages.runtime.errors import R1Error, UsageError
from stages.settings.criteria import Selection
from stages.settings.evaluation import Evaluation
from stages.settings.groups import Engine, Lora, Sampling, Saving
from stages.training import policy

CPU = Engine(device="cpu", threads=1)


@pytest.fixture
def held(tmp_path: Path) -> str:
    """Four sums, none of which is learned."""
    path = tmp_path / "held.jsonl"
    write(path, problems(12)[8:])
    return str(path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def told(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """What was said to each held-out problem, and what it got."""
    return [(r["id"], r["completion"], r["rewards"]) for r in lines(path)]


def test_grpo_is_measured_at_the_start_as_often_as_asked_and_at_the_end(
    tiny: Path, tmp_path: Path, reward: str, held: str
) -> None:
    """Training is the same to the bit without; `r1 eval` on the checkpoint gives every completion again."""
    asked = Evaluation(eval=(held,), eval_every=3, eval_samples=2, eval_reward=(reward,))
    with_, without, heard = tmp_path / "with", tmp_path / "without", Heard()
    reinforced(tiny, with_, reward, evaluation=asked, report=heard)
    reinforced(tiny, without, reward)
    a, b = weights(with_), weights(without)
    assert all(torch.equal(a[name], b[name]) for name in a)
    plain = [{k: v for k, v in m.items() if "eval" not in k} for m in metrics(with_)]
    assert plain[1:] == metrics(without), "the first line is that of the evaluation before the first step"
    found = lines(with_ / "eval.jsonl")
    assert [(line["step"], line["name"], line["problems"], line["k"]) for line in found] == [
        (step, "held", 4, 2) for step in (0, 3, 4)
    ]
    logged = {m["step"]: m["eval/held/pass@1"] for m in metrics(with_) if "eval/held/pass@1" in m}
    assert logged == {line["step"]: pytest.approx(line["pass@1"], rel=1e-5) for line in found}
    assert (
        "measured on held at the start and every 3 steps, 8 completions each, about 75.0 %" in heard.notes[0]
    )
    assert [note.partition(":")[0] for note in heard.notes[1:]] == ["step 0", "step 3", "step 4"]

    again = tmp_path / "again.jsonl"
    (row,) = measure.run(
        settings=measure.Settings(
            model=str(with_), benchmark=(held,), samples=2, reward=(reward,), save=again, workers=1,
            engine=CPU, sampling=replace(Sampling(max_tokens=12), temperature=0.6, top_p=0.95),
        )
    ).records  # fmt: skip
    assert told(again) == told(with_ / "eval" / "step_000004" / "held.jsonl")
    same = {"pass@1", "pass@1_low", "pass@1_high", "cons@2", "completions/mean_length", "digest", "settings"}
    assert {key: row[key] for key in same} == {key: found[-1][key] for key in same}
    kept = [Record(r) for path in sorted(with_.glob("eval/*/held.jsonl")) for r in lines(path)]
    assert [row["step"] for row in measure.run(kept, measure.Settings(decide=("early",))).records] == [
        0,
        3,
        4,
    ]


def test_sft_is_measured_by_the_loss_of_held_out_completions_and_by_what_it_answers(
    tiny: Path, tmp_path: Path
) -> None:
    """The first loss is the mean over tokens by the parent's own logits; training is the same without."""
    path = tmp_path / "held.jsonl"
    write(path, sums(24)[20:])
    asked = Evaluation(eval=(str(path),), eval_every=2, eval_samples=2, eval_max_tokens=4)
    taught(tiny, tmp_path / "with", epochs=1, evaluation=asked)
    taught(tiny, tmp_path / "without", epochs=1)
    a, b = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert all(torch.equal(a[name], b[name]) for name in a)
    found = lines(tmp_path / "with" / "eval.jsonl")
    assert [line["step"] for line in found] == [0, 2, 4, 5]
    assert [line["examples"] for line in found] == [4] * 4
    assert all(line["problems"] == 4 and line["k"] == 2 for line in found)
    assert found[0]["loss"] == pytest.approx(loss_of(tiny, sums(24)[20:]), rel=1e-4)
    assert found[-1]["loss"] == pytest.approx(loss_of(tmp_path / "with", sums(24)[20:]), rel=1e-4)
    assert metrics(tmp_path / "with")[0]["eval/held/loss"] == pytest.approx(found[0]["loss"], rel=1e-5)


def test_a_source_is_read_once_and_what_of_it_is_learned_is_said(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    rows = benchmark.read_rows
    monkeypatch.setattr(
        benchmark, "read_rows", lambda path, **more: (read.append(path), rows(path, **more))[1]
    )
    path, heard = tmp_path / "held.jsonl", Heard()
    write(path, [*sums(24)[:2], *sums(24)[22:]])
    asked = Evaluation(eval=(str(path),), eval_reward=("format",), eval_samples=1, eval_max_tokens=2)
    taught(tiny, tmp_path / "out", sums(20), epochs=0.1, evaluation=asked, report=heard)
    assert read == [str(path)]
    assert "2 problems of held are among those learned: they are not held out" in heard.notes


def test_what_cannot_be_measured_shows_before_a_model_is_loaded(
    tiny: Path, tmp_path: Path, reward: str, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "load_model", lambda *_: pytest.fail("a model is loaded"))
    scored = [Record(id="a#0", prompt="1", completion="2", finish="stop", rewards={"r": 1.0}, reward=1.0,
        prompt_ids=[1], completion_ids=[2], logprobs=[-1.0])]  # fmt: skip
    asked = Evaluation(eval=(held,))
    echo = Engine(backend="echo")
    with pytest.raises(UsageError, match="--backend echo: it samples nothing"):
        reinforced(tiny, tmp_path / "a", reward, scored, rollouts=True, evaluation=asked, engine=echo)
    with pytest.raises(
        UsageError, match=r"--lora-targets: .* no layer 'v_porj'; its linear ones are q_proj,"
    ):
        taught(tiny, tmp_path / "c", lora=Lora(lora=2, lora_targets="q_proj, v_porj"))


def loss_of(model: Path, records: list[Record]) -> float:
    """The mean of -log p over the tokens of all completions, by transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    total, count = 0.0, 0
    for record in records:
        prompt = tokenizer(record["prompt"])["input_ids"]
        said = [*tokenizer(record["completion"])["input_ids"], tokenizer.eos_token_id]
        logp = loaded(torch.tensor([prompt + said])).logits[0].log_softmax(-1)
        total -= sum(logp[len(prompt) + i - 1, token].item() for i, token in enumerate(said))
        count += len(said)
    return total / count


def stop_at(monkeypatch: pytest.MonkeyPatch, completion: int, kept: list[str]) -> None:
    """Ends a run as it has its `completion`-th of a held-out problem, as a kill would; `kept` names them."""
    put, left = Journal.put, iter(range(completion - 1, -1, -1))

    def counted(self: Journal, key: str, record: dict[str, Any]) -> None:
        put(self, key, record)
        kept.append(key)
        if not next(left):
            raise Stopped

    monkeypatch.setattr(Journal, "put", counted)


def assert_measured_alike(one: Path, other: Path) -> None:
    """The same figures and completions; what a model is called is the folder's name."""
    assert_same_run(one, other)
    figures = [[{**line, "model": ""} for line in lines(out / "eval.jsonl")] for out in (one, other)]
    assert figures[0] == figures[1]
    made = sorted(path.relative_to(one) for path in one.glob("eval/*/*"))
    assert made == sorted(path.relative_to(other) for path in other.glob("eval/*/*"))
    assert all(told(one / path) == told(other / path) for path in made)
    best = [json.loads((out / "best" / "r1.json").read_text())["metrics"] for out in (one, other)]
    assert best[0] == best[1]
    a, b = weights(one / "best"), weights(other / "best")
    assert all(torch.equal(a[name], b[name]) for name in a)


STAGES: dict[str, dict[str, Any]] = {
    "grpo": {},
    "one step off": {"one_step_off": True},
    "adapters": {"lora": Lora(lora=2)},
    "sft": {},
}


@pytest.mark.full
@pytest.mark.parametrize("name", STAGES)
def test_a_run_that_is_killed_within_an_evaluation_goes_on_to_the_same_figures(
    name: str, tiny: Path, tmp_path: Path, reward: str, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the first evaluation, in the second, in the third; no completion is sampled twice."""
    asked = Evaluation(eval=(held,), eval_every=2, eval_samples=2, eval_reward=(reward,), eval_max_tokens=9)
    options = {"evaluation": asked, "saving": Saving(save_every=3), **STAGES[name]}

    def run(out: Path, **more: Any) -> None:
        if name == "sft":
            taught(tiny, out, epochs=1, **options, **more)
        else:
            reinforced(tiny, out, reward, steps=5, **options, **more)

    def stopped(completion: int) -> None:
        with monkeypatch.context() as patch:
            stop_at(patch, completion, kept)
            run(tmp_path / "stopped", resume=True)

    kept: list[str] = []
    run(tmp_path / "whole")
    for completion in (3, 8, 13):
        with pytest.raises(Stopped):
            stopped(completion)
    stopped(1000)
    assert len(kept) == len(set(kept)) == 4 * 4 * 2
    assert_measured_alike(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.full
def test_a_run_ends_early_where_evaluations_get_no_better(tiny: Path, tmp_path: Path, held: str) -> None:
    """No sum is ever right here, so the first evaluation stays the best, and the third ends the run."""
    asked = Evaluation(eval=(held,), eval_every=1, eval_samples=1, early_stopping=2)
    options = {"evaluation": asked, "saving": Saving(save_every=1, keep_last=2)}
    heard = Heard()
    reinforced(tiny, tmp_path / "rl", "accuracy", **options, report=heard)
    assert [m["step"] for m in metrics(tmp_path / "rl")] == [0, 1, 2]
    assert heard.summaries[0].startswith("2 steps, reward 0.000 in the last")
    assert "; stopped after step 2; best at step 0 (" in heard.summaries[0]
    assert "% of the work; watch" in heard.notes[0]
    first, parent = weights(tmp_path / "rl" / "best"), weights(tiny)
    assert all(torch.equal(first[name], parent[name]) for name in parent)
    with pytest.raises(Stopped):
        reinforced(tiny, tmp_path / "killed", "accuracy", **options, report=StopAt(2), resume=True)
    reinforced(tiny, tmp_path / "killed", "accuracy", **options, resume=True)
    assert_measured_alike(tmp_path / "rl", tmp_path / "killed")
    taught(tiny, tmp_path / "sft", epochs=2, **options)
    assert [m["step"] for m in metrics(tmp_path / "sft")] == [0, 1, 2]


def test_a_run_that_was_only_measured_is_in_nobodys_way(
    tiny: Path, tmp_path: Path, reward: str, held: str
) -> None:
    """The mended command runs without --resume, samples no completion twice, and keeps nothing else."""
    (tmp_path / "bad.py").write_text("def bad(record):\n    return 1 / 0\n")
    asked = Evaluation(eval=(held,), eval_samples=1, eval_max_tokens=4)
    once = {"steps": 1, "problems": 1, "samples": 2}
    out, work = tmp_path / "out", tmp_path / "out.partial"
    with pytest.raises(R1Error, match="ZeroDivisionError"):
        reinforced(tiny, out, f"{tmp_path}/bad.py:bad", evaluation=asked, **once)
    assert [path.name for path in work.iterdir()] == ["eval_0.journal"]
    (work / "best").mkdir()
    (work / "best" / "r1.json").write_text("of another model")
    (work / "metrics.jsonl").write_text('{"step":0,"eval/held/pass@1":0.0}\n{"st')  # a kill in mid-write
    reinforced(tiny, out, reward, **once)
    assert not {"best", "eval", "eval.jsonl"} & {path.name for path in out.iterdir()}
    assert [m["step"] for m in metrics(out)] == [1]


@pytest.mark.full
def test_the_best_of_a_run_that_goes_on_is_that_of_its_state(tiny: Path, tmp_path: Path, held: str) -> None:
    """A killed run may have found a better one after it, which this time is not found again."""
    asked = Evaluation(eval=(held,), eval_every=1, eval_samples=1)
    options = {"evaluation": asked, "saving": Saving(save_every=2)}
    with pytest.raises(Stopped):
        reinforced(tiny, tmp_path / "rl", "accuracy", **options, report=StopAt(3))
    (tmp_path / "rl.partial" / "best" / "model.safetensors").unlink()
    (tmp_path / "rl.partial" / "eval" / "step_000009").mkdir()
    reinforced(tiny, tmp_path / "rl", "accuracy", **options, resume=True)
    first, parent = weights(tmp_path / "rl" / "best"), weights(tiny)
    assert all(torch.equal(first[name], parent[name]) for name in parent)
    assert len(list((tmp_path / "rl" / "eval").iterdir())) == 5


@pytest.mark.full
def test_rollouts_and_both_ways_of_distillation_are_measured_too(
    tiny: Path, tmp_path: Path, reward: str, held: str
) -> None:
    asked = Evaluation(eval=(held,), eval_samples=2, eval_reward=(reward,))
    reinforced(tiny, tmp_path / "rl", reward, steps=1)
    rollouts = list(map(Record, lines(tmp_path / "rl" / "rollouts" / "step_000001.jsonl")))
    reinforced(tiny, tmp_path / "given", reward, rollouts, rollouts=True, evaluation=asked)
    assert [line["step"] for line in lines(tmp_path / "given" / "eval.jsonl")] == [0, 1]
    for on_policy in (True, False):
        out = tmp_path / f"student-{on_policy}"
        settings = distill.Settings(
            model=str(tiny), teacher=str(tiny), out=out, on_policy=on_policy, template="none", steps=2,
            problems=3, samples=2, batch=4, epochs=1, reward=(reward,), workers=1, engine=CPU,
            sampling=Sampling(max_tokens=8), selection=Selection(keep="all"), evaluation=asked,
        )  # fmt: skip
        distill.run(problems(8), settings)
        found = lines(out / "eval.jsonl")
        assert [line["step"] for line in found] == [0, *([2] if on_policy else [4])]
        assert found[0]["settings"]["max_tokens"] == 8, "that of its --max-tokens"
        assert found[0]["pass@1"] is not None
