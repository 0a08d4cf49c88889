"""200,000 completions through score, sort, filter, split and export: rate and memory of each step.

    python tests/bench/pipeline.py [--records N] [--data FOLDER] [--png FILE]

The problems are the training halves of GSM8K and MATH, about 13 completions of each, a third of them wrong
and some repeated; the thinking is GSM8K's own. Each step is a process of its own that reads a file and
writes one. After it comes the same work with plain `datasets`: one process, `map`, `filter` and `sort`, with
what they lack (grading, overlap, groups) in a few lines of Python. Its `score` is a twentieth of the records,
its `filter` takes 13 words in a row as a repetition and looks for no near-duplicates, and its `split` is by
problem, too. Start-up is included. Rates and the chart are per second of processor, so that what else the
machine does counts little; memory is that of the largest process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SCORED_BY_DATASETS = 20  # a twentieth of the records


class Cost(NamedTuple):
    """What a process took."""

    records: int
    wall: float
    cpu: float
    mib: float

    @property
    def rate(self) -> float:
        """Records per second of processor."""
        return self.records / self.cpu


def completions(folder: Path, count: int, path: Path) -> None:
    """Writes `count` completions, shuffled, so that those of a problem stand apart."""
    draw = random.Random(0)
    gsm = [json.loads(line) for line in (folder / "gsm8k_train.jsonl").open()]
    thoughts = [row["answer"].partition("####")[0].strip() for row in gsm]
    problems = [(row["question"], row["answer"].rpartition("####")[2].strip()) for row in gsm]
    rows = json.loads((folder / "math_train.json").read_text())
    problems += [(row["problem"], str(row["answer"])) for row in rows]
    order = [(k % len(problems), k // len(problems)) for k in range(count)]
    draw.shuffle(order)
    with path.open("w") as out:
        for p, k in order:
            prompt, answer = problems[p]
            said = answer if draw.random() < 0.67 else draw.choice(problems)[1]
            thought = thoughts[(p if k % 10 else p + 1) % len(thoughts)]
            if k % 10 > 1:
                thought += f"\nAttempt {k}: {draw.choice(thoughts)}"
            text = f"{thought}\n</think>\nThe answer is \\boxed{{{said}}}."
            line = {
                "id": f"p{p}#{k}",
                "group": f"p{p}",
                "prompt": prompt,
                "answer": answer,
                "completion": text,
            }
            out.write(json.dumps(line) + "\n")


def steps(at: Path, data: Path) -> dict[str, tuple[list[str], Path]]:
    """Each step: the command of r1, and the file that it reads."""
    made, scored, ordered, kept, train = (
        at / f"{name}.jsonl" for name in ("made", "scored", "sorted", "kept", "train")
    )
    rules = ["--keep", "correct", "--dedup", "normalised", "--near-duplicates", "0.8"]
    rules += ["--decontaminate", str(data / "math500.jsonl")]
    return {
        "score": (["score", str(made), "-o", str(scored)], made),
        "sort": (["sort", "--by", "difficulty", str(scored), "-o", str(ordered)], scored),
        "filter": (["filter", *rules, str(ordered), "-o", str(kept)], ordered),
        "split": (["split", "--share", f"{at / 'val.jsonl'}=0.1", str(kept), "-o", str(train)], kept),
        "export": (["export", "--to", "messages", str(train), "-o", str(at / "trl.jsonl")], train),
    }


def plain(step: str, source: Path, data: Path) -> None:
    """One step with `datasets`, as a script would write it."""
    from datasets import load_dataset

    rows = load_dataset("json", data_files=str(source), split="train")
    if step == "score":
        from math_verify import parse, verify

        rows = rows.select(range(len(rows) // SCORED_BY_DATASETS))
        rows = rows.map(lambda r: {"reward": float(verify(parse(r["answer"]), parse(r["completion"])))})
    elif step == "sort":
        counts, right = Counter(rows["group"]), Counter[str]()
        for group, reward in zip(rows["group"], rows["reward"], strict=True):
            right[group] += reward == 1
        rows = rows.map(lambda r: {"rate": -right[r["group"]] / counts[r["group"]]}).sort(["rate", "group"])
    elif step == "filter":
        known = {g for line in (data / "math500.jsonl").open() for g in runs(json.loads(line)["problem"])}
        seen: set[tuple[str, str]] = set()

        def keep(row: dict[str, object]) -> bool:
            key = (str(row["group"]), "".join(c for c in str(row["completion"]).casefold() if c.isalnum()))
            if row["reward"] != 1 or key in seen or not known.isdisjoint(runs(str(row["prompt"]))):
                return False
            seen.add(key)
            return True

        rows = rows.filter(keep)
    elif step == "split":

        def held(row: dict[str, object]) -> bool:
            return hashlib.sha256(str(row["group"]).encode()).digest()[0] < 26

        rows.filter(held).to_json(source.with_name("plain-val.jsonl"))
        rows = rows.filter(lambda row: not held(row))
    else:
        names = rows.column_names
        rows = rows.map(lambda r: {"messages": turns(r["prompt"], r["completion"])}, remove_columns=names)
    rows.to_json(source.with_name(f"plain-{step}.jsonl"))


def runs(text: str) -> set[str]:
    words = re.findall(r"[^\W_]+", text.lower())
    return {" ".join(words[k : k + 13]) for k in range(len(words) - 12)}


def turns(prompt: str, completion: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


def cost(command: list[str], records: int, folder: Path) -> Cost:
    """Runs a command to its end."""
    kept = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    began = time.monotonic()
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            command, env={**kept, "HF_HOME": str(folder / "hf")}, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}\n{(folder / 'said.txt').read_text()}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(records, time.monotonic() - began, cpu, usage.ru_maxrss / 1024)


def draw(costs: dict[str, tuple[Cost, Cost]], path: Path) -> None:
    """Rates and memory of each step, a pair of bars for each."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    names = list(costs)
    for k, (whose, colour) in enumerate((("r1", "#1f6f8b"), ("datasets", "#c9a227"))):
        at = [n + (k - 0.5) * 0.38 for n in range(len(names))]
        rates = [costs[name][k].rate for name in names]
        sizes = [costs[name][k].mib for name in names]
        for axes, values, form in ((left, rates, "{:,.0f}"), (right, sizes, "{:.0f}")):
            bars = axes.barh(at, values, 0.36, color=colour, label=whose)
            axes.bar_label(bars, [form.format(value) for value in values], padding=2, fontsize=7)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set_xscale("log")
    left.set_xlabel("records per second of processor")
    right.set_xlabel("MiB of the largest process")
    left.set_xlim(right=left.get_xlim()[1] * 3)
    right.set_xlim(right=right.get_xlim()[1] * 1.15)
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--png", type=Path)
    parser.add_argument("--plain", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    data = given.data / "math"
    if given.plain:
        plain(given.plain[0], Path(given.plain[1]), data)
        return 0
    costs: dict[str, tuple[Cost, Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        completions(data, given.records, at / "made.jsonl")
        print(f"{given.records} completions, {(at / 'made.jsonl').stat().st_size >> 20} MiB")
        print(
            "step     records |  r1: /s   cpu s  wall s    MiB | datasets: /s   cpu s  wall s    MiB | ratio"
        )
        for name, (command, source) in steps(at, data).items():
            with source.open("rb") as stream:
                count = sum(1 for _ in stream)
            own = cost([sys.executable, "-m", "r1cli", *command], count, at)
            some = count // SCORED_BY_DATASETS if name == "score" else count
            again = [sys.executable, __file__, "--data", str(given.data), "--plain", name, str(source)]
            other = cost(again, some, at)
            costs[name] = own, other
            mine, theirs = (
                f"{each.rate:8,.0f} {each.cpu:7.1f} {each.wall:7.1f} {each.mib:6.0f}" for each in costs[name]
            )
            print(f"{name:7} {count:8} |{mine} |    {theirs} | {own.rate / other.rate:.1f}", flush=True)
    cpu, wall = sum(own.cpu for own, _ in costs.values()), sum(own.wall for own, _ in costs.values())
    print(f"all steps of r1: {cpu:.0f} s of processor, {wall:.0f} s on the clock")
    if given.png:
        draw(costs, given.png)
    return 0


if __name__ == "__main__":
    sys.exit(main())
