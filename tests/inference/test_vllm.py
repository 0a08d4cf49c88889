"""vLLM as a backend: what it says, with which weights, and what is left when it is killed.

The engine is started once for most tests; the programs start it again, as users do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import R1, environment

from stages.inference.backends import check_engine, resolved
from stages.inference.complete import Plan, run_plan
from stages.inference.encoding import load_tokenizer
from stages.inference.interface import Backend
from stages.inference.vllm import engine as vllm_engine
from stages.inference.vllm.weights import named_weights
from stages.records import templates
from stages.records.jsonl import encode
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error, Unavailable, UsageError
from stages.settings.groups import Endpoint, Engine, Lora, Sampling

THINGS = [
    "rain",
    "tea",
    "snow",
    "bread",
    "a",
    "river",
    "the",
    "moon",
    "a",
    "clock",
    "music",
    "chess",
    "iron",
    "a",
    "bicycle",
    "honey",
    "a",
    "bridge",
    "salt",
    "a",
    "library",
    "glass",
    "a",
    "garden",
    "paper",
    "wind",
    "a",
    "mirror",
    "coal",
    "a",
    "lamp",
    "sugar",
    "a",
    "ship",
    "an",
    "island",
    "wool",
    "a",
    "market",
    "gold",
]
ENGINE = Engine(backend="vllm", device="cpu", threads=1, batch_size=16, gpu_memory=0.05)
GREEDY = Sampling(temperature=0.0, max_tokens=40)


def asked(count: int) -> list[Record]:
    return [
        Record(id=f"q{i}", prompt=f"Question {i}: say something true about {THINGS[i % len(THINGS)]}.")
        for i in range(count)
    ]


def made(
    backend: Backend, count: int, sampling: Sampling, *, template: str = "chat", samples: int = 1,
    seed: int = 0
) -> list[Record]:  # fmt: skip
    plan = Plan("m", templates.load(template), sampling, seed, samples, Engine(), tokens=True)
    return list(run_plan(asked(count), plan, backend))


def said(records: list[Record]) -> list[Any]:
    return [(r["completion"], r["finish"], r["completion_ids"]) for r in records]


def test_without_a_gpu_the_default_is_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolved(Engine()).backend == "transformers"


def test_any_engine_argument_can_be_given() -> None:
    known = {"max_model_len", "quantization", "speculative_config"}
    pairs = (
        "max-model-len=512",
        "quantization=fp8",
        'speculative_config={"method": "ngram", "num_speculative_tokens": 3}',
    )
    assert vllm_engine._given(pairs, known) == {
        "max_model_len": 512,
        "quantization": "fp8",
        "speculative_config": {"method": "ngram", "num_speculative_tokens": 3},
    }
    with pytest.raises(UsageError, match="did you mean quantization"):
        vllm_engine._given(("quantisation=fp8",), known)
    with pytest.raises(UsageError, match="KEY=VALUE"):
        vllm_engine._given(("fp8",), known)


def test_on_a_cpu_memory_that_holds_files_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: 1)  # no page without content
    engine = replace(ENGINE, gpu_memory=None)
    one, two = (
        vllm_engine._arguments("m", replace(engine, dp=dp), "cpu", follows=False, separate=False)
        for dp in (1, 2)
    )
    assert one["kv_cache_memory_bytes"] > 1 << 26
    assert two["kv_cache_memory_bytes"] == pytest.approx(one["kv_cache_memory_bytes"] / 2, rel=0.3)


def test_a_missing_vllm_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("stages.inference.backends.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"not installed; install it with: pip install .*\[vllm\]"):
        check_engine(ENGINE, Endpoint())
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(Unavailable, match=r"cannot be loaded: .*; install it with: pip install .*\[vllm\]"):
        vllm_engine.start("m", ENGINE, follows=False, separate=False)


@pytest.mark.full
def test_a_torchvision_that_cannot_be_loaded_is_taken_for_absent(tmp_path: Path) -> None:
    folder = tmp_path / "torchvision"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    code = (
        "import transformers; from stages.checkpoints.loading import hide_unneeded; hide_unneeded();"
        "from transformers.utils import is_torchvision_available; import transformers.image_utils;"
        "print(is_torchvision_available())"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(PYTHONPATH=path), capture_output=True, text=True,
        check=True
    )  # fmt: skip
    assert done.stdout == "False\n"


def test_adapters_reach_the_sampler_merged(tiny: Path) -> None:
    from stages.training.policy import Policy

    policy = Policy(str(tiny), Engine(device="cpu", threads=1), Lora(lora=4))
    for name, weight in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    found = dict(named_weights(policy.unwrapped))
    merged = policy.model.merge_and_unload()
    wanted = dict(merged.named_parameters())
    assert found.keys() == wanted.keys()
    for name, weight in wanted.items():
        assert torch.allclose(found[name], weight, atol=1e-6), name


# What follows needs vLLM and a real small model.


@pytest.fixture(scope="module")
def trained(smollm2: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def sampler(smollm2: Path, trained: Any) -> Iterator[Any]:
    pytest.importorskip("vllm", reason="vLLM is not installed", exc_type=ImportError)
    if torch.cuda.is_available():
        pytest.skip("these tests compare in float32 on a CPU")
    from stages.inference.vllm.backend import VllmBackend

    backend = VllmBackend(str(smollm2), ENGINE, follows=True)
    backend.follow(trained)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def plain(smollm2: Path) -> Backend:
    from stages.inference.transformers.backend import TransformersBackend
    from stages.inference.transformers.model import load_model

    engine = replace(ENGINE, backend="transformers", batch_size=40)
    return TransformersBackend(load_model(str(smollm2), engine), load_tokenizer(str(smollm2)), engine)


@pytest.mark.full
def test_greedy_completions_are_those_of_transformers(sampler: Any, plain: Backend) -> None:
    ours, theirs = made(sampler, 40, GREEDY), made(plain, 40, GREEDY)
    assert [r["prompt_ids"] for r in ours] == [r["prompt_ids"] for r in theirs]
    pairs = list(zip(ours, theirs, strict=True))
    same = [(a, b) for a, b in pairs if said([a]) == said([b])]
    gaps = [abs(p - q) for a, b in same for p, q in zip(a["logprobs"], b["logprobs"], strict=True)]
    print(f"{len(same)} of {len(pairs)} equal, mean gap {sum(gaps) / len(gaps):.2e}")
    assert len(same) >= 0.95 * len(pairs)
    assert sum(gaps) / len(gaps) < 0.01


@pytest.mark.full
def test_ends_and_forced_thinking_are_those_of_transformers(
    sampler: Any, plain: Backend, tmp_path: Path
) -> None:
    shut = tmp_path / "thinks.txt"
    shut.write_text("{prompt}{prefill}<think>")
    closes = tmp_path / "closes.txt"
    closes.write_text("Q: {prompt}\nWrite <answer>tea</answer> and <answer>.\nA:{prefill} <answer>")
    for template, sampling in (
        ("chat", replace(GREEDY, stop=(" is", "the"))),
        (str(closes), GREEDY),
        (str(shut), replace(GREEDY, think_budget=8)),
        (str(shut), replace(GREEDY, think_budget=30, think_extend=1)),
        (str(shut), replace(GREEDY, think_budget=0)),
        ("chat", replace(GREEDY, max_tokens=1)),
    ):
        ours, theirs = (made(each, 8, sampling, template=template) for each in (sampler, plain))
        agreeing = sum(a == b for a, b in zip(said(ours), said(theirs), strict=True))
        assert agreeing >= 7, (template, sampling)
        forced = [[p is None for p in r["logprobs"]] for r in ours]
        if agreeing == 8:
            assert forced == [[p is None for p in r["logprobs"]] for r in theirs]
        assert any(map(any, forced)) == (sampling.think_budget is not None)


@pytest.mark.full
def test_each_completion_has_its_own_seed(sampler: Any) -> None:
    warm = Sampling(temperature=1.0, max_tokens=12)
    one, two = (made(sampler, 4, warm, samples=3) for _ in range(2))
    assert said(one) == said(two)
    assert len({r["completion"] for r in one}) == 12
    assert said(one) != said(made(sampler, 4, warm, samples=3, seed=1))


@pytest.mark.full
def test_a_prompt_without_room_is_bad_input(sampler: Any) -> None:
    plan = Plan("m", templates.load("none"), GREEDY, 0, 1, Engine())
    long = Record({"id": "long", "prompt": "word " * 9000}, place="p.jsonl:1")
    with pytest.raises(BadInput, match=r"p.jsonl:1: the prompt has \d+ tokens, the model's context"):
        list(run_plan([long], plan, sampler))
    brief = Record({"id": "brief", "prompt": "word"}, place="p.jsonl:2")
    left, answered = run_plan([long, brief], replace(plan, must_fit=False), sampler)
    assert left["unasked"].startswith("the prompt has ")
    assert (left["completion"], "finish" in left, "unasked" in answered) == ("", False, False)


@pytest.mark.full
def test_what_is_dropped_leaves_the_engine(sampler: Any) -> None:
    plan = Plan("m", templates.load("chat"), replace(GREEDY, max_tokens=200), 0, 4, Engine())
    given = run_plan(asked(20), plan, sampler)
    next(given)
    given.close()
    assert not sampler.engine.has_unfinished_requests()


@pytest.mark.full
def test_weights_under_training_arrive_and_stale_ones_are_caught(
    sampler: Any, plain: Any, trained: Any
) -> None:
    """Runs last: it leaves other weights in the engine."""
    engine = sampler.engine.model_executor.driver_worker.worker.model_runner.get_model()
    layer, head = engine.model.layers[3].mlp.down_proj, engine.lm_head
    old = layer.cpu_linear, head.cpu_linear
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in trained.parameters():
            weight += torch.randn_like(weight) * 0.02 * weight.std()
    sampler.follow(trained)
    plain.follow(trained)
    ours, theirs = made(sampler, 20, GREEDY), made(plain, 20, GREEDY)
    assert sum(a == b for a, b in zip(said(ours), said(theirs), strict=True)) >= 19
    new = layer.cpu_linear, head.cpu_linear
    layer.cpu_linear = old[0]
    with pytest.raises(R1Error, match="their checksums differ"):
        made(sampler, 1, GREEDY)
    layer.cpu_linear, head.cpu_linear = new[0], old[1]
    with pytest.raises(R1Error, match="computes lm_head with other weights"):
        made(sampler, 1, GREEDY)
    head.cpu_linear = new[1]
    with torch.no_grad():
        engine.model.norm.weight[0] += 1e-3
    with pytest.raises(R1Error, match="their checksums differ"):
        made(sampler, 1, GREEDY)
    sampler.follow(trained)
    assert said(made(sampler, 1, GREEDY)) == said(ours[:1])


COMMON = ("--backend", "vllm", "--device", "cpu", "--threads", "1", "--gpu-memory", "0.1")


def _shared(leader: int) -> set[int]:
    """The inodes in shared memory that the session of `leader` maps: a map may show an older name."""
    mapped = (line for pid in _of_session(leader) for line in _maps(pid) if "/dev/shm/" in line)
    return {int(line.split()[4]) for line in mapped}


def _maps(pid: int) -> list[str]:
    with suppress(OSError):  # it has ended meanwhile
        return Path(f"/proc/{pid}/maps").read_text().splitlines()
    return []


def _left_of(shared: set[int]) -> set[str]:
    """The names of `shared` that do not go within 10 s."""
    deadline = time.monotonic() + 10
    while (left := {e.name for e in os.scandir("/dev/shm") if e.inode() in shared}) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.5)
    return left


@pytest.mark.full
@pytest.mark.parametrize("replicas", [1, 2])
def test_killed_it_leaves_nothing_and_resumes(
    command: list[str], smollm2: Path, tmp_path: Path, replicas: int
) -> None:
    """With one engine the program itself is killed; with two, first one of their processes, then the
    program."""
    pytest.importorskip("vllm", reason="vLLM is not installed", exc_type=ImportError)
    source, out = tmp_path / "asked.jsonl", tmp_path / "said.jsonl"
    source.write_bytes(b"".join(map(encode, asked(12))))
    line = [
        *command, "generate", "-m", str(smollm2), *COMMON, "--batch-size", "2", "-n", "2", "--max-tokens",
        "24",
        "--dp", str(replicas), str(source), "-o", str(out), "--resume",
    ]  # fmt: skip
    journal = Path(f"{out}.journal")
    if replicas > 1:
        with _started(line, journal, 2000) as running:
            (worker, *_) = [pid for pid in _of_session(running.pid) if "spawn_main" in _line(pid)]
            os.kill(worker, signal.SIGKILL)
            said = running.communicate(timeout=60)[1].decode()
            assert running.returncode == 1, said
            assert f"(process {worker}) died with exit code -9" in said
            assert _gone(running.pid)
    with _started(line, journal, 8000) as running:
        shared = _shared(running.pid)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert _gone(running.pid)
    assert not _left_of(shared)
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "taken over" in done.stderr
    noise = [line for line in done.stderr.splitlines() if not line.startswith("generate: ")]
    assert not noise, "vLLM is not quiet"
    records = [json.loads(each) for each in out.read_text().splitlines()]
    assert [r["id"] for r in records] == [f"q{i}#{k}" for i in range(12) for k in range(2)]
    assert not journal.exists()


@contextmanager
def _started(line: list[str], journal: Path, size: int) -> Iterator[subprocess.Popen[bytes]]:
    """The program in a session of its own, once its journal has `size` bytes."""
    running = subprocess.Popen(
        line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )  # fmt: skip
    with running:
        try:
            deadline = time.monotonic() + 200
            while not (journal.exists() and journal.stat().st_size > size):
                assert running.poll() is None, running.communicate()[1].decode()
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield running
        finally:
            running.kill()


def _line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def _gone(leader: int) -> bool:
    """Whether within 10 s nothing runs any more in the session that `leader` began."""
    deadline = time.monotonic() + 10
    while (left := _of_session(leader)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not left


def _of_session(leader: int) -> list[int]:
    """The processes that still run in the session that `leader` began."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            continue
        if entry.name.isdigit() and int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.mark.full
def test_eval_through_vllm(r1: R1, smollm2: Path, tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed", exc_type=ImportError)
    done = r1(
        "eval", "-m", smollm2, "--benchmark", "sums", "--limit", "6", "--max-tokens", "16", *COMMON,
        timeout=600
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert all(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.full
@pytest.mark.parametrize("extra", [(), ("--one-step-off", "--lora", "4", "--lr", "1e-3")])
def test_three_steps_of_grpo_through_vllm(
    r1: R1, smollm2: Path, reward: str, tmp_path: Path, extra: tuple[str, ...]
) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed", exc_type=ImportError)
    source, out = tmp_path / "asked.jsonl", tmp_path / "out"
    source.write_bytes(b"".join(map(encode, asked(6))))
    held = ("--eval", source, "--eval-limit", "3", "--eval-every", "2", "--eval-reward", reward)
    done = r1(
        "grpo", "-m", smollm2, "-o", out, "--steps", "3", "--problems", "2", "-n", "2", "--max-tokens", "16",
        "--temperature", "0.7", "--reward", reward, "--lr", "1e-4", *COMMON, *extra, *held, source,
        timeout=1000,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == f"{out}\n".encode()
    first, *metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(metrics) == 3
    measured = [json.loads(line) for line in (out / "eval.jsonl").read_text().splitlines()]
    assert [(line["step"], line["problems"], line["k"]) for line in measured] == [
        (i, 3, 4) for i in (0, 2, 3)
    ]
    assert first["eval/asked/pass@1"] == pytest.approx(measured[0]["pass@1"], rel=1e-5)
    assert measured[0]["settings"]["backend"] == "vllm"
    assert len({line["revision"] for line in measured}) == 3, "each with the weights of its step"
    print([m["sampling/logp_gap_mean"] for m in metrics])
    if not extra:
        assert all(m["sampling/logp_gap_mean"] < 0.01 for m in metrics)
    rollout = json.loads((out / "rollouts" / "step_000003.jsonl").read_text().splitlines()[0])
    assert rollout["meta"]["generate"]["backend"] == "vllm"
