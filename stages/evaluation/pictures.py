"""Pictures in PNG files: what `r1 eval` and `r1 report` draw with, and the curves of evaluations."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages.evaluation.curves import parted
from stages.evaluation.table import titled
from stages.records import jsonl
from stages.runtime.errors import Unavailable

HIGH = 3.4  # inches of a picture
WIDE = 4.2


class Panel(NamedTuple):
    """One picture: of which lines of `--curves`, which fields of them, and what stands below it.

    Of lengths there is one picture for each `unit`, which no axis could share.
    """

    title: str
    kind: str
    across: str
    up: str
    below: str
    powers: bool = False  # whether the axis goes by powers of two
    unit: str | None = None

    def has(self, line: Mapping[str, Any]) -> bool:
        """Whether the line's unit is its own."""
        return line.get("length_unit") == self.unit


PANELS = (
    Panel("pass@k: one of k is right", "samples", "k", "pass@k", "k", powers=True),
    Panel("cons@k: the most frequent of k is right", "samples", "k", "cons@k", "k", powers=True),
    Panel("pass@1 by thinking", "thinking", "thinking_tokens", "pass@1", "tokens of thinking"),
    *(
        Panel("right answers by length", "length", "mean_length", "correct", f"length in {unit}", unit=unit)
        for unit in ("tokens", "characters")
    ),
)


def check() -> None:
    """Raises Unavailable where nothing can be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise Unavailable("--png needs matplotlib", install="pip install matplotlib")


def grid(count: int, across: int) -> tuple[Any, list[Any]]:
    """A figure of `count` pictures, at most `across` beside each other, and their axes."""
    check()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    down, across = -(-count // across), min(count, across)
    figure, axes = pyplot.subplots(
        down, across, figsize=(WIDE * across, HIGH * down), layout="constrained", squeeze=False
    )
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])


def keep(figure: Any, png: Path) -> None:
    """Writes the figure into a file that appears whole."""
    from matplotlib import pyplot

    with jsonl.open_output(png) as stream:
        figure.savefig(stream, format="png", dpi=120)
    pyplot.close(figure)


def draw(lines: Iterable[Mapping[str, Any]], png: Path) -> bool:
    """Draws the lines of curves.py, each kind that they have; False where there is nothing to draw."""
    every = list(lines)
    found = [(panel, series) for panel in PANELS if (series := dict(_series(every, panel)))]
    if not found:
        return False
    figure, axes = grid(len(found), 2)
    for axis, (panel, series) in zip(axes, found, strict=True):
        for label, points in series.items():
            axis.plot(*zip(*points, strict=True), label=label, linewidth=1.4, marker="o", markersize=3)
        axis.set_title(panel.title, fontsize=10)
        axis.set_xlabel(panel.below)
        axis.set_ylim(-0.02, 1.02)
        if panel.powers:
            axis.set_xscale("log", base=2)
        axis.grid(alpha=0.25)
    axes[0].legend(fontsize=8)
    keep(figure, png)
    return True


def _series(
    lines: Sequence[Mapping[str, Any]], panel: Panel
) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """The points of each curve, by a name that no other has."""
    names: Counter[str] = Counter()
    for series in parted(line for line in lines if line["curve"] == panel.kind and panel.has(line)):
        points = [(line[panel.across], line[panel.up]) for line in series if line[panel.up] is not None]
        if not points:
            continue
        name = titled(series[0])
        names[name] += 1
        yield (f"{name} ({names[name]})" if names[name] > 1 else name), points
