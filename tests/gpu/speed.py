"""Tokens per second and memory of generate, sft and grpo on one model: r1, or TRL on the same input."""

from __future__ import annotations

import json
import re
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finding import Bench, Row, Watch, each
from sizes import text

PROMPT = 64  # tokens
PLAN = re.compile(r"about ([\d.]+) GiB for weights, gradients and optimiser, and ([\d.]+) GiB for a row")


def rows(name: str, bench: Bench) -> Iterator[Row]:
    """`name` is MODEL-TYPE-PARTY."""
    model, dtype, party = name.split("-")
    if party == "trl":
        import peer

        yield from each(*peer.tried(model, dtype, bench))
        return
    for what, find in (("generate", _generate), ("sft", _sft), ("grpo", _grpo)):
        told = f"{what} {model} {dtype}"
        yield from each((told, lambda told=told, find=find: _timed(told, find, bench, model, dtype)))


def _timed(name: str, find: Any, bench: Bench, model: str, dtype: str) -> Iterator[Row]:
    bench.forget()
    rate, plan = find(bench, model, dtype)
    yield speed(name, rate, bench, plan)


def speed(name: str, rate: float, bench: Bench, plan: float = 0.0) -> Row:
    """A row of the table of speeds."""
    peak = bench.peak()
    figures = {"rate": rate, "peak": peak, "plan": plan}
    told = f", {peak:.2f} GiB" + (f" of {plan:.2f} planned" if plan else "")
    return Row(name, f"{rate:,.0f} tokens/s{told}", figures=figures)


def problems(bench: Bench, count: int) -> list[dict[str, Any]]:
    return [{"id": str(k), "prompt": text(bench.size, PROMPT, k)} for k in range(count)]


def examples(bench: Bench) -> list[dict[str, Any]]:
    """Examples of `length` tokens, the end among them."""
    size = bench.size
    asked = size.length // 4
    return [
        {"id": str(k), "prompt": text(size, asked, k), "completion": text(size, size.length - asked - 1, -k)}
        for k in range(size.steps * size.examples)
    ]


def per_second(tokens: list[float], seconds: list[float]) -> float:
    """The median of the steps after the first, which warms up."""
    rates = [many / spent for many, spent in zip(tokens, seconds, strict=True)]
    return statistics.median(rates[1:] or rates)


def _generate(bench: Bench, model: str, dtype: Any) -> tuple[float, float]:
    from stages.inference.complete import Plan, loaded
    from stages.records import templates
    from stages.records.record import Record
    from stages.settings.groups import Sampling

    size = bench.size
    sampling = Sampling(max_tokens=size.tokens)
    plan = Plan(
        str(bench.model(model)), templates.load("none"), sampling, 0, size.samples, bench.engine(dtype)
    )
    asked = [Record(p) for p in problems(bench, size.problems)]
    with loaded(plan) as held:
        list(held.completions(asked[:1], plan))
        watch = Watch(bench)
        made = sum(r["meta"]["generate"]["tokens"] for r in held.completions(asked, plan))
        return made / watch.seconds(), 0.0


class _Heard:
    """A report that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None

    def note(self, message: str) -> None:
        self.notes.append(message)


def _planned(stage: Any, records: list[Any], settings: Any) -> float:
    """GiB that --dry-run says."""
    from dataclasses import replace

    from stages.runtime.errors import DryRun

    try:
        stage.run(records, replace(settings, dry_run=True), report=_Heard())
    except DryRun as told:
        found = PLAN.search(str(told))
        if found:
            return sum(map(float, found.groups()))
    raise RuntimeError("--dry-run says no memory")


def _trained(stage: Any, records: list[Any], settings: Any, bench: Bench) -> tuple[list[Any], float]:
    """The lines of metrics.jsonl, and the plan."""
    plan = _planned(stage, records, settings)
    bench.forget()
    stage.run(records, settings)
    lines = (Path(settings.out) / "metrics.jsonl").read_text().splitlines()
    shutil.rmtree(settings.out)
    return [json.loads(line) for line in lines], plan


def _sft(bench: Bench, model: str, dtype: Any) -> tuple[float, float]:
    from stages import sft
    from stages.records.record import Record
    from stages.settings.groups import Saving

    size = bench.size
    records = [Record(e) for e in examples(bench)]
    settings = sft.Settings(
        model=str(bench.model(model)), out=bench.folder / "sft", template="none", epochs=1,
        batch=size.examples, row_tokens=size.row_tokens, saving=Saving(save_every=0),
        engine=bench.engine(dtype),
    )  # fmt: skip
    lines, plan = _trained(sft, records, settings, bench)
    tokens = [float(size.examples * size.length)] * len(lines)
    return per_second(tokens, [line["step_time"] for line in lines]), plan


def _grpo(bench: Bench, model: str, dtype: Any) -> tuple[float, float]:
    from stages import grpo
    from stages.records.record import Record
    from stages.settings.groups import Sampling, Saving

    size = bench.size
    records = [Record(p) for p in problems(bench, size.steps * size.problems)]
    settings = grpo.Settings(
        model=str(bench.model(model)), out=bench.folder / "grpo", template="none", steps=size.steps,
        reward=("trl:peer.vowels",), problems=size.problems, samples=size.samples,
        row_tokens=size.row_tokens, sampling=Sampling(max_tokens=size.tokens), saving=Saving(save_every=0),
        engine=bench.engine(dtype), workers=1,
    )  # fmt: skip
    lines, plan = _trained(grpo, records, settings, bench)
    return per_second([m["num_tokens"] for m in lines], [m["step_time"] for m in lines]), plan
