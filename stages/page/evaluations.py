"""What the page says of measurements: rows of `r1 eval`, and what scored completions come to.

Completions that are given are measured here by the code of `r1 eval`: differences of the same problems,
pass@k and cons@k for all k, accuracy against thinking. Rows that `r1 eval` wrote are told as they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.evaluation import curves
from stages.evaluation.comparison.against import paired
from stages.evaluation.figures import Figures
from stages.evaluation.measure import Tally
from stages.evaluation.table import named
from stages.overview.values import figure, short
from stages.records.record import Record, object_of
from stages.runtime import shown
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import SILENT

MOST = 24  # evaluations of a benchmark that are compared, each with each
SAME = ("benchmark", "split", "model", "revision", "step")  # what a curve is of
ROW = (*SAME, "digest", "pass@1")  # and a row of figures
TOLD = ("pass@1", "against_pass@1", "difference", "difference_low", "difference_high", "p", "p_holm",
        "problems", "problems_better", "problems_worse", "comparisons")  # fmt: skip
LEFT = {
    "problems_only_here": "only here",
    "problems_only_against": "only in the baseline",
    "problems_changed": "with another prompt or answer",
    "problems_unjudged": "not judged",
}


class Measured:
    """Takes lines of figures, and scored completions source by source; `told` is what came of them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.known: set[tuple[Any, ...]] = set()  # what the rows are of
        self.notes: list[str] = []
        self._lines: dict[str, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
        self._figures: dict[str, Figures] = {}  # by what the page calls them

    def take(self, line: Mapping[str, Any], source: str) -> None:
        """A line of `r1 eval`, of its --curves, or of a run's eval.jsonl."""
        if "spread" in line:  # of rows that are told by themselves
            return
        kind = str(line["curve"]) if "curve" in line else "differences" if "difference" in line else ""
        if kind:
            self._lines[kind].append((source, line))
        else:
            self.known.add(_of(line, ROW))
            self.rows.append(_row(line, source))

    def completions(self, name: str) -> Counting:
        """Counts those of one source."""
        return Counting(self, name)

    def count(self, name: str, rows: Sequence[Figures]) -> None:
        """The figures of one source's completions; of the steps of a run those of the first and the last."""
        by_step = [row for row in rows if "step" in row.origin]
        for row in rows:
            if row in by_step[1:-1]:
                continue
            label = _label(name, row, several=len(rows) > 1)
            while label in self._figures:
                label += "\N{PRIME}"
            self._figures[label] = row

    def told(self) -> dict[str, Any]:
        """All of it, as plain JSON values with texts fit to be shown."""
        measured = [row.figures() for row in self._figures.values()]
        found = [
            _row(line, label)
            for label, line in zip(self._figures, measured, strict=True)
            if _of(line, ROW) not in self.known
        ]
        return {
            "evaluations": [*self.rows, *found],
            "differences": [*self._given_differences(), *self._differences()],
            "samples": [*self._given_samples(), *self._samples()],
            "budgets": [*self._given_budgets(), *self._budgets()],
            "lengths": [*self._given_lengths(), *self._lengths()],
            "unmeasured": self.notes,
        }

    def _differences(self) -> Iterator[dict[str, Any]]:
        """Of each evaluation against each other one of the benchmark: as `r1 eval --against` tells it."""
        groups: dict[tuple[Any, Any], list[tuple[str, Figures]]] = defaultdict(list)
        for label, row in self._figures.items():
            groups[row.origin["benchmark"], row.origin["split"]].append((label, row))
        for (benchmark, _), every in groups.items():
            group = every[:MOST]
            if len(group) < len(every):
                name = short(benchmark or "records")
                self.notes.append(f"{name}: the first {MOST} of {len(every)} evaluations are compared")
            labels = {id(row): label for label, row in group}
            rows = [row for _, row in group]
            for base in rows:
                lines = [_difference(line, labels[id(row)]) for row, line in paired(rows, [base], SILENT)]
                if lines:
                    yield {"benchmark": short(benchmark or ""), "against": labels[id(base)], "rows": lines}

    def _given_differences(self) -> Iterator[dict[str, Any]]:
        groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
        for source, line in self._lines["differences"]:
            against = f"{short(named(line.get('against')))} ({shown.line(source)})"
            label = short(named(line.get("model"))) + _step(line)
            groups[short(line.get("benchmark") or ""), against, source].append(_difference(line, label))
        for (benchmark, against, _), lines in groups.items():
            yield {"benchmark": benchmark, "against": against, "rows": lines}

    def _samples(self) -> Iterator[dict[str, Any]]:
        given = {_of(line) for _, line in self._lines["samples"]}
        for label, row in self._figures.items():
            lines = list(curves.of_samples(row))
            if len(lines) > 1 and _of(lines[0]) not in given:
                yield _curve(lines, label)

    def _given_samples(self) -> Iterator[dict[str, Any]]:
        for label, lines in self._given("samples", "k"):
            yield _curve(lines, label)

    def _budgets(self) -> Iterator[dict[str, Any]]:
        rows = list(self._figures.values())
        lines = [line for line in curves.of_budgets(rows) if line["curve"] == "thinking"]
        given = {_of(line) for _, line in self._lines["thinking"]}
        names = _Names()
        for group in curves.parted(lines):
            if _of(group[0]) not in given:
                yield _budget(group, names.new(short(named(group[0].get("model"))) + _step(group[0])))

    def _given_budgets(self) -> Iterator[dict[str, Any]]:
        for label, lines in self._given("thinking", "thinking_tokens"):
            yield _budget(lines, label)

    def _lengths(self) -> Iterator[dict[str, Any]]:
        given = {_of(line) for _, line in self._lines["length"]}
        for label, row in self._figures.items():
            lines = list(curves.of_lengths(row))
            if len(lines) > 1 and _of(lines[0]) not in given:
                yield _length(lines, label)

    def _given_lengths(self) -> Iterator[dict[str, Any]]:
        for label, lines in self._given("length", "mean_length"):
            yield _length(lines, label)

    def _given(self, kind: str, over: str) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
        """The curves of a kind that were given, each by a name of its own, in the order of the figure `over`.

        Lines without that figure are passed over.
        """
        by_source: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for source, line in self._lines[kind]:
            if figure(line.get(over)) is not None:
                by_source[source].append(line)
        names = _Names()
        for source, lines in by_source.items():
            for group in curves.parted(lines):
                model = short(named(group[0].get("model"))) + _step(group[0])
                yield names.new(f"{model} ({shown.line(source)})"), sorted(group, key=lambda line: line[over])


class _Names:
    """Names for curves: what is there already gets a number."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def new(self, name: str) -> str:
        self._counts[name] += 1
        return name if self._counts[name] == 1 else f"{name}, no. {self._counts[name]}"


class Counting:
    """Counts a source's completions as `r1 eval` does, unless they are rollouts or not scored.

    Where something forbids it the page says what, and the source has no figures.
    """

    def __init__(self, measured: Measured, name: str) -> None:
        self.measured, self.name = measured, name
        self._tally: Tally | None = Tally()

    def add(self, record: Record) -> None:
        """One completion."""
        if self._tally is None or not object_of(record.get("rewards")) or "advantage" in record:
            return
        try:
            for _ in self._tally.count([record]):
                pass
        except (BadInput, UsageError) as error:
            self.measured.notes.append(f"{shown.line(self.name)} is not measured: {shown.line(str(error))}")
            self._tally = None

    def end(self) -> None:
        """Hands over what was counted."""
        if self._tally is not None:
            self.measured.count(self.name, list(self._tally.rows.values()))


def _of(line: Mapping[str, Any], names: Sequence[str] = SAME) -> tuple[Any, ...]:
    return tuple(str(line.get(name)) for name in names)


def _label(source: str, row: Figures, *, several: bool) -> str:
    model = f", {short(named(row.origin.get('model')))}" if several else ""
    return f"{shown.line(source)}{model}{_step(row.origin)}"


def _step(line: Mapping[str, Any]) -> str:
    return f", step {short(line['step'])}" if "step" in line else ""


def _difference(line: Mapping[str, Any], label: str) -> dict[str, Any]:
    left = [f"{line[key]} {words}" for key, words in LEFT.items() if figure(line.get(key))]
    unlike = line.get("settings_unlike")
    return {
        "label": label,
        **{name: figure(line.get(name)) for name in TOLD},
        "left": ", ".join(map(short, left)),
        "unlike": ", ".join(map(short, unlike)) if isinstance(unlike, list) else "",
    }


def _curve(lines: Sequence[Mapping[str, Any]], label: str) -> dict[str, Any]:
    return {
        "benchmark": short(lines[0].get("benchmark") or ""),
        "label": label,
        **{name: [_rounded(line.get(name)) for line in lines] for name in ("k", "pass@k", "cons@k")},
    }


def _budget(lines: Sequence[Mapping[str, Any]], label: str) -> dict[str, Any]:
    names = ("thinking_tokens", "pass@1", "think_budget", "think_extend")
    return {
        "benchmark": short(lines[0].get("benchmark") or ""),
        "label": label,
        **{name: [_rounded(line.get(name)) for line in lines] for name in names},
    }


def _length(lines: Sequence[Mapping[str, Any]], label: str) -> dict[str, Any]:
    names = ("mean_length", "correct", "completions", "length_low", "length_high")
    return {
        "benchmark": short(lines[0].get("benchmark") or ""),
        "label": label,
        "unit": short(lines[0].get("length_unit") or ""),
        **{name: [_rounded(line.get(name)) for line in lines] for name in names},
    }


def _rounded(value: Any) -> float | None:
    known = figure(value)
    return None if known is None else float(f"{known:.6g}")


def _row(line: Mapping[str, Any], source: str) -> dict[str, Any]:
    kept = {shown.line(name): known for name, value in line.items() if (known := figure(value)) is not None}
    named_as = {
        "benchmark": short(line.get("benchmark") or line.get("name") or ""),
        "length_unit": short(line.get("length_unit") or ""),
        "model": short(line.get("model") or ""),
        "source": shown.line(source),
    }
    return {**kept, **named_as}
