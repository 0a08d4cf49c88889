"""A server of its own as the sampler of grpo: it gets each update's weights, and nothing it drew with others is learned."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import environment
from served import Served
from test_serve import Serve
from test_served import Notes

from stages.data import templates
from stages.data.errors import R1Error, Unavailable, UsageError
from stages.data.options import Endpoint, Engine, Lora, Sampling
from stages.data.record import Record
from stages.inference import server as client
from stages.inference.complete import Plan, run_plan
from stages.inference.remote import Remote
from stages.training.policy import Policy
from stages.training.rows import Sample, rows

TAKES_WEIGHTS = ("--enable-scale-out", "--weight-transfer-config", '{"backend": "r1"}')
SERVER = Engine(backend="openai")
SHORT = Sampling(max_tokens=12)


def opened(model: Path, url: str, **options: Any) -> Remote:
    endpoint = Endpoint(url, patience=120, request_timeout=120)
    return Remote(str(model), SERVER, endpoint, **{"temperature": 1.0, "report": Notes(), **options})  # fmt: skip


def drawn(remote: Remote, template: str = "r1-zero") -> list[Record]:
    problems = [Record(id=f"p{i}", prompt=f"What is {i} + 3?") for i in range(4)]
    plan = Plan("m", "r", templates.load(template), SHORT, 0, 2, SERVER, tokens=True)
    return list(run_plan(problems, plan, remote))


def gap(policy: Policy, records: list[Record]) -> float:
    """The mean distance between a server's log-probabilities and the policy's."""
    gaps: list[float] = []
    for record in records:
        ids = record["completion_ids"]
        (row,) = rows([Sample(record["prompt_ids"], ids, [1.0] * len(ids))], 1000)
        with torch.no_grad():
            found = policy.logprobs(row)[0].tolist()
        gaps += [abs(p - q) for p, q in zip(record["logprobs"], found, strict=True)]
    return sum(gaps) / len(gaps)


@pytest.mark.parametrize("fault", ["no weights", "no tokens", "no address"])
def test_a_server_that_does_not_take_weights_is_refused_with_the_command(
    fault: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(client, "FIRST", 0.02)
    served = Served()
    page = {"data": [{"id": "m", "max_model_len": 64}], "weight_version": "default"}
    served.models = (200, page)
    try:
        if fault == "no address":
            with pytest.raises(UsageError, match="--base-url"):
                Remote(str(tiny), SERVER, Endpoint(), 1.0, Notes())
        elif fault == "no weights":
            served.pages["/weight_info"] = (404, {"detail": "Not Found"})
            with pytest.raises(Unavailable, match=r"takes no weights.*VLLM_SERVER_DEV_MODE=1"):
                opened(tiny, served.url)
        else:
            served.reply = lambda body: (403, {"error": {"message": "use --enable-scale-out"}})
            with pytest.raises(Unavailable, match="--enable-scale-out"):
                opened(tiny, served.url)
    finally:
        served.stop()


@pytest.fixture(scope="module")
def serve(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    pytest.importorskip("vllm", reason="vllm is not installed here")
    log = tmp_path_factory.mktemp("serve") / "log"
    made = Serve(smollm2, log, *TAKES_WEIGHTS, VLLM_SERVER_DEV_MODE="1")
    try:
        made.wait()
        yield made
    finally:
        made.kill()


@pytest.mark.full
@pytest.mark.timeout(420)
def test_it_samples_with_the_weights_it_was_given_last_and_no_others(
    serve: Serve, smollm2: Path
) -> None:
    policy = Policy(str(smollm2), Engine(device="cpu", threads=1), Lora())
    remote = opened(smollm2, serve.url)
    first = remote.follow(policy.plain)
    before = drawn(remote)
    assert gap(policy, before) < 1e-3
    with torch.no_grad():
        for weight in policy.plain.parameters():
            weight.mul_(1.01)
    assert gap(policy, before) > 1e-2, "the weights differ enough to be told apart"
    assert remote.follow(policy.plain) != first
    assert gap(policy, drawn(remote)) < 1e-3
    assert gap(policy, drawn(remote, "r1")) < 1e-3
    # Another run gives the same server weights of its own.
    other = opened(smollm2, serve.url)
    other.follow(Policy(str(smollm2), Engine(device="cpu", threads=1), Lora()).plain)
    with pytest.raises(R1Error, match="does not hold the weights that are trained: it sampled with r1:"):  # fmt: skip
        drawn(remote)
    # An update that its trainer broke off does not stand in the next one's way.
    other._tell("/start_weight_update")
    again = opened(smollm2, serve.url)
    again.follow(policy.plain)
    assert gap(policy, drawn(again)) < 1e-3


@pytest.mark.full
@pytest.mark.timeout(420)
def test_log_probabilities_of_another_temperature_are_refused(serve: Serve, smollm2: Path) -> None:
    with pytest.raises(Unavailable, match="--logprobs-mode processed_logprobs"):
        opened(smollm2, serve.url, temperature=0.7)


@pytest.mark.full
@pytest.mark.timeout(420)
def test_grpo_goes_on_after_its_server_was_killed(
    serve: Serve, smollm2: Path, reward: str, command: list[str], tmp_path: Path
) -> None:
    problems, out = tmp_path / "in.jsonl", tmp_path / "out"
    lines = [{"id": f"p{i}", "prompt": f"{i} + 3 ="} for i in range(4)]
    problems.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = (
        "grpo", problems, "-m", smollm2, "-o", out, "--backend", "openai", "--base-url", serve.url, "-r", reward,
        "-t", "none", "-n", 4, "--problems", 2, "--max-tokens", 8, "--lr", "1e-4", "--save-every", 1, "--threads", 1,
        "--patience", 120, "--steps", 1000,
    )  # fmt: skip
    line = [*command, *map(str, words)]
    running = subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE)
    log = Path(f"{out}.partial") / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not log.exists() or log.read_bytes().count(b"\n") < 2:
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    serve.kill()
    threading.Timer(1, serve.start).start()
    _, said = running.communicate(timeout=200)
    assert running.returncode == 1, said
    assert re.search(rb"does not hold the weights|lost a worker|/pause|/update|/start|/finish", said), said  # fmt: skip
    serve.wait()
    steps = log.read_bytes().count(b"\n")
    done = subprocess.Popen([*line, "--resume"], env=environment(), stderr=subprocess.PIPE)
    while log.read_bytes().count(b"\n") < steps + 2:
        assert done.poll() is None, done.stderr and done.stderr.read()
        time.sleep(0.1)
    done.terminate()
    done.communicate(timeout=60)
    made = [json.loads(line) for line in log.read_text().splitlines()]
    assert [m["step"] for m in made] == list(range(1, len(made) + 1))
    assert max(m["sampling/logp_gap_mean"] for m in made) < 1e-3
