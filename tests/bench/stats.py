"""`r1 stats` beside `wc -l` and parsing with orjson on the same file, in turns. Bar: twice the time, 100 MB.

    python tests/bench/stats.py [RECORDS PAIRS]

A record is a scored completion of 700 bytes. Prints the medians of wall time and of processor time, their
ratios, and the most memory that one process had.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import orjson

PARSE = "import sys, orjson\nfor line in open(sys.argv[1], 'rb'): orjson.loads(line)"


class Cost(NamedTuple):
    """Of a command: seconds that pass, seconds of processors, and MiB of its largest process."""

    wall: float
    cpu: float
    memory: float


def write(path: Path, count: int) -> None:
    """Completions of sums, eight for each problem."""
    drawn = random.Random(0)
    with open(path, "wb") as out:
        for k in range(count):
            one, other = drawn.randrange(100), drawn.randrange(100)
            accuracy, form = float(drawn.random() < 0.4), drawn.random()
            tokens = drawn.randrange(30, 300)
            record = {
                "id": f"sums-{k // 8}#{k % 8}", "group": f"sums-{k // 8}", "sample": k % 8,
                "prompt": f"{one}+{other}=?", "answer": str(one + other), "lang": "en",
                "prefill": "<think>\n",
                "completion": "We add the numbers. " * (tokens // 24) + f"</think>\nIt is {one + other}.",
                "finish": "stop" if accuracy else "length", "reward": accuracy + form,
                "rewards": {"accuracy": accuracy, "format": form},
                "reasons": {"accuracy": f"last '{one + other}' equals '{one + other}' (exact)"},
                "meta": {
                    "generate": {"model": "ckpt/base", "revision": "0123456789abcdef", "template": "r1-zero",
                                 "seed": 0, "temperature": 1.0, "tokens": tokens, "version": "0.1.0"},
                    "score": {"rewards": ["accuracy", "format:style=think"], "version": "0.1.0"},
                },
            }  # fmt: skip
            out.write(orjson.dumps(record) + b"\n")


def cost(*commands: list[str]) -> Cost:
    """Of the commands one after the other."""
    began, cpu, memory = time.perf_counter(), 0.0, 0.0
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{command[0]} failed: {status}")
        cpu += used.ru_utime + used.ru_stime
        memory = max(memory, used.ru_maxrss / 1024)
    return Cost(time.perf_counter() - began, cpu, memory)


def main() -> None:
    """Prints both and their ratio."""
    count, pairs = (int(each) for each in sys.argv[1:3]) if sys.argv[2:] else (1_000_000, 5)
    theirs, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scored.jsonl"
        write(path, count)
        for _ in range(pairs):
            theirs.append(cost(["wc", "-l", str(path)], [sys.executable, "-c", PARSE, str(path)]))
            ours.append(cost([sys.executable, "-m", "r1cli", "stats", "-q", str(path)]))
    for name, costs in (("wc -l and orjson", theirs), ("r1 stats", ours)):
        wall, cpu, memory = (statistics.median(each) for each in zip(*costs, strict=True))
        print(f"{name:18} {wall:6.2f} s, {cpu:6.2f} s of processors, {memory:5.1f} MiB")
    for name in ("wall", "cpu"):
        ratios = [getattr(a, name) / getattr(b, name) for a, b in zip(ours, theirs, strict=True)]
        print(f"{name} ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
