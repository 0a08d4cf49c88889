"""What evaluation inside a run costs, whether `r1 eval` says the same, and what the best checkpoint is worth.

    python tests/bench/held_out.py [FOLDER]

A model of 114,000 weights learns one-digit sums by sft, badly; then grpo learns 8 of them by heart, measured
on 32 others every 4 steps. The checkpoint that is the best by the held-out sums, the one that is the best by
the reward of training (the same run without --eval) and the last are measured on 53 sums that no run has
seen. Then grpo and sft run with evaluations as often as is the default. A line of JSON for each finding;
about three and a half minutes on two cores. What FOLDER holds already is not made again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = (" plus ", " is ", "<think>", "</think>", "<answer>", "</answer>")
SHORT = ("-t", "none", "--max-tokens", 40)
GRPO = (*SHORT, "--problems", 8, "-n", 16, "--lr", "4e-4", "--row-tokens", 8192, "--save-every", 4)
SFT = ("-t", "none", "--lr", "3e-3", "--row-tokens", 8192, "--save-every", 0)


def r1(*words: Any, into: Path | None = None) -> str:
    """The standard output of `r1 WORDS`, or, with `into`, "" where that is there already."""
    if into is not None and into.exists():
        return ""
    line = [sys.executable, "-m", "r1cli", *map(str, words), *(("-o", str(into)) if into else ())]
    done = subprocess.run(line, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=True)
    return done.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def say(**found: Any) -> None:
    print(json.dumps(found), flush=True)


def prepared(folder: Path) -> dict[str, Path]:
    """The base model, sums to learn, to hold out and to test by, and the corpus that the base has learned."""
    paths = {name: folder / f"{name}.jsonl" for name in ("all", "corpus", "learned", "held", "test")}
    digits = ("--split", "train", "--set", "digits=1")
    r1("prompts", "sums", *digits, into=paths["all"])
    r1("prompts", "sums", *digits, "--set", "worked=noisy", "-n", 6000, into=paths["corpus"])
    every = paths["all"].read_text("utf-8").splitlines(keepends=True)
    for name, part in (("learned", every[:8]), ("held", every[8:40]), ("test", every[40:])):
        paths[name].write_text("".join(part), "utf-8")
    words = [word for each in WORDS for word in ("--words", each)]
    r1("init", "--alphabet", "加得，", *words, "--hidden", 64, "--layers", 2, into=folder / "fresh")
    r1("sft", "-m", folder / "fresh", *SFT, "--epochs", 1, paths["corpus"], into=folder / "base")
    return {**paths, "base": folder / "base", "fresh": folder / "fresh"}


def overfitted(folder: Path, paths: dict[str, Path]) -> None:
    """The best by held-out problems against the best by training reward, on problems neither has seen."""
    run = ("grpo", "-m", paths["base"], *GRPO, "--steps", 60, paths["learned"])
    held = ("--eval", paths["held"], "--eval-every", 4, "--eval-samples", 16)
    r1(*run, *held, into=folder / "watched")
    r1(*run, "--keep-last", 1, into=folder / "unwatched")
    for m in lines(folder / "watched" / "metrics.jsonl"):
        if "eval/held/pass@1" in m:
            say(step=m["step"], training_reward=m.get("reward"), held_out=m["eval/held/pass@1"])
    same = [(folder / out / "model.safetensors").read_bytes() for out in ("watched", "unwatched")]
    say(same_weights_with_and_without_eval=same[0] == same[1])
    for name, model in (
        ("base", paths["base"]),
        ("best by held-out", folder / "watched" / "best"),
        ("best by training reward", folder / "unwatched" / "best"),
        ("last", folder / "watched"),
    ):
        made = r1("eval", "-q", "-m", model, "-b", paths["test"], *SHORT, "-k", 64)
        row = json.loads(made)
        step = json.loads((model / "r1.json").read_text("utf-8"))["metrics"].get("step")
        say(model=name, step=step, test=row["pass@1"], low=row["pass@1_low"], high=row["pass@1_high"])


def equal(folder: Path, paths: dict[str, Path]) -> None:
    """The last evaluation against `r1 eval` on the checkpoint."""
    out, again = folder / "watched", folder / "again.jsonl"
    again.unlink(missing_ok=True)
    r1("eval", "-q", "-m", out, "-b", paths["held"], *SHORT, "-k", 16, "--save", again)
    pairs = list(zip(lines(out / "eval" / "step_000060" / "held.jsonl"), lines(again), strict=True))
    differ = sum(
        (a["id"], a["completion"], a["rewards"]) != (b["id"], b["completion"], b["rewards"]) for a, b in pairs
    )
    say(completions_compared_with_r1_eval=len(pairs), differ=differ)


def cost(folder: Path, paths: dict[str, Path]) -> None:
    """Seconds of evaluation as often as is the default, of all seconds of training."""
    runs: dict[str, tuple[Any, ...]] = {
        "grpo": ("grpo", "-m", paths["base"], *GRPO, "--steps", 100, paths["learned"]),
        "sft": ("sft", "-m", paths["fresh"], *SFT, "--epochs", 3, "--eval-max-tokens", 40, paths["corpus"]),
    }
    for stage, run in runs.items():
        walls = []
        for name, more in (("without", ()), ("with", ("--eval", paths["held"], "--eval-samples", 2))):
            began = time.perf_counter()
            r1(*run, *more, into=folder / f"{stage}-{name}")
            walls.append(time.perf_counter() - began)
        steps = lines(folder / f"{stage}-with" / "metrics.jsonl")
        spent = sum(m.get("time/eval", 0.0) for m in steps)
        whole = spent + sum(m.get("step_time", 0.0) for m in steps)
        say(
            stage=stage,
            evaluations=[m["step"] for m in steps if "time/eval" in m],
            seconds_of_evaluation=round(spent, 2),
            of_seconds=round(whole, 2),
            share=round(spent / whole, 4),
            wall_without=round(walls[0], 1),
            wall_with=round(walls[1], 1),
        )


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else made)
        folder.mkdir(parents=True, exist_ok=True)
        paths = prepared(folder)
        overfitted(folder, paths)
        equal(folder, paths)
        cost(folder, paths)


if __name__ == "__main__":
    main()
