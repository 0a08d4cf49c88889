"""Whole runs: under ZeRO, killed and resumed, and with each fault that a guard must find."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from finding import Bench, Row, at_most, each
from safetensors.torch import load_file
from sizes import text

from stages import grpo, sft
from stages.inference.encoding import load_tokenizer
from stages.inference.interface import Request
from stages.inference.transformers.backend import TransformersBackend
from stages.records import templates
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error, Unavailable, UsageError
from stages.settings.groups import Lora, Optimizer, Parallelism, Sampling, Saving
from stages.training.policy import Policy

STEPS, KILLED = 4, 2
STEADY = Optimizer(lr=1e-4, schedule="constant", warmup=0.0)


def rows(name: str, bench: Bench) -> Iterator[Row]:
    """`name` is guards, resume, or stages: those of ZeRO."""
    if name == "guards":
        yield from each(*((told, lambda f=find: f(bench)) for told, find in GUARDS.items()))
    elif name == "resume":
        yield from each(("resume", lambda: _resume(bench)))
    else:
        yield from _zero(bench)


def _problems(bench: Bench, count: int = 8) -> list[Record]:
    return [Record(id=str(k), prompt=text(bench.size, 12, k), answer="1") for k in range(count)]


def _lessons(bench: Bench) -> list[Record]:
    return [p.adding(completion=text(bench.size, 20, 99 + int(p["id"]))) for p in _problems(bench)]


def _taught(bench: Bench, out: str, model: Path | None = None, **options: Any) -> Path:
    settings: dict[str, Any] = {
        "model": str(model or bench.model()), "out": bench.folder / out, "template": "none", "epochs": 2,
        "batch": 4, "optimizer": STEADY, "engine": bench.engine("float32"), **options,
    }  # fmt: skip
    sft.run(_lessons(bench), sft.Settings(**settings))
    return bench.folder / out


def _reinforced(bench: Bench, out: str, *, resume: bool = False, **options: Any) -> Path:
    settings: dict[str, Any] = {
        "model": str(bench.model()), "out": bench.folder / out, "template": "none", "steps": STEPS,
        "reward": ("trl:peer.vowels",), "problems": 2, "samples": 4, "workers": 1,
        "sampling": Sampling(max_tokens=12), "engine": bench.engine("float32"),
        "saving": Saving(save_every=1),
        "optimizer": Optimizer(lr=1e-4, schedule="constant", warmup=0.0, beta2=0.999), **options,
    }  # fmt: skip
    records = settings.pop("records", None) or _problems(bench)
    grpo.run(records, grpo.Settings(**settings), resume=resume)
    return bench.folder / out


def _learned(out: Path, bench: Bench) -> torch.Tensor:
    """How far the weights have gone from the model's."""
    before, after = (load_file(path / "model.safetensors") for path in (bench.model(), out))
    return torch.cat([(after[name] - before[name]).flatten() for name in sorted(before)])


def _apart(one: Path, other: Path, bench: Bench) -> float:
    wanted = _learned(one, bench)
    return float((_learned(other, bench) - wanted).norm() / wanted.norm())


def _zero(bench: Bench) -> Iterator[Row]:
    """Each stage of ZeRO with one rank against training without it."""
    try:
        import deepspeed  # noqa: F401
    except Exception as error:  # without a compiler it raises other things than ImportError
        yield Row("DeepSpeed", "left out", note=f"{type(error).__name__}: {error}"[:200])
        return
    plain: dict[str, Path] = {}

    def compared(stage: int, dtype: Any, bound: float) -> Iterator[Row]:
        engine = bench.engine(dtype)
        if dtype not in plain:
            plain[dtype] = _taught(bench, f"plain-{dtype}", engine=engine)
        out = _taught(bench, f"zero-{stage}-{dtype}", engine=engine, parallelism=Parallelism(zero=stage))
        yield at_most(f"--zero {stage} in {dtype}, learned", _apart(plain[dtype], out, bench), bound)

    cases = [(stage, "float32", 1e-2) for stage in (1, 2, 3)]
    if bench.device == "cuda":
        cases += [(stage, "bfloat16", 0.6) for stage in (2, 3)]
    yield from each(
        *(
            (f"--zero {s} in {d}", lambda s=s, d=d, bound=bound: compared(s, d, bound))
            for s, d, bound in cases
        )
    )


def _resume(bench: Bench) -> Iterator[Row]:
    """A run killed with SIGKILL in its third step and resumed, against one that nothing interrupted."""
    whole = _reinforced(bench, "whole")
    problems = bench.folder / "problems.jsonl"
    problems.write_text("".join(json.dumps(p) + "\n" for p in _problems(bench)))
    line = [
        sys.executable, "-m", "r1cli", "grpo", "-m", bench.model(), "-o", bench.folder / "killed",
        "-t", "none", "--steps", STEPS, "-r", "trl:peer.vowels", "--problems", 2, "-n", 4, "--workers", 1,
        "--max-tokens", 12,
        "--backend", "transformers", "--device", bench.device, "--dtype", "float32", "--save-every", 1,
        "--lr", "1e-4", problems,
    ]  # fmt: skip
    said = bench.folder / "killed.err"
    with open(said, "wb") as stream:
        run = subprocess.Popen(list(map(str, line)), stderr=stream, stdout=stream, env=os.environ)
        work = bench.folder / "killed.partial"
        while run.poll() is None and not (work / "state" / f"step_{KILLED:06d}").exists():
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        code = run.wait()
    if code != -signal.SIGKILL:
        last = said.read_text().strip().splitlines()[-1:]
        raise RuntimeError(f"the run to be killed ended with {code}: {' '.join(last)}")
    left = sorted(path.name for path in (work / "state").iterdir())
    yield Row("killed with SIGKILL: the states that are left", ", ".join(left), "one or more", bool(left))
    killed = _reinforced(bench, "killed", resume=True)
    apart = _apart(whole, killed, bench)
    if bench.device == "cpu":
        yield Row("resumed against uninterrupted", f"{apart:.3g}", "to the bit", apart == 0)
    else:
        yield at_most("resumed against uninterrupted, learned", apart, 0.05, "0 where it is so to the bit")


def _raises(kind: type[R1Error], said: str, act: Callable[[], Any]) -> Iterator[Row]:
    """A row that is well where `act` ends with that error, in those words."""
    told = f"exit code {kind.code}, {said!r}"
    try:
        act()
    except kind as error:
        yield Row(told, str(error)[:160], "ends the run", said in str(error))
    else:
        yield Row(told, "nothing was raised", "ends the run", ok=False)


def _broken_weight(bench: Bench) -> Iterator[Row]:
    from safetensors.torch import save_file

    broken = bench.folder / "broken"
    broken.mkdir()
    for path in bench.model().iterdir():
        if path.name != "model.safetensors":
            (broken / path.name).write_bytes(path.read_bytes())
    weights = load_file(bench.model() / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    yield from _raises(R1Error, "not finite", lambda: _taught(bench, "taught", broken))


def _stale_sampler(bench: Bench) -> Iterator[Row]:
    policy = Policy(str(bench.model()), bench.engine("bfloat16"), Lora())
    tokenizer = load_tokenizer(str(bench.model()))
    backend = TransformersBackend(policy.unwrapped, tokenizer, bench.engine("bfloat16"))
    backend.follow(policy.unwrapped)
    with torch.no_grad():
        policy.parameters()[1][1][0] += 1e-3
    (problem,) = _problems(bench, 1)
    request = Request(0, templates.load("none").render(problem), (0,), (1,), "here", logprobs=True)
    yield from _raises(
        R1Error, "checksums differ", lambda: list(backend.generate([request], Sampling(max_tokens=2)))
    )


def _rollouts(bench: Bench) -> list[Record]:
    """Scored completions of a first step."""
    out = bench.folder / "first"
    if not out.exists():
        _reinforced(bench, "first", steps=1)
    with open(out / "rollouts" / "step_000001.jsonl", encoding="utf-8") as stream:
        return [Record(json.loads(line)) for line in stream]


def _wrong_logprobs(bench: Bench) -> Iterator[Row]:
    made = _rollouts(bench)
    for record in made:
        record["logprobs"] = [p - 1.0 for p in record["logprobs"]]
    yield from _raises(
        R1Error,
        "did not sample from the weights",
        lambda: _reinforced(bench, "again", records=made, rollouts=True),
    )


def _endless_loss(bench: Bench) -> Iterator[Row]:
    made = _rollouts(bench)
    for record in made:
        record["logprobs"] = [-1e4] * len(record["logprobs"])  # a ratio that no number holds
        record["meta"]["generate"]["revision"] = "another model's"
    yield from _raises(
        R1Error, "the loss is inf", lambda: _reinforced(bench, "endless", records=made, rollouts=True)
    )


def _no_such_device(bench: Bench) -> Iterator[Row]:
    engine = replace(bench.engine("float32"), device="cuda:63")
    yield from _raises(Unavailable, "torch sees", lambda: _taught(bench, "elsewhere", engine=engine))


def _float16(bench: Bench) -> Iterator[Row]:
    engine = bench.engine("float16")
    yield from _raises(UsageError, "--dtype float16", lambda: _taught(bench, "short", engine=engine))


def _long_prompt(bench: Bench) -> Iterator[Row]:
    limit = max(4096, max(bench.size.lengths) + 64)
    record = Record(id="long", prompt=text(bench.size, limit, 0), answer="1")
    yield from _raises(BadInput, "tokens", lambda: _reinforced(bench, "long", records=[record], problems=1))


GUARDS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "a weight that is not a number": _broken_weight,
    "a sampler with other weights than those trained": _stale_sampler,
    "log-probabilities of another model": _wrong_logprobs,
    "a loss that is not finite": _endless_loss,
    "a device that is not there": _no_such_device,
    "float16 for training": _float16,
    "a prompt that leaves no room": _long_prompt,
}
