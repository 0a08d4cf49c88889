"""Rows of figures against those of one model: which belong together, and what the difference comes to.

A row is compared with the baseline's of the same benchmark and split, and of those with the one whose
settings are the most like its own. Rows that differ in the seed alone are one. Problems are the same where
id, prompt and answer are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from stages.evaluation.comparison.paired import (
    Counted,
    Difference,
    detectable,
    difference,
    holm,
    problems_needed,
)
from stages.evaluation.comparison.pooled import pooled, seeds_of
from stages.evaluation.figures import Figures, Problem
from stages.evaluation.table import named, percent, titled
from stages.records.record import digest
from stages.runtime.report import Report
from stages.runtime.results import Table

INTERVAL = "95 %, paired by problem, Student's t"
SIZES = (0.01, 0.02, 0.05, 0.1)  # true differences of which is said how many problems show them
DIFFERENCE = ("difference", "95 %", "p", "p (Holm)", "problems", "+ / −")  # columns of a table
ALIKE = ("seed", "rewards")  # settings in which rows may differ and nothing is to be said of it


def baseline(rows: Iterable[Figures], model: str) -> list[Figures]:
    """The rows of the model of this name, which is the whole one or what the table shows of it."""
    every = list(rows)
    whole = [row for row in every if _model(row) == model]
    return whole or [row for row in every if named(_model(row)) == model.rstrip("/")]


def compare(rows: Iterable[Figures], bases: Sequence[Figures], report: Report) -> list[dict[str, Any]]:
    """A line for each row that is no baseline and has one, all seeds of it together.

    What is not compared, or not alike, is noted.
    """
    others = [row for row in rows if row not in bases]
    return [line for _, line in paired(pooled(others), pooled(bases), report)]


def paired(
    rows: Iterable[Figures], bases: Sequence[Figures], report: Report, apart_in: Sequence[str] = ()
) -> list[tuple[Figures, dict[str, Any]]]:
    """As `compare`, with the row of each line, and each row by itself.

    That settings differ which are `apart_in` is not noted.
    """
    found = []
    for row in rows:
        if row in bases:
            continue
        base = _partner(row, bases, report)
        line = _line(row, base, report, apart_in) if base is not None else None
        if line is not None:
            found.append((row, line))
    made = [line for _, line in found]
    known = [line for line in made if line["p"] is not None]
    for line, p in zip(known, holm([line["p"] for line in known]), strict=True):
        line["p_holm"] = p
    for line in made:
        line["comparisons"] = len(known)
    return found


def _partner(row: Figures, bases: Sequence[Figures], report: Report) -> Figures | None:
    """The baseline's row of the same benchmark whose settings differ in the fewest; None is noted."""
    what = ("benchmark", "split")
    same = [base for base in bases if all(base.origin.get(key) == row.origin.get(key) for key in what)]
    if not same:
        report.note(f"{titled(row.origin)}: the baseline has no completions of it; not compared")
        return None
    fewest = min(len(_unlike(row, base)) for base in same)
    nearest = [base for base in same if len(_unlike(row, base)) == fewest]
    nearest = [base for base in nearest if seeds_of(base) == seeds_of(row)] or nearest
    if len(nearest) > 1:
        told = " or ".join(sorted({", ".join(_unlike(row, base)) or "the step or seed" for base in nearest}))
        report.note(
            f"{titled(row.origin)}: {len(nearest)} rows of the baseline are as near ({told}); not compared: "
            "give a file that has one of them"
        )
        return None
    return nearest[0]


def _unlike(row: Figures, base: Figures) -> list[str]:
    """The settings that the two do not share."""
    own, other = (each.origin.get("settings") or {} for each in (row, base))
    keys = sorted({*own, *other} - {*ALIKE})
    protocols = {each.origin.get("protocol") for each in (row, base)} - {None}  # None: of another command
    return ["protocol"] * (len(protocols) > 1) + [key for key in keys if own.get(key) != other.get(key)]


def _line(row: Figures, base: Figures, report: Report, apart_in: Sequence[str]) -> dict[str, Any] | None:
    shared = [(one, base.problems[name]) for name, one in row.problems.items() if name in base.problems]
    alike = [(one, other) for one, other in shared if one.content == other.content]
    judged = [(one, other) for one, other in alike if one.judged and other.judged]
    left = {
        "problems_only_here": len(row.problems) - len(shared),
        "problems_only_against": len(base.problems) - len(shared),
        "problems_changed": len(shared) - len(alike),
        "problems_unjudged": len(alike) - len(judged),
    }
    unlike = _unlike(row, base)
    told = [key for key in unlike if key not in apart_in]
    _tell(f"{titled(row.origin)} against {named(_model(base))}", left, told, report)
    if not judged:
        report.note(f"{titled(row.origin)} against {named(_model(base))}: no problem in common; not compared")
        return None
    pairs = [(_counted(one), _counted(other)) for one, other in judged]
    return {
        **{name: row.origin.get(name) for name in ("benchmark", "split", "model", "revision")},
        **({"step": row.origin["step"]} if "step" in row.origin else {}),
        "against": _model(base),
        "against_revision": base.origin.get("revision"),
        "seeds": seeds_of(row),
        "against_seeds": seeds_of(base),
        **_figures(pairs, difference(pairs)),
        **left,
        "settings_unlike": unlike,
        "digest": digest(sorted(one.content for one, _ in judged)),
    }


def _figures(pairs: Sequence[tuple[Counted, Counted]], found: Difference) -> dict[str, Any]:
    here, there = ([pair[k].rate for pair in pairs] for k in (0, 1))
    return {
        "pass@1": sum(here) / len(here),
        "against_pass@1": sum(there) / len(there),
        "difference": found.mean,
        "difference_low": found.low,
        "difference_high": found.high,
        "interval": INTERVAL,
        "p": found.p,
        "p_holm": None,
        "problems": len(pairs),
        "problems_better": sum(one > other for one, other in zip(here, there, strict=True)),
        "problems_worse": sum(one < other for one, other in zip(here, there, strict=True)),
        "sd": found.sd,
        "detectable": detectable(len(pairs), found.sd) if found.sd else None,
        "problems_needed": {f"{size:g}": problems_needed(size, found.sd or 0.0) for size in SIZES},
    }


def _tell(name: str, left: dict[str, int], unlike: Sequence[str], report: Report) -> None:
    words = {
        "problems_only_here": "only here",
        "problems_only_against": "only in the baseline",
        "problems_changed": "with another prompt or answer",
        "problems_unjudged": "that could not be judged",
    }
    told = [f"{count} {words[key]}" for key, count in left.items() if count]
    if told:
        report.note(f"{name}: problems left out: {', '.join(told)}")
    if unlike:
        report.note(f"{name}: settings differ in {', '.join(unlike)}")


def _counted(problem: Problem) -> Counted:
    return Counted(problem.judged, problem.correct)


def _model(row: Figures) -> Any:
    return row.origin.get("model")


def table(lines: Sequence[dict[str, Any]]) -> Table:
    """The differences for people: in points of a hundred, and the difference that so many problems show."""
    columns = ["benchmark", "model", "against", "pass@1", *DIFFERENCE, "shows"]
    rows = [
        [
            str(line["benchmark"] or "-"),
            named(line["model"]),
            named(line["against"]),
            percent(line["pass@1"]),
            *cells(line),
            "-" if line["detectable"] is None else f"{100 * line['detectable']:.1f}",
        ]
        for line in lines
    ]
    return Table("Differences of pass@1 in points, of the same problems", columns, rows)


def cells(line: dict[str, Any]) -> list[str]:
    """What stands below DIFFERENCE in a table, in points of a hundred."""
    return [
        f"{100 * line['difference']:+.1f}",
        f"{signed(line['difference_low'])} – {signed(line['difference_high'])}",
        probability(line["p"]),
        probability(line["p_holm"]),
        str(line["problems"]),
        f"{line['problems_better']} / {line['problems_worse']}",
    ]


def signed(value: float | None) -> str:
    """A difference as a person reads it, in points."""
    return "-" if value is None else f"{100 * value:+.1f}"


def probability(value: float | None) -> str:
    """A p-value as a person reads it."""
    return "-" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"
