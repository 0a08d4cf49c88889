"""What `r1 grpo --staleness K` gains in time and costs in learning, for K = 0, 1, 2, 4, 8 in turn.

    python tests/bench/staleness.py [--server] [--seeds N] [--steps N] [--row-tokens N]

A model of 110,000 weights that has read worked sums learns them better by GRPO; each seed is another base and
another run. With `--server` a vLLM server samples, one core for it and one for the trainer; else a thread of
the trainer does. With 64 tokens a row the trainer is the slower one, and the weights are K steps old. A line
for each run gives tokens per second, how old the weights were, what trainer and sampler waited, and the share
of held-out sums that come out right, before and after; the last lines the medians and the paired difference
to K = 0 over all seeds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

AGES = (0, 1, 2, 4, 8)
WORDS = (" plus ", " is ", "<think>", "</think>", "<answer>", "</answer>")
COMMON = ("-t", "none", "--threads", 1)
GRPO = (
    *COMMON, "-r", "accuracy", "--problems", 16, "-n", 8, "--max-tokens", 48, "--lr", 1e-4, "--save-every", 0,
    "--workers", 1,
)  # fmt: skip


def r1(*words: Any, cores: set[int] | None = None, **variables: str) -> str:
    line = [sys.executable, "-m", "r1cli", *map(str, words)]
    done = subprocess.run(
        line, env={**os.environ, "OMP_NUM_THREADS": "1", **variables}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
        preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{line}\n{done.stderr[-2000:]}")
    return done.stdout


def made(folder: Path, seed: int) -> None:
    """A base that gets some sums right, problems to learn from and problems that are held out."""
    tokens = [word for each in WORDS for word in ("--words", each)]
    r1("init", "-o", folder / "fresh", "--hidden", 64, "--layers", 2, "--heads", 2, "--seed", seed, *tokens)
    worked = folder / "worked.jsonl"
    r1(
        "prompts",
        "sums",
        "--split",
        "train",
        "--seed",
        seed,
        "--set",
        "worked=clean",
        "-o",
        worked,
    )
    train = ("--lr", 6e-3, "--batch", 16, "--epochs", 1, "--seed", seed, "--save-every", 0)
    r1("sft", *COMMON, *train, "-m", folder / "fresh", worked, "-o", folder / "base")
    r1("prompts", "sums", "--split", "train", "-n", 2000, "--seed", seed + 100, "-o", folder / "train.jsonl")
    r1("prompts", "sums", "--split", "test", "-n", 300, "-o", folder / "test.jsonl")


def right(folder: Path, model: Path) -> dict[str, float]:
    """The share of each held-out problem's four answers that are right."""
    kept = folder / "answers.jsonl"
    kept.unlink(missing_ok=True)
    flags = ("-k", 4, "--max-tokens", 48, "-r", "accuracy", "--temperature", 1, "--top-p", 1, "--seed", 7)
    r1("eval", *COMMON, *flags, "-m", model, folder / "test.jsonl", "--save", kept)
    found: dict[str, list[float]] = {}
    for line in kept.read_text().splitlines():
        record = json.loads(line)
        found.setdefault(record["group"], []).append(float(record["reward"]))
    return {name: statistics.fmean(values) for name, values in found.items()}


@contextlib.contextmanager
def serving(folder: Path, model: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A vLLM server that takes weights, on the second core; its address, and what the trainer must know."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secret = {"R1_WEIGHTS_SECRET": secrets.token_hex(32)}
    line = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--host", "127.0.0.1",
        "--port", port, "--dtype", "float32", "--max-model-len", 128, "--enable-scale-out", "--middleware",
        "stages.inference.server.guard.Guard", "--weight-transfer-config", '{"backend": "r1"}',
    ]  # fmt: skip
    limits = {
        "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_SERVER_DEV_MODE": "1",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    cores = os.sched_getaffinity(0)
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            list(map(str, line)), env={**os.environ, **limits, **secret}, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, {max(cores)}),
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}/v1"
        while True:
            try:
                urllib.request.urlopen(f"{url}/models", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit((folder / "server.log").read_text()[-3000:]) from None
                time.sleep(0.5)
        yield url, secret
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def learned(folder: Path, age: int, seed: int, asked: Any, server: tuple[str, dict[str, str]] | None) -> Path:
    """One run of grpo with this staleness."""
    out = folder / f"grpo-{age}"
    flags: list[Any] = [*GRPO, "--staleness", age, "--seed", seed, "--steps", asked.steps]
    flags += ["--row-tokens", asked.row_tokens]
    if age == 0:  # the same loss for all
        flags += ["--correction", "truncate"]
    variables: dict[str, str] = {}
    cores = None
    if server:
        flags += ["--backend", "openai", "--base-url", server[0], "--batch-size", 128]
        variables, cores = server[1], {min(os.sched_getaffinity(0))}
    r1("grpo", *flags, "-m", folder / "base", folder / "train.jsonl", "-o", out, cores=cores, **variables)
    return out


def figures(out: Path) -> dict[str, float]:
    """Of the steps after the second, in which some K still begin."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()][2:]

    def mean(name: str) -> float:
        return statistics.fmean(line.get(name) or 0.0 for line in lines)

    return {
        "tokens_per_s": sum(line["num_tokens"] for line in lines) / sum(line["step_time"] for line in lines),
        "staleness": mean("sampling/staleness"),
        "stale_tokens": mean("sampling/stale_tokens"),
        "trainer_waits": mean("time/generate"),
        "sampler_waits": mean("time/sampler_idle"),
    }


def interval(differences: list[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of paired differences, in points."""
    mean = statistics.fmean(differences)
    half = 1.96 * statistics.stdev(differences) / math.sqrt(len(differences))
    return 100 * mean, 100 * (mean - half), 100 * (mean + half)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    given.add_argument("--server", action="store_true")
    given.add_argument("--seeds", type=int, default=3)
    given.add_argument("--steps", type=int, default=60)
    given.add_argument("--row-tokens", type=int, default=1536)
    asked = given.parse_args()
    rates: dict[int, list[float]] = {age: [] for age in AGES}
    gains: dict[int, list[float]] = {age: [] for age in AGES}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as scope:
        server = None
        for seed in range(asked.seeds):
            folder = Path(name, str(seed))
            folder.mkdir()
            made(folder, seed)
            if asked.server and server is None:
                server = scope.enter_context(serving(folder, folder / "base"))
            base = right(folder, folder / "base")
            after: dict[int, dict[str, float]] = {}
            for age in AGES:
                out = learned(folder, age, seed, asked, server)
                found = figures(out)
                after[age] = right(folder, out)
                rates[age].append(found["tokens_per_s"])
                gains[age] += [after[age][each] - after[0][each] for each in base]
                told = " ".join(f"{key}={value:.3g}" for key, value in found.items())
                shares = [100 * statistics.fmean(each.values()) for each in (base, after[age])]
                print(f"seed {seed} K={age}: {told} right={shares[0]:.1f}->{shares[1]:.1f} %", flush=True)
    for age in AGES:
        ratio = statistics.median(a / b for a, b in zip(rates[age], rates[0], strict=True))
        mean, low, high = interval(gains[age]) if age else (0.0, 0.0, 0.0)
        print(
            f"K={age}: {ratio:.2f} times the tokens per second, {mean:+.1f} points ({low:.1f} to {high:.1f})"
        )


if __name__ == "__main__":
    main()
