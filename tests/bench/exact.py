"""What `r1 grpo --batch-invariant` costs: steps with it and without in turn, pair by pair.

    python tests/bench/exact.py [--pairs N] [--steps N] [--dtype bfloat16] [--model DIR]

Each run is a process of its own, with the same model (by default a fresh one of 650,000 weights), the same
problems and as many threads; of each the first step warms up and is left out. A line for each pair gives the
seconds of a step and of its two halves with and without, and their largest gap between sampler and trainer;
the last line the medians of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TIMES = ("step_time", "time/generate", "time/learn")
REWARD = """def early(record):
    text = record["completion"]
    return sum(c.lower() < "n" for c in text) / max(len(text), 1)
"""


def r1(*arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run([sys.executable, "-m", "r1cli", *arguments], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def run(work: Path, asked: argparse.Namespace, *, exact: bool) -> tuple[dict[str, float], float]:
    """Seconds of a step, its median, and the largest gap of the run."""
    out = work / "out"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    command = f"""grpo -q -m {asked.model} -o {out} --template none --reward {work}/early.py:early
        --steps {asked.steps} --problems {asked.problems} -n {asked.samples} --max-tokens {asked.tokens}
        --threads {asked.threads} --workers 1 --dtype {asked.dtype} --lr 1e-6 --device cpu"""
    r1(*command.split(), *(["--batch-invariant"] if exact else []), str(work / "problems.jsonl"))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    gaps = [line["sampling/logp_gap_max"] or 0.0 for line in lines]
    return {name: statistics.median(line[name] for line in lines[1:]) for name in TIMES}, max(gaps)


def main() -> None:
    asked = argparse.ArgumentParser(description="What --batch-invariant costs.")
    asked.add_argument("--model", default="")
    asked.add_argument("--dtype", default="float32")
    for name, value in {
        "pairs": 3, "steps": 4, "problems": 4, "samples": 8, "tokens": 64, "threads": 1,
    }.items():  # fmt: skip
        asked.add_argument(f"--{name}", type=int, default=value)
    options = asked.parse_args()
    ratios: dict[str, list[float]] = {name: [] for name in TIMES}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "early.py").write_text(REWARD)
        (work / "problems.jsonl").write_text(r1("prompts", "sums", "-n", "64"))
        options.model = options.model or r1("init", "-o", str(work / "fresh"), "--layers", "2").strip()
        for pair in range(options.pairs):
            order = (True, False) if pair % 2 else (False, True)
            made = {exact: run(work, options, exact=exact) for exact in order}
            for name in TIMES:
                ratios[name].append(made[True][0][name] / made[False][0][name])
            for exact in (False, True):
                times, gap = made[exact]
                said = "  ".join(f"{name} {times[name]:.3f} s" for name in TIMES)
                print(f"{'exact' if exact else 'usual'}  {said}  gap {gap:.2g}", flush=True)
    said = "  ".join(f"{name} {statistics.median(each):.2f}" for name, each in ratios.items())
    print(f"exact over usual, {options.dtype}, {options.pairs} pairs: {said}")


if __name__ == "__main__":
    main()
