"""Generation with a real model: the same text in any company, every slot busy, thinking cut and extended."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import beside
from models import fresh

from stages import generate, sft
from stages.inference.complete import Plan, run_plan
from stages.inference.encoding import load_tokenizer
from stages.inference.interface import Request
from stages.inference.output import OutputProcessor
from stages.inference.transformers import backend as transformers
from stages.inference.transformers import flat
from stages.inference.transformers.backend import TransformersBackend
from stages.inference.transformers.execution import execution_of
from stages.inference.transformers.model import load_model
from stages.inference.transformers.ragged import Capture
from stages.records import templates
from stages.records.jsonl import Journal, encode
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error, UsageError
from stages.settings.groups import Engine, Lora, Optimizer, Sampling
from stages.training.policy import Policy
from stages.training.rows import Sample, rows

CPU = Engine(device="cpu", threads=1, batch_size=16)
SHORT = Sampling(max_tokens=20)
THINK = "{prompt}{prefill}<think>"


def problems(count: int) -> list[Record]:
    """Problems whose prompts have all lengths from 4 to 23."""
    return [Record(id=f"p{i}", prompt="1+2" + "x" * (i % 20) + "=") for i in range(count)]


def made(model: Path, records: Iterable[Record], **options: Any) -> list[Record]:
    options = {"template": "none", "sampling": SHORT, "engine": CPU, "samples": 2, **options}
    given = beside(options)
    return list(generate.run(records, generate.Settings(model=str(model), **options), **given))


def said(records: Iterable[Record]) -> dict[str, str]:
    return {record["id"]: record["completion"] for record in records}


@pytest.fixture(scope="module")
def backend(tiny: Path) -> TransformersBackend:
    return TransformersBackend(load_model(str(tiny), CPU), load_tokenizer(str(tiny)), CPU)


def plan(samples: int, sampling: Sampling = SHORT, template: str = "none", **options: Any) -> Plan:
    return Plan("m", templates.load(template), sampling, 0, samples, Engine(), **options)


def test_the_same_command_gives_the_same_bytes(tiny: Path) -> None:
    one, two = (b"".join(map(encode, made(tiny, problems(6), tokens=True))) for _ in range(2))
    assert one == two
    assert one != b"".join(map(encode, made(tiny, problems(6), tokens=True, seed=1)))


def test_a_completion_has_what_the_record_promises(tiny: Path) -> None:
    records = made(tiny, problems(3), samples=3, tokens=True)
    assert [r["id"] for r in records] == [f"p{i}#{k}" for i in range(3) for k in range(3)]
    assert {r["group"] for r in records} == {"p0", "p1", "p2"}
    for record in records:
        assert len(record["completion_ids"]) == len(record["logprobs"]) <= 20
        assert (record["finish"] == "length") == (
            record["completion_ids"][-1] != 0 and len(record["completion_ids"]) == 20
        )
        assert record["meta"]["generate"]["tokens"] == len(record["completion_ids"])
    assert len(set(said(records).values())) == 9, "each sample has random numbers of its own"


@pytest.mark.parametrize("other", [{"batch_size": 1}, {"batch_size": 5}, {"batch_size": 64}])
def test_another_batch_size_gives_the_same_completions(tiny: Path, other: dict[str, int]) -> None:
    """In float32 all but one in a thousand; 36 completions of 20 tokens leave no room for one."""
    wanted = said(made(tiny, problems(12), samples=3))
    assert said(made(tiny, problems(12), samples=3, engine=replace(CPU, **other))) == wanted


def test_deterministic_completions_keep_every_bit_of_their_log_probabilities(tiny: Path) -> None:
    engine = replace(CPU, deterministic=True)
    wanted = made(tiny, problems(10), tokens=True, engine=engine)
    for other in (replace(engine, batch_size=1), replace(engine, batch_size=23)):
        assert made(tiny, problems(10), tokens=True, engine=other) == wanted
    later = made(tiny, problems(10)[5:], tokens=True, engine=engine)
    assert later == wanted[10:], "nor do they depend on the problems before"


def test_shards_put_together_are_the_whole(tiny: Path) -> None:
    whole = said(made(tiny, problems(7)))
    parts = [said(made(tiny, problems(7), shard=f"{i}/3")) for i in range(3)]
    assert [len(part) for part in parts] == [6, 4, 4]
    assert {name: text for part in parts for name, text in part.items()} == whole
    for wrong in ("3/3", "x", "1", "-1/2", "0/0"):
        with pytest.raises(UsageError):
            made(tiny, problems(1), shard=wrong)


@pytest.mark.full
def test_one_in_a_thousand_completions_at_most_depends_on_its_batch(tiny: Path) -> None:
    many = {"samples": 20, "sampling": Sampling(max_tokens=48)}
    wanted = said(made(tiny, problems(100), **many, engine=replace(CPU, batch_size=64)))
    for size in (9, 200):
        found = said(made(tiny, problems(100), **many, engine=replace(CPU, batch_size=size)))
        assert sum(found[name] == wanted[name] for name in wanted) >= 0.999 * len(wanted)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_kept_log_probabilities_are_the_trainers(tiny: Path, temperature: float) -> None:
    records = made(tiny, problems(8), tokens=True, sampling=replace(SHORT, temperature=temperature))
    assert gap(tiny, records, temperature) < 1e-5


def gap(model: Path, records: Iterable[Record], temperature: float, policy: Policy | None = None) -> float:
    """Mean distance of the drawn tokens' log-probabilities from a fresh pass over the same text."""
    policy = policy or Policy(str(model), Engine(device="cpu", threads=1), Lora())
    gaps: list[float] = []
    for record in records:
        n = len(record["completion_ids"])
        (row,) = rows([Sample(record["prompt_ids"], record["completion_ids"], [1.0] * n)], 1000)
        with torch.no_grad():
            found = policy.logprobs(row, temperature)[0].tolist()
        gaps += [abs(p - q) for p, q in zip(record["logprobs"], found, strict=True) if p is not None]
    assert gaps
    return sum(gaps) / len(gaps)


def test_a_policy_of_passes_in_bfloat16_samples_as_it_learns(tiny: Path) -> None:
    """Its weights are in float32, and their logits those that training takes."""
    half = replace(CPU, dtype="bfloat16")
    policy = Policy(str(tiny), half, Lora())
    backend = TransformersBackend(policy.unwrapped, load_tokenizer(str(tiny)), half)
    plan = Plan(str(tiny), templates.load("none"), SHORT, 0, 2, half, tokens=True)
    records = list(run_plan(problems(8), plan, backend))
    as_it_learns, in_float32 = gap(tiny, records, 1.0, policy), gap(tiny, records, 1.0)
    assert as_it_learns < in_float32 / 2


def test_a_stop_string_ends_a_completion_and_is_cut_off(tiny: Path) -> None:
    free = made(tiny, problems(10))
    stop = free[0]["completion"][3:5]
    cut = made(tiny, problems(10), sampling=replace(SHORT, stop=(stop,)), tokens=True)
    for before, after in zip(free, cut, strict=True):
        head, found, _ = before["completion"].partition(stop)
        assert after["completion"] == head
        if found:
            assert after["finish"] == "stop"
            assert len(after["completion_ids"]) == len(head) + len(stop), "what was drawn is kept as ids"
        else:
            assert after["finish"] == before["finish"]
    with pytest.raises(UsageError, match="--stop"):
        made(tiny, problems(1), sampling=Sampling(stop=("",)))


def test_a_templates_closer_ends_a_completion_and_stays(tiny: Path, tmp_path: Path) -> None:
    template = tmp_path / "t.txt"
    template.write_text("{prompt}{prefill}<answer>")
    records = made(tiny, problems(20), samples=4, template=str(template), sampling=Sampling(max_tokens=60))
    closed = [r for r in records if "</answer>" in r["completion"]]
    assert closed, "one in a hundred tokens closes"
    assert all(r["completion"].endswith("</answer>") and r["finish"] == "stop" for r in closed)
    assert all(r["prefill"] == "<answer>" for r in records)


def test_the_prefill_is_in_the_prompt_and_recorded(tiny: Path) -> None:
    (record,) = made(tiny, problems(1), samples=1, prefill="Let", tokens=True)
    text = load_tokenizer(str(tiny)).decode(record["prompt_ids"])
    assert text.endswith("=Let")
    assert record["prefill"] == "Let"


def test_a_chat_template_that_opens_the_thinking_is_not_opened_twice(
    backend: TransformersBackend,
) -> None:
    tokenizer = backend.tokenizer
    text = "{% for m in messages %}{{ m.content }}{% endfor %}A:"
    for opened, prefill, wanted in (
        ("", "<think>\n", "<think>\n"), ("<think>\n", "<think>\n", "<think>\n"), ("<think>", "", "<think>"),
        ("<think>\n", "<think>\nFirst", "<think>\nFirst"), ("<think>\n", "", "<think>\n"),
    ):  # fmt: skip
        tokenizer.chat_template = text + "{{ " + repr(opened) + " }}"
        rendered = templates.load("chat", prefill=prefill).render(Record(prompt="q"))
        ids, found = backend.encode(rendered)
        assert (tokenizer.decode(ids), found) == ("qA:" + wanted, wanted)
        ids, found = backend.encode(rendered, prefilled=False)
        assert (tokenizer.decode(ids), found) == ("qA:", "")
    tokenizer.chat_template = None


def test_few_shot_and_reflection_are_in_the_prompt(tiny: Path, tmp_path: Path) -> None:
    shots = tmp_path / "shots.jsonl"
    shots.write_bytes(encode({"prompt": "5+5=", "completion": "10"}))
    tokenizer = load_tokenizer(str(tiny))
    (record,) = made(tiny, problems(1), samples=1, few_shot=shots, tokens=True)
    assert tokenizer.decode(record["prompt_ids"]) == "5+5=10\n\n1+2="
    reflect = fresh(tmp_path / "wide", context=512)
    (record,) = made(reflect, problems(1), samples=1, reflect=True, tokens=True)
    assert templates.REFLECT in tokenizer.decode(record["prompt_ids"])


def test_a_prompt_that_leaves_no_room_is_named(tiny: Path) -> None:
    long = Record(id="l", prompt="x" * 300, place="problems.jsonl:7")
    with pytest.raises(
        BadInput, match=r"problems.jsonl:7: the prompt has 300 tokens, the model's context 256"
    ):
        made(tiny, [*problems(2), long])


def test_a_completion_ends_at_the_models_context(tiny: Path) -> None:
    long = Record(id="l", prompt="x" * 250)
    records = made(tiny, [long], samples=8, sampling=Sampling(max_tokens=100), tokens=True)
    assert max(len(r["completion_ids"]) for r in records) == 6
    assert all(
        r["finish"] == "length" for r in records if len(r["completion_ids"]) == 6 and r["completion_ids"][-1]
    )


def test_a_model_whose_logits_are_not_finite_is_not_sampled_from(tiny: Path) -> None:
    broken = TransformersBackend(load_model(str(tiny), CPU), load_tokenizer(str(tiny)), CPU)
    with torch.no_grad():
        broken.model.model.norm.weight[0] = torch.nan
    with pytest.raises(R1Error, match="not finite"):
        list(run_plan(problems(1), plan(1), broken))


# Thinking: a budget, and extensions (s1).


@pytest.mark.parametrize("budget", [0, 1, 7])
def test_a_budget_ends_thinking_at_that_token(tiny: Path, tmp_path: Path, budget: int) -> None:
    template = tmp_path / "t.txt"
    template.write_text(THINK)
    opener, close = load_tokenizer(str(tiny)).convert_tokens_to_ids(["<think>", "</think>"])
    records = made(
        tiny, problems(8), template=str(template), tokens=True, sampling=replace(SHORT, think_budget=budget),
    )  # fmt: skip
    forced = 0
    for record in records:
        ids, logprobs = record["completion_ids"], record["logprobs"]
        if close in ids[:budget] or 0 in ids[:budget]:  # ended by itself before
            assert None not in logprobs
            continue
        forced += 1
        first, *later = [i for i, p in enumerate(logprobs) if p is None]
        assert first == budget
        # Past the budget thinking ends as soon as it is opened again.
        assert all(ids[i] == close for i in (first, *later))
        assert all(ids[i - 1] == opener for i in later)
    assert forced > 8
    assert gap(tiny, records, 1.0) < 1e-5


def test_thinking_goes_on_where_it_would_end(tiny: Path, tmp_path: Path) -> None:
    """Each of 96 chains may be extended twice; what follows a rolled-back cache is what a fresh pass
    gives."""
    template = tmp_path / "t.txt"
    template.write_text(THINK)
    sampling = Sampling(max_tokens=100, think_extend=2)
    records = made(tiny, problems(24), samples=4, template=str(template), tokens=True, sampling=sampling)
    tokenizer = load_tokenizer(str(tiny))
    seen = {0: 0, 1: 0, 2: 0}
    for record in records:
        forced = [i for i, p in enumerate(record["logprobs"]) if p is None]
        text = tokenizer.decode([record["completion_ids"][i] for i in forced])
        assert text == "WaitWait"[: len(text)]
        if len(text) % 4:  # cut at the limit within the word
            assert record["finish"] == "length"
            continue
        seen[len(text) // 4] += 1
        if len(text) < 8:
            assert "</think>" not in record["completion"]
            assert record["finish"] == "length"
    assert all(seen.values()), f"some extended never, once and twice: {seen}"
    assert any("</think>" in record["completion"] for record in records)
    assert gap(tiny, records, 1.0) < 1e-5
    again = made(
        tiny, problems(24), samples=4, template=str(template), tokens=True, sampling=sampling,
        engine=replace(CPU, batch_size=96),
    )  # fmt: skip
    assert said(again) == said(records)


def test_thinking_goes_on_by_a_models_own_code_as_over_flat_rows(tiny: Path, tmp_path: Path) -> None:
    """A state cannot go back: what follows the word that is put in is computed anew."""
    (tmp_path / "t.txt").write_text(THINK)
    template = templates.load(str(tmp_path / "t.txt"))
    plan = Plan(str(tiny), template, Sampling(max_tokens=60, think_extend=2), 0, 4, CPU, tokens=True)
    model, tokenizer = load_model(str(tiny), CPU), load_tokenizer(str(tiny))
    flat_rows = list(run_plan(problems(6), plan, TransformersBackend(model, tokenizer, CPU)))
    model.r1_execution = replace(execution_of(model), flat=False, attention="eager")
    model.set_attn_implementation("eager")
    own_code = list(run_plan(problems(6), plan, TransformersBackend(model, tokenizer, CPU)))
    assert said(own_code) == said(flat_rows)
    assert any(None in record["logprobs"] for record in own_code)


def test_a_closer_of_several_tokens_is_taken_back_whole(tmp_path: Path) -> None:
    """Characters are tokens here, `</think>` is eight of them; the text before it stays."""
    model = fresh(tmp_path / "characters", words=())
    tokenizer = load_tokenizer(str(model))
    processor = OutputProcessor(tokenizer, frozenset(), 256, Sampling(think_extend=1, max_tokens=100))
    rendered = replace(templates.load("none").render(Record(prompt="q")), prefill="<think>")
    request = Request(0, rendered, (0,), (1,))
    sequence = processor.start(request, 0, [5], "<think>")
    kept = [processor.take(sequence, token, -1.0) for token in processor.encode("so 3 < 4</think>")]
    assert kept == [None] * 15 + [8], "8 tokens stay in the cache"
    assert tokenizer.decode(sequence.ids) == "so 3 < 4W"
    for _ in range(3):
        processor.take(sequence, 9, -1.0)  # whatever is drawn, the text is forced
    assert tokenizer.decode(sequence.ids) == "so 3 < 4Wait"
    assert sequence.logprobs == [-1.0] * 8 + [None] * 4
    for token in processor.encode("!</think>"):
        assert processor.take(sequence, token, -1.0) is None
    assert not sequence.thinking
    assert processor.completion(sequence).text == "so 3 < 4Wait!</think>"


def test_a_cache_rolled_back_over_several_tokens_is_the_shorter_texts(tmp_path: Path) -> None:
    """A model that has learned to say `ab</think>c`, letter by letter: its closer is in the cache when it is
    taken back.
    """
    records = [Record(prompt=f"{i}=", completion="ab</think>c") for i in range(32)]
    model = tmp_path / "closes"
    sft.run(
        records,
        sft.Settings(
            model=str(fresh(tmp_path / "characters", words=())),
            out=model,
            template="none",
            batch=8,
            epochs=12,
            optimizer=Optimizer(lr=1e-2),
            engine=CPU,
        ),
    )
    template = tmp_path / "t.txt"
    template.write_text(THINK)
    records_made = made(
        model, problems(12), template=str(template), tokens=True, sampling=Sampling(max_tokens=40,
        think_extend=2),
    )  # fmt: skip
    extended = [r for r in records_made if sum(p is None for p in r["logprobs"]) == 8]
    assert len(extended) > 6
    assert all("</think>" not in part for r in extended for part in r["completion"].split("Wait")[:2])
    assert gap(model, records_made, 1.0) < 1e-5


# How the work is done: order, bounds, slots, prefill.


def test_the_first_line_is_out_before_the_last_is_in(backend: TransformersBackend) -> None:
    first_out = threading.Event()

    def slowly() -> Iterator[Record]:
        yield problems(1)[0]
        assert first_out.wait(30), "the first completion waited for the second problem"
        yield problems(2)[1]

    stream = run_plan(slowly(), plan(1), backend)
    assert next(stream)["id"] == "p0#0"
    first_out.set()
    assert [record["id"] for record in stream] == ["p1#0"]


def test_unordered_problems_come_out_as_they_are_finished(backend: TransformersBackend) -> None:
    """The first prompt is as long as the context: it ends at once, whatever is before it."""
    records = [Record(id="slow", prompt="1+2="), Record(id="quick", prompt="1" * 255)]
    given = plan(1, Sampling(max_tokens=60, temperature=0.0))
    ordered = list(run_plan(records, given, backend))
    loose = list(run_plan(records, given, backend, unordered=True))
    assert [r["group"] for r in ordered] == ["slow", "quick"]
    assert [r["group"] for r in loose] == ["quick", "slow"]
    assert said(loose) == said(ordered)


def test_reading_ahead_is_bounded(backend: TransformersBackend) -> None:
    taken = 0

    def counted() -> Iterator[Record]:
        nonlocal taken
        for record in problems(400):
            taken += 1
            yield record

    stream = run_plan(counted(), plan(1), backend, ahead=8)
    names = [next(stream)["id"] for _ in range(40)]
    assert names == [f"p{i}#0" for i in range(40)]
    assert taken <= 40 + 3 * 8 + 2
    stream.close()


def test_no_slot_is_idle_while_a_sequence_waits(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    draw = transformers.draw

    def counting(logits: torch.Tensor, *rest: Any) -> Any:
        widths.append(len(logits))
        return draw(logits, *rest)

    monkeypatch.setattr(transformers, "draw", counting)
    records = list(run_plan(problems(20), plan(3, Sampling(max_tokens=60), tokens=True), backend))
    lengths = [len(r["completion_ids"]) for r in records]
    assert len(set(lengths)) > 5, "they end at different times"
    assert sum(widths) == sum(lengths), "each token is drawn once, none for padding"
    tail = widths[next(i for i, width in enumerate(widths) if width < 16) :]
    assert tail == sorted(tail, reverse=True), "a slot is empty only when nothing waits any more"


def test_the_completions_of_a_prompt_share_its_prefill(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    flat_logits = flat.flat_logits

    def counting(model: Any, row: torch.Tensor, layout: Any, *rest: Any, **given: Any) -> torch.Tensor:
        if isinstance(layout, Capture):
            computed.append(len(row))
        return flat_logits(model, row, layout, *rest, **given)

    monkeypatch.setattr(flat, "flat_logits", counting)
    list(run_plan(problems(10), plan(40, Sampling(max_tokens=3)), backend))
    assert sum(computed) == sum(len(p["prompt"]) for p in problems(10))


def test_an_interrupted_run_goes_on_to_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    """Stopped after 5 of 16 completions: what was finished is taken over, the rest is the same."""
    steady = replace(CPU, deterministic=True)
    whole = b"".join(map(encode, made(tiny, problems(8), tokens=True, engine=steady)))
    first = Journal(tmp_path / "journal", resume=False)
    stream = generate.run(
        problems(8),
        generate.Settings(
            model=str(tiny),
            samples=2,
            template="none",
            tokens=True,
            sampling=SHORT,
            engine=replace(steady, batch_size=2),
        ),
        journal=first,
    )
    for _ in range(5):
        next(stream)
    stream.close()
    first.close()
    with open(tmp_path / "journal", "ab") as torn:
        torn.write(b'{"key":"abc","record":{"id')
    second = Journal(tmp_path / "journal", resume=True)
    assert 5 <= len(second) < 16
    again = made(tiny, problems(8), tokens=True, journal=second, engine=steady)
    assert b"".join(map(encode, again)) == whole
    assert second.taken >= 5
    second.close()
    other = Journal(tmp_path / "journal", resume=True)
    made(tiny, problems(8), tokens=True, journal=other, seed=1, engine=steady)
    assert other.taken == 0, "a completion of another seed is not taken over"
    other.close()


@pytest.mark.full
def test_a_killed_process_resumes_to_the_same_file(
    tiny: Path, tmp_path: Path, command: list[str], r1: Any
) -> None:
    source = tmp_path / "problems.jsonl"
    source.write_bytes(b"".join(map(encode, problems(60))))
    line = [
        "generate",
        "-m",
        tiny,
        "-n",
        4,
        "-t",
        "none",
        "--max-tokens",
        60,
        "--threads",
        1,
        "--batch-size",
        8,
    ]
    done = r1(*line, "-o", tmp_path / "whole.jsonl", source)
    assert done.returncode == 0, done.stderr
    target, journal = tmp_path / "killed.jsonl", tmp_path / "killed.jsonl.journal"
    for round_ in range(3):
        resume = ["--resume"] if round_ else []
        before = journal.stat().st_size if journal.exists() else 0
        process = subprocess.Popen(
            [*command, *map(str, [*line, "-o", target, source, *resume])], stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 60
        while (journal.stat().st_size if journal.exists() else 0) < before + 20_000:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert not target.exists()
    done = r1(*line, "-o", target, "--resume", source)
    assert done.returncode == 0, done.stderr
    assert b"taken over" in done.stderr
    assert target.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not journal.exists()
