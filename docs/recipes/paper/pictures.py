"""Draws what the claims found, with a line for each seed: docs/paper.md.

    pictures.py OUT PNG

OUT is what run.sh has made for the claims 1, 2, 8 and 10; seeds without them are left out. Needs matplotlib.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

BUDGETS = (4, 10, 16, 22, 28, 40)
HABITS = ("verification", "backtracking", "reflection")
DIFFICULTIES = (3, 4, 5)
Row = dict[str, Any]


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def tokens(row: Row) -> float:
    """The length of a completion."""
    return float(row["meta"]["generate"]["tokens"])


def right(row: Row) -> float:
    """1 where the world finds the answer right."""
    return float(row["rewards"]["world"])


def mean(path: Path, of: Callable[[Row], float], keep: Callable[[Row], bool] = lambda row: True) -> float:
    """The mean over the completions of a file that are kept."""
    return fmean(of(row) for row in rows(path) if keep(row))


def over_steps(axis: Axes, seed: Path) -> None:
    history = [row for row in rows(seed / "zero/metrics.jsonl") if "completions/mean_length" in row]
    axis.plot([row["step"] for row in history], [row["completions/mean_length"] for row in history])


def over_difficulty(axis: Axes, seed: Path) -> None:
    lengths = [mean(seed / f"zero-{terms}.jsonl", tokens) for terms in DIFFICULTIES]
    axis.plot(DIFFICULTIES, lengths, marker="o")
    axis.set_xticks(DIFFICULTIES)


def phrases(path: Path, habit: str) -> float:
    return fmean(float(row["rewards"][f"behaviours/{habit}"]) for row in rows(path))


def habits(axis: Axes, seed: Path) -> None:
    files = [seed / f"search-{when}.jsonl" for when in ("before", "after")]
    found = [[phrases(file, habit) for file in files] for habit in HABITS]
    (first, *others) = found
    (line,) = axis.plot((0, 1), first, marker="o")
    for other, style in zip(others, ("--", ":"), strict=True):
        axis.plot((0, 1), other, style, marker="o", color=line.get_color())
    axis.set_xticks((0, 1), ("before RL", "after"))


def wrong_lengths(axis: Axes, seed: Path) -> None:
    found = [
        mean(seed / f"{model}-5.jsonl", tokens, lambda row: not right(row)) for model in ("zero", "dr-grpo")
    ]
    axis.plot((0, 1), found, marker="o")
    axis.set_xticks((0, 1), ("GRPO", "Dr. GRPO"))
    axis.set_xlim(-0.3, 1.3)


def budgets(axis: Axes, seed: Path) -> None:
    found = [mean(seed / f"zero-5-budget-{budget}.jsonl", right) for budget in BUDGETS]
    found.append(mean(seed / "zero-5.jsonl", right))
    axis.plot((*BUDGETS, 52), [100 * share for share in found], marker="o")
    axis.set_xticks((*BUDGETS, 52), (*map(str, BUDGETS), "none"))


PANELS: tuple[tuple[str, str, str, Callable[[Axes, Path], None]], ...] = (
    ("R1-Zero, sums of 2 to 5", "step of RL", "tokens of a completion", over_steps),
    ("R1-Zero (claim 2)", "numbers in the sum", "tokens of a completion", over_difficulty),
    (
        "Countdown (claim 2): - verification,\n-- backtracking, ·· reflection",
        "",
        "phrases in a completion",
        habits,
    ),
    ("wrong answers, sums of 5 (claim 8)", "", "tokens of a completion", wrong_lengths),
    ("sums of 5 (claim 10)", "budget of thinking, tokens", "pass@1, %", budgets),
)


def draw(seeds: Iterable[Path], png: Path) -> None:
    figure, axes = pyplot.subplots(2, 3, figsize=(12.6, 7), layout="constrained")
    for axis, (title, x, y, panel) in zip(axes.flat, PANELS, strict=False):
        for seed in seeds:
            panel(axis, seed)
            axis.lines[-1].set_label(seed.name.replace("-", " "))
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(x)
        axis.set_ylabel(y)
        axis.set_ylim(0, 1.05 * axis.get_ylim()[1])
        axis.grid(alpha=0.25)
    labelled = axes.flat[0].get_legend_handles_labels()
    axes.flat[5].axis("off")
    axes.flat[5].legend(*labelled, loc="center", frameon=False)
    figure.savefig(png, dpi=110)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(f"usage: {Path(sys.argv[0]).name} OUT PNG")
    out, png = map(Path, sys.argv[1:])
    made = ("claim-1.txt", "claim-2.txt", "claim-8.txt", "claim-10.txt")
    seeds = [seed for seed in sorted(out.glob("seed-*")) if all((seed / name).exists() for name in made)]
    if not seeds:
        sys.exit(f"{out}: no seed has the claims 1, 2, 8 and 10; run.sh makes them")
    draw(seeds, png)


if __name__ == "__main__":
    main()
