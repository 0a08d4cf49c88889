"""Show how training went: reward, length and cost of each run, and a picture of the curves.

Reads the `metrics.jsonl` of finished checkpoints, or of `OUT.partial` while a run goes on. With --over-seeds
runs of one model on the same records whose options differ in the seed alone are one line, the mean and its
95 % band over seeds (Student's t). With --html one file for a browser has the curves, evaluations,
completions and costs of the runs, and of files that r1 eval and other stages have made.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from stages.checkpoints.checkpoint import read_manifest
from stages.evaluation import pictures, seeds
from stages.page.run_folder import metrics
from stages.records.record import Record, digest, need
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import SILENT, Report
from stages.runtime.results import Results
from stages.settings import distill, grpo, reward_model, sft
from stages.settings.options import Doc, Flag, Range, Written, bound

EXAMPLES = (
    "r1 report ckpt/zero",
    "r1 report ckpt/zero ckpt/r1 --png curves.png",
    "r1 report ckpt/zero --watch",
    "r1 report ckpt/zero ckpt/r1 figures.jsonl scored.jsonl --html page.html",
    "r1 report --over-seeds ckpt/seed0 ckpt/seed1 ckpt/seed2 --png curves.png",
)

# What is drawn, where a run has it, and what the axis is called; each reward is drawn beside these.
CURVES = {
    "reward": "reward",
    "rewards/accuracy/mean": "accuracy while training",
    "completions/mean_length": "completion length, tokens",
    "completions/language_mixing": "share of words in another language",
}
ACROSS = 4  # pictures beside each other
TRAINED = {
    "sft": sft.Settings,
    "grpo": grpo.Settings,
    "distill": distill.Settings,
    "reward-model": reward_model.Settings,
}

# Further figures of a step that are added up or shown where it has them.
SHOWN = (*CURVES, "total_flos", "num_tokens", "step_time")
FIGURE = "a line of metrics holds numbers; delete a line that is broken"

Histories = dict[str, list[Record]]


def run(
    runs: Annotated[
        tuple[Path, ...],
        Doc("Checkpoints, or directories of unfinished runs; with --html also files of r1 eval and records."),
    ],
    *,
    over_seeds: Annotated[
        bool, Doc("Make runs whose options differ in the seed alone one line: mean and 95 % band.")
    ] = False,
    png: Annotated[
        Path | None,
        Doc("Draw the curves into this file."),
        Flag("--png", metavar="FILE"),
        Written(),
    ] = None,
    html: Annotated[
        Path | None,
        Doc(
            "Make a page of all that is known of the runs: one file, which a browser opens without a network."
        ),
        Flag("--html", metavar="FILE"),
        Written(),
    ] = None,
    price_hour: Annotated[
        float | None, Doc("What an hour of a run's machines costs, to tell what each run has."), Range(low=0)
    ] = None,
    watch: Annotated[
        bool, Doc("Show the one run on the terminal while it goes on, and the rest when it has ended.")
    ] = False,
    completions: Annotated[
        int, Doc("Completions in the page at most; of more, whole problems are drawn."), Range(low=0)
    ] = 20_000,
    report: Report = SILENT,
) -> Results:
    """A line for each run, or each set of them. Raises BadInput for a directory without metrics."""
    if html is not None and over_seeds:
        raise UsageError("--html shows each run by itself; leave out --over-seeds")
    if watch:
        runs = _watched(runs, report)
    named = _named(runs)
    files = {name: path for name, path in named.items() if html is not None and path.is_file()}
    paths = {name: path for name, path in named.items() if name not in files}
    histories = {name: _history(path) for name, path in paths.items()}
    written = []
    if html is not None:
        written.append(_page(html, paths, histories, files, completions, price_hour, report))
    told: dict[str, dict[str, Any]] = {}
    if over_seeds:
        histories, told = _sets(paths, histories)
    if png is not None:
        _draw(histories, png)
        written.append(f"curves in {png}")
    kind = "set" if over_seeds else "run"
    said = f"{len(histories)} {kind}{'s' * (len(histories) != 1)}" + (f" of {len(runs)} runs" * over_seeds)
    report.summary(", ".join([said, *written]))
    return _results(histories, told, price_hour)


def _results(histories: Histories, told: dict[str, dict[str, Any]], price_hour: float | None) -> Results:
    """A line for each history, with what is `told` of it beside."""
    records = [
        {"run": name, **told.get(name, {}), **_summary(history)} for name, history in histories.items()
    ]
    for record in records if price_hour is not None else ():
        record["cost"] = record["seconds"] / 3600 * price_hour
        record["price_hour"] = price_hour
    measured = [name for name in _curves(histories.values()) if name.endswith("/pass@1")]
    columns = ["run", "steps", "loss", "reward", *map(_title, measured), "length, tokens"]
    counted = any(record["num_tokens"] is not None for record in records)
    columns += [*["tokens"] * counted, "PFLOP", "seconds", *["cost"] * (price_hour is not None)]
    rows = [
        [
            record["run"],
            str(record["steps"]),
            f"{record['loss']:.4f}",
            _change(record, "reward", ".2f"),
            *(_change({name: record.get(name, [None])}, name, ".1%") for name in measured),
            _change(record, "completions/mean_length", ".0f"),
            *[_amount(record["num_tokens"])] * counted,
            f"{record['total_flos'] / 1e15:.3g}",
            f"{record['seconds']:.0f}",
            *([f"{record['cost']:,.4g}"] if price_hour is not None else []),
        ]
        for record in records
    ]
    return Results(records, "Training runs, from the first step to the last", columns, rows)


def _watched(runs: tuple[Path, ...], report: Report) -> tuple[Path, ...]:
    """The run where it stands once it has ended, and the files that were given with it."""
    from stages.watch.follow import follow

    folders = [path for path in runs if not path.is_file()]
    if len(folders) != 1:
        raise UsageError(f"--watch shows one run, and {len(folders)} are given; name one")
    ended = follow(folders[0], report)
    return tuple(ended if path == folders[0] else path for path in runs)


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Each path under the shortest name that tells it from the others. UsageError for one given twice."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.parent.name}/{path.name}" for path in paths]
    if len(set(names)) < len(names):
        names = list(map(str, paths))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{twice[0]} is given twice; name each run once")
    return dict(zip(names, paths, strict=True))


def _page(
    html: Path,
    paths: dict[str, Path],
    histories: Histories,
    files: dict[str, Path],
    completions: int,
    price_hour: float | None,
    report: Report,
) -> str:
    """Writes the page; says what it has."""
    # Here and not above: they take a tenth of a second, and help has 150 ms.
    from stages.page import run_folder
    from stages.page.write import page

    runs = [run_folder.read(name, path, histories[name]) for name, path in paths.items()]
    return page(html, runs, list(files.items()), completions, report, price_hour=price_hour)


def _sets(paths: dict[str, Path], histories: Histories) -> tuple[Histories, dict[str, dict[str, Any]]]:
    """Runs that differ in their seed alone as one history each, and what a line says of it."""
    alike: dict[str, dict[str, Any]] = {}
    for name, path in paths.items():
        manifest = read_manifest(path)
        if manifest.get("stage") not in TRAINED:
            raise BadInput(
                "no r1.json that says the options of a training run",
                place=str(path),
                remedy="leave out --over-seeds, or wait until the run is finished",
            )
        options = bound(manifest["options"], TRAINED[manifest["stage"]])
        seed = options.pop("seed")
        learned = (manifest.get("parent") or {}).get("revision"), (manifest.get("inputs") or {}).get("digest")
        held = alike.setdefault(digest(manifest["stage"], options, learned), {})
        if seed in held.values():
            raise BadInput(
                f"has seed {seed}, as another of its set",
                place=str(path),
                remedy="a band over seeds needs another seed for each run: `r1 grpo --seed N` gives one",
            )
        held[name] = seed
    made, told = {}, {}
    for held in alike.values():
        name = _common(list(held))
        name = name if name not in made else f"{name}, {', '.join(held)}"
        made[name] = seeds.over_seeds([histories[each] for each in held])
        if not made[name]:
            raise BadInput("have no step in common", place=", ".join(held), remedy="leave out --over-seeds")
        told[name] = {"runs": list(held), "seeds": list(held.values()), "band": seeds.BAND}
    return made, told


def _common(names: Sequence[str]) -> str:
    """What the names of runs begin with, without the seed's number: `zero` of `zero-0` and `zero-1`."""
    stem = names[0].rstrip("0123456789").rstrip("-_.")
    return stem if len(names) > 1 and stem and all(each.startswith(stem) for each in names) else names[0]


def _history(path: Path) -> list[Record]:
    source = path / "metrics.jsonl"
    if not os.path.isfile(source):
        remedy = "add --html FILE" if path.is_file() else "give a checkpoint that r1 trained"
        raise BadInput("no metrics.jsonl", place=str(path), remedy=remedy)
    history = list(metrics(source))
    if not any("loss" in entry for entry in history):
        raise BadInput("no steps yet", place=str(source), remedy="wait for the first step")
    for entry in history:
        _check(entry)
    return history


def _check(entry: Record) -> None:
    """Raises BadInput where a figure that is shown is no number, or one that every step has is missing."""
    for name in ("step", *(() if entry.get("step") == 0 else ("loss",))):  # before the first: an evaluation
        need(entry, name, (int, float), FIGURE)
    for name in (*SHOWN, "time/eval", *(each for each in entry if each.startswith(("rewards/", "eval/")))):
        if entry.get(name) is not None:
            need(entry, name, (int, float), FIGURE)


def _summary(history: list[Record]) -> dict[str, Any]:
    last = history[-1]
    each_reward = [name for name in _curves([history]) if name.startswith(("rewards/", "eval/"))]
    ends = ["reward", "completions/mean_length", *each_reward]
    known = {name for entry in history for name in entry}
    ends += [f"{name}_{end}" for name in ends for end in ("low", "high") if f"{name}_{end}" in known]
    return {
        "steps": last["step"],
        "loss": last["loss"],
        **{name: _ends(history, name) for name in ends},
        "num_tokens": _total(history, "num_tokens"),
        "total_flos": last.get("total_flos") or 0,
        "seconds": sum((e.get("step_time") or 0.0) + (e.get("time/eval") or 0.0) for e in history),
    }


def _amount(tokens: float | None) -> str:
    return "" if tokens is None else f"{tokens:,.0f}"


def _total(history: list[Record], name: str) -> float | None:
    """The sum over all steps; None where no step has it."""
    found = [entry[name] for entry in history if entry.get(name) is not None]
    return sum(found) if found else None


def _ends(history: list[Record], name: str) -> list[float | None]:
    """The figure of the first step and of the last; of what is measured now and then, the first and last."""
    had = name if name.startswith("eval/") else "loss"
    history = [entry for entry in history if entry.get(had) is not None]
    return [history[0].get(name), history[-1].get(name)]


def _change(record: dict[str, Any], name: str, form: str) -> str:
    """The figure from its first to its last value, each with half of its band."""
    values = record[name]
    if None in values:
        return ""
    highs = record.get(f"{name}_high") or [None, None]
    return " -> ".join(
        f"{value:{form}}" + (f" ± {high - value:{form}}" if high is not None else "")
        for value, high in zip(values, highs, strict=True)
    )


def _curves(histories: Iterable[list[Record]]) -> list[str]:
    """The names of what has a curve: the reward and each that it is made of, then the others."""
    had = {name: None for h in histories for entry in h for name in entry if entry[name] is not None}
    rewards = [name for name in had if name.startswith("rewards/") and name.endswith("/mean")]
    held_out = [name for name in had if name.startswith("eval/") and name.endswith(("/pass@1", "/loss"))]
    return [name for name in dict.fromkeys(("reward", *rewards, *held_out, *CURVES)) if name in had]


def _title(name: str) -> str:
    """What a picture is called: `reward mine/short`, `held out: sums/pass@1`."""
    said = name.removesuffix("/mean").replace("rewards/", "reward ").replace("eval/", "held out: ")
    return CURVES.get(name, said)


def _draw(histories: Histories, png: Path) -> None:
    names = _curves(histories.values()) or ["loss"]
    figure, axes = pictures.grid(len(names), ACROSS)
    for axis, name in zip(axes, names, strict=True):
        for run_name, history in histories.items():
            points = [e for e in history if e.get(name) is not None]
            steps = [e["step"] for e in points]
            if points:
                (line,) = axis.plot(steps, [e[name] for e in points], label=run_name, linewidth=1.4)
            if points and f"{name}_low" in points[-1]:
                low, high = ([e.get(f"{name}_{end}", e[name]) for e in points] for end in ("low", "high"))
                axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        axis.set_title(_title(name), fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.25)
    axes[0].legend(fontsize=8)
    pictures.keep(figure, png)
