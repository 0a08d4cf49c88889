"""Show how training went: reward, length and cost of each run, and a picture of the curves.

Reads the `metrics.jsonl` of finished checkpoints, or of `OUT.partial` while a run goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from stages.data import jsonl
from stages.data.errors import BadInput, Unavailable
from stages.data.options import Doc, Flag
from stages.data.report import SILENT, Report
from stages.data.results import Results

EXAMPLES = (
    "r1 report ckpt/zero",
    "r1 report ckpt/zero ckpt/r1 --png curves.png",
)

# What is drawn, where a run has it, and what the axis is called.
CURVES = (
    ("reward", "reward"),
    ("rewards/accuracy/mean", "accuracy while training"),
    ("completions/mean_length", "completion length, tokens"),
    ("completions/language_mixing", "share of words in another language"),
)


def run(
    runs: Annotated[tuple[Path, ...], Doc("Checkpoints, or directories of unfinished runs.")],
    *,
    png: Annotated[
        Path | None, Doc("Draw the curves into this file."), Flag("--png", metavar="FILE")
    ] = None,
    report: Report = SILENT,
) -> Results:
    """A line for each run. Raises BadInput for a directory without metrics."""
    names = [path.name for path in runs]
    if len(set(names)) < len(names):
        names = [f"{path.parent.name}/{path.name}" for path in runs]
    histories = dict(zip(names, map(_history, runs), strict=True))
    if png is not None:
        _draw(histories, png)
    records = [{"run": name, **_summary(history)} for name, history in histories.items()]
    columns = ["run", "steps", "loss", "reward", "length, tokens", "PFLOP", "seconds"]
    rows = [
        [
            record["run"],
            str(record["steps"]),
            f"{record['loss']:.4f}",
            _change(record["reward"], ".2f"),
            _change(record["completions/mean_length"], ".0f"),
            f"{record['total_flos'] / 1e15:.3g}",
            f"{record['seconds']:.0f}",
        ]
        for record in records
    ]
    report.summary(
        f"{len(records)} run{'s' * (len(records) > 1)}" + (f", curves in {png}" if png else "")
    )
    return Results(records, "Training runs, from the first step to the last", columns, rows)


def _history(path: Path) -> list[dict[str, Any]]:
    source = path / "metrics.jsonl"
    if not source.is_file():
        raise BadInput(
            "no metrics.jsonl", place=str(path), remedy="give a checkpoint that r1 trained"
        )
    with jsonl.open_input(source) as stream:
        history: list[dict[str, Any]] = list(jsonl.read_lines(stream, str(source)))
    if not history:
        raise BadInput("no steps yet", place=str(source), remedy="wait for the first step")
    return history


def _summary(history: list[dict[str, Any]]) -> dict[str, Any]:
    first, last = history[0], history[-1]
    return {
        "steps": last["step"],
        "loss": last["loss"],
        "reward": [first.get("reward"), last.get("reward")],
        "completions/mean_length": [
            first.get("completions/mean_length"),
            last.get("completions/mean_length"),
        ],
        "total_flos": last.get("total_flos", 0),
        "seconds": sum(entry.get("step_time", 0.0) for entry in history),
    }


def _change(pair: list[float | None], form: str) -> str:
    first, last = pair
    return "" if first is None or last is None else f"{first:{form}} -> {last:{form}}"


def _draw(histories: dict[str, list[dict[str, Any]]], png: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        raise Unavailable("--png needs matplotlib", install="pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [name for name, _ in CURVES if any(name in h[-1] for h in histories.values())]
    names = names or ["loss"]
    titles = {**dict(CURVES), "loss": "loss"}
    figure, axes = pyplot.subplots(
        1, len(names), figsize=(4.2 * len(names), 3.4), layout="constrained", squeeze=False
    )
    for axis, name in zip(axes[0], names, strict=True):
        for run_name, history in histories.items():
            points = [(e["step"], e[name]) for e in history if e.get(name) is not None]
            if points:
                axis.plot(*zip(*points, strict=True), label=run_name, linewidth=1.4)
        axis.set_title(titles[name], fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.25)
    axes[0][0].legend(fontsize=8)
    with jsonl.open_output(png) as stream:
        figure.savefig(stream, format="png", dpi=120)
    pyplot.close(figure)
