"""A reward model learns what it is shown, judges as it was trained, and resumes to the same bits."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import beside
from test_training import CPU, OFTEN, Heard, StopAt, Stopped, assert_same_run, metrics

from stages import reward_model
from stages.inference.encoding import load_tokenizer
from stages.inference.transformers.classifier import padded_by
from stages.records.record import Record
from stages.rewards.reward_model import reward_model as judged
from stages.runtime.errors import BadInput, DryRun, R1Error, Unavailable, UsageError
from stages.settings.groups import Lora, Optimizer
from stages.training.loop.job import Job
from stages.training.loop.run import Run
from stages.training.policy import Policy
from stages.training.reward_model import learner
from stages.training.reward_model.examples import Reader
from stages.training.reward_model.lessons import lesson

FAST = Optimizer(lr=3e-3, warmup=0.1)
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"


def answer(drawn: random.Random, good: bool) -> str:
    words = [drawn.choice(["red", "blue", "green", "cat"]) for _ in range(3)]
    words[drawn.randrange(3)] = "please" if good else "never"
    return " ".join(words)


def pairs(count: int, seed: int = 0) -> list[Record]:
    """Prompts whose better answer has one word, and whose worse has another, anywhere."""
    drawn = random.Random(seed)
    return [
        Record(id=f"p{k}", prompt=f"say {k}", chosen=answer(drawn, True), rejected=answer(drawn, False))
        for k in range(count)
    ]


def labelled(count: int, seed: int = 0) -> list[Record]:
    drawn = random.Random(seed)
    return [
        Record(id=f"p{k}", prompt=f"say {k}", completion=answer(drawn, k % 2 == 0), label=int(k % 2 == 0))
        for k in range(count)
    ]


def completions(given: Iterable[Record]) -> list[Record]:
    return [
        Record(prompt=record["prompt"], completion=record[name])
        for record in given
        for name in ("chosen", "rejected", "completion")
        if name in record
    ]


def trained(model: Path, out: Path, records: Any = None, **options: Any) -> Any:
    given = pairs(24) if records is None else records
    options = {"batch": 8, "optimizer": FAST, "engine": CPU, **options}
    kept = beside(options)
    settings = reward_model.Settings(model=str(model), out=out, **options)
    return reward_model.run(given, settings, **kept)


def written(path: Path, records: Iterable[Record]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model whose chat template writes the role of each turn."""
    from stages import init

    path = tmp_path_factory.mktemp("base") / "model"
    init.run(init.Settings(out=path, hidden=32, layers=2, heads=2, context=128))
    (path / "chat_template.jinja").write_text(CHAT)
    return path


@pytest.mark.parametrize("made", [pairs, labelled])
def test_a_planted_preference_is_learned_and_published(base: Path, tmp_path: Path, made: Any) -> None:
    held, said = written(tmp_path / "held.jsonl", made(60, seed=1)), Heard()
    out = tmp_path / "out"
    trained(base, out, made(160), batch=16, epochs=4, eval=(held,), report=said)
    lines = [json.loads(line) for line in (out / "eval.jsonl").read_text().splitlines()]
    assert lines[0]["accuracy"] == 0.5  # the head begins at 0
    assert lines[0]["loss"] == pytest.approx(0.693147, abs=1e-6)
    assert lines[-1]["accuracy"] > 0.9
    assert lines[-1]["accuracy_low"] > 0.8
    assert sum(row["count"] for row in lines[-1]["reliability"]) == 60
    assert metrics(out)[-1]["eval/held/accuracy"] == pytest.approx(lines[-1]["accuracy"], abs=1e-5)
    assert f"held {100 * lines[-1]['accuracy']:.1f} % right" in said.summaries[-1]
    assert "calibration error" in said.summaries[-1]
    values = [verdict.value for verdict in judged(completions(made(60, seed=1)), model=str(out))]
    signs = [1, -1] * (30 if made is labelled else 60)
    right = [
        sum((a - b) > 0 for a, b in zip(values[::2], values[1::2], strict=True)) / 60
        if made is pairs
        else sum(value * sign > 0 for value, sign in zip(values, signs, strict=True)) / 60
    ]
    assert right[0] == pytest.approx(lines[-1]["accuracy"], abs=1e-9)


def test_the_published_model_judges_as_the_trained_one_did(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To 1e-5, and transformers' own class gives the same, for prompts with and without a template."""
    seen: list[Any] = []
    plain = learner.measured
    monkeypatch.setattr(learner, "measured", lambda run, held: seen.append((run, held)) or plain(run, held))
    held = written(tmp_path / "held.jsonl", pairs(10, seed=1))
    trained(base, tmp_path / "out", eval=(held,), epochs=2)
    run, examples = seen[-1]
    last = learner.rewards_of(run, [sample for each in examples for sample in each.samples])
    batch = completions(pairs(10, seed=1))
    values = [verdict.value for verdict in judged(batch, model=str(tmp_path / "out"))]
    assert values == pytest.approx(last.tolist(), abs=1e-5)
    assert len({round(value, 6) for value in values}) > 10

    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert model.config.num_labels == 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    texts = [f"<user>{record['prompt']}<assistant>{record['completion']}" for record in batch]
    padded = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        own = model(padded["input_ids"], attention_mask=padded["attention_mask"]).logits[:, 0]
    assert own.tolist() == pytest.approx(values, abs=1e-5)


def test_the_gradient_is_that_of_the_loss_computed_at_once(base: Path, tmp_path: Path) -> None:
    """By transformers' class, text by text, with TRL's formula; rows of any length give the same."""
    from transformers import AutoModelForSequenceClassification

    given = pairs(6)
    given[0]["margin"] = 0.5
    tokenizer = load_tokenizer(str(base), None)
    policy = Policy(str(base), CPU, Lora(), rewards=True)
    torch.nn.init.normal_(policy.head.weight, generator=torch.Generator().manual_seed(0))
    pad = padded_by(policy.unwrapped, tokenizer)
    policy.save(tmp_path / "start", tokenizer)
    found = []
    for row_tokens, together in ((1024, True), (1, True), (40, False)):
        data = Reader(tokenizer, pad, 200, 128, "whole", together=together).read(given, Heard())
        settings = reward_model.Settings(
            model=str(base), out=tmp_path / str(row_tokens), row_tokens=row_tokens, engine=CPU,
            optimizer=replace(FAST, clip=0.0), center=0.1,
        )  # fmt: skip
        run = Run(Job("reward-model", settings), policy, tokenizer, updates=1)
        run.strategy.step = lambda rate: 1.0  # type: ignore[method-assign]
        loss = learner._learn(run, data.examples, settings)["loss"]
        found.append((loss, {name: weight.grad.clone() for name, weight in policy.parameters()}))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "start")
    texts = [
        tokenizer(f"<user>{r['prompt']}<assistant>{r[name]}", return_tensors="pt", add_special_tokens=False)
        for r in given
        for name in ("chosen", "rejected")
    ]
    values = torch.cat([model(input_ids=text["input_ids"]).logits[:, 0] for text in texts])
    chosen, rejected = values[::2], values[1::2]
    whole = -torch.nn.functional.logsigmoid(chosen - rejected - torch.tensor([0.5, 0, 0, 0, 0, 0])).mean()
    whole = whole + 0.1 * ((chosen + rejected) ** 2).mean()
    whole.backward()
    for loss, gradients in found:
        assert loss == pytest.approx(whole.item(), rel=1e-6)
        for name, weight in model.named_parameters():
            torch.testing.assert_close(gradients[name], weight.grad, atol=1e-6, rtol=1e-4)


def test_an_interrupted_run_resumes_to_the_same_bits(base: Path, tmp_path: Path) -> None:
    held = written(tmp_path / "held.jsonl", pairs(6, seed=1))
    options: dict[str, Any] = {"saving": OFTEN, "epochs": 2, "eval": (held,), "eval_every": 2}
    trained(base, tmp_path / "whole", **options)
    out = tmp_path / "resumed"
    with pytest.raises(Stopped):
        trained(base, out, report=StopAt(4), **options)
    with pytest.raises(UsageError, match="add --resume"):
        trained(base, out, **options)
    trained(base, out, resume=True, **options)
    assert_same_run(tmp_path / "whole", out)
    assert (out / "eval.jsonl").read_text() == (tmp_path / "whole" / "eval.jsonl").read_text()
    again = Heard()
    trained(base, out, resume=True, report=again, **options)
    assert again.summaries == [f"{out} is complete already"]


def test_every_form_of_preference_data_is_one_pair(base: Path, tmp_path: Path) -> None:
    user = {"role": "user", "content": "1"}
    good, bad = ({"role": "assistant", "content": text} for text in "ab")
    forms = [
        {"prompt": "1", "chosen": "a", "rejected": "b"},
        {"prompt": [user], "chosen": [good], "rejected": [bad]},
        {"chosen": [user, good], "rejected": [user, bad]},
        {"prompt": "1", "chosen": [user, good], "rejected": [user, bad]},  # UltraFeedback's
        {"prompt": "1", "chosen": [good], "rejected": [bad]},
        {"input": {"messages": [user]}, "preferred_output": [good], "non_preferred_output": [bad]},
        {"conversations": [{"from": "human", "value": "1"}], "chosen": {"from": "gpt", "value": "a"},
         "rejected": {"from": "gpt", "value": "b"}},
    ]  # fmt: skip
    found = [lesson(Record(form, place=f"f:{k}"), "whole") for k, form in enumerate(forms)]
    assert {json.dumps(each.conversations) for each in found} == {json.dumps([[user, good], [user, bad]])}
    assert len({each.problem for each in found[:1]}) == 1
    text = lesson(Record(chosen="Human: 1 Bot: yes sir", rejected="Human: 1 Bot: yet no"), "whole")
    assert [c[0]["content"] for c in text.conversations] == ["Human: 1 Bot: "] * 2
    assert [c[1]["content"] for c in text.conversations] == ["yes sir", "yet no"]
    for label, sign in (("safe", 1), ("unsafe", -1), (1, 1), (0, -1), (True, 1), (False, -1)):
        assert lesson(Record(prompt="1", completion="a", label=label), "whole").signs == (sign,)
    asked = Record(prompt="1", completion="hm</think>\nseven", prefill="<think>\n", label=1)
    assert lesson(asked, "summary").conversations[0][1]["content"].strip() == "seven"
    assert lesson(asked, "whole").conversations[0][1]["content"] == "<think>\nhm</think>\nseven"


def test_what_teaches_nothing_is_left_out_and_counted(base: Path, tmp_path: Path) -> None:
    said = Heard()
    same, long = (
        Record(prompt="x", chosen="a", rejected="a"),
        Record(prompt="x", chosen="a" * 300, rejected="b"),
    )
    given = [*pairs(4), same, long]
    made = trained(base, tmp_path / "out", given, report=said)
    assert made.manifest["inputs"]["records"] == 4
    assert any("one text to the model" in note for note in said.notes)
    assert any("longer than --context 128 tokens" in note for note in said.notes)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "no records to train on"),
        ([Record(prompt="1", chosen="a")], "'rejected' is missing"),
        ([Record(prompt="1", rejected="a", chosen=3)], "'chosen' is a number"),
        ([Record(prompt="1", completion="a")], "'label' is missing"),
        ([Record(prompt="1")], "'chosen' is missing"),
        (
            [Record(prompt="1", completion="a", label="maybe")],
            "field 'label' is 'maybe'; it is safe or unsafe",
        ),
        ([Record(prompt="1", completion="a", label=2)], "field 'label' is 2"),
        ([Record(prompt="1", chosen="a", rejected="b", margin="x")], "field 'margin' is a string"),
        ([Record(chosen="a", rejected="b")], "begin differently"),
        ([*pairs(2), *labelled(1)], "a label among pairs"),
        ([*labelled(2), *pairs(1)], "a pair among labels"),
        ([Record(prompt="1", chosen="a", rejected="a")], "no records to train on"),
    ],
)
def test_what_cannot_be_learned_is_named(base: Path, tmp_path: Path, records: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        trained(base, tmp_path / "out", records)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_options_that_cannot_be_kept_are_refused(base: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], type[R1Error], str]] = [
        ({"eval": ("none.jsonl",)}, UsageError, "--eval none.jsonl: is no file"),
        ({"eval": (written(tmp_path / "e.jsonl", []),)}, BadInput, "no records to measure by"),
        ({"eval": (written(tmp_path / "l.jsonl", [Record(prompt="1")]),)}, BadInput, "'chosen' is missing"),
        ({"records": labelled(4), "center": 0.1}, UsageError, "--center is for pairs"),
        ({"model": tmp_path}, Unavailable, "is no checkpoint"),
    ]
    for options, error, said in cases:
        with pytest.raises(error, match=said):
            trained(options.pop("model", base), tmp_path / "out", options.pop("records", None), **options)
    with pytest.raises(DryRun, match="trained; about"):
        trained(base, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.full
@pytest.mark.timeout(600)
def test_two_processes_train_what_one_does(base: Path, tmp_path: Path, r1: Any) -> None:
    given = written(tmp_path / "pairs.jsonl", pairs(24))
    words = ["reward-model", "-m", base, "--batch", 8, "--row-tokens", 40, "--lr", 1e-3, "--threads", 1]
    for name, more in (("one", []), ("two", ["--nproc", 2])):
        done = r1(*words, *more, "-o", tmp_path / name, given, timeout=500)
        assert done.returncode == 0, done.stderr
    one, two = (metrics(tmp_path / name) for name in ("one", "two"))
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], abs=1e-5)
