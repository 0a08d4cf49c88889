"""Runs that differ in the seed alone as one: their completions of a problem belong together.

Each of them asked the same problems, so R runs are no R tests of whether two models differ. What is compared
is a problem's rate over all runs, and the problem stays the unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from stages.evaluation.figures import Figures
from stages.records.record import digest, object_of


def pooled(rows: Iterable[Figures]) -> list[Figures]:
    """The rows in their order, each set of those that differ in the seed alone as one that says its `seeds`.

    Rows of other problems, as a seed may make them, stay apart.
    """
    alike: dict[str, list[Figures]] = {}
    for row in rows:
        settings = {**object_of(row.origin.get("settings")), "seed": None}
        asked = sorted(each.content for each in row.problems.values())
        origin = {**row.origin, "settings": settings, "versions": None}
        alike.setdefault(digest(origin, list(row.deciding), row.threshold, asked), []).append(row)
    return [_one(group) for group in alike.values()]


def seeds_of(row: Figures) -> list[Any]:
    """The seeds of a row; [None] where its completions do not say any."""
    return row.origin.get("seeds") or [object_of(row.origin.get("settings")).get("seed")]


def _one(group: Sequence[Figures]) -> Figures:
    first = group[0]
    if len(group) == 1:
        return first
    seeds = [seed for row in group for seed in seeds_of(row)]
    made = Figures({**first.origin, "seeds": seeds}, first.deciding, first.threshold, first.apart)
    counted = group[:1] if _repeat(group) else group
    for name, problem in first.problems.items():
        same = [row.problems[name] for row in counted]
        judged, correct = sum(each.judged for each in same), sum(each.correct for each in same)
        made.problems[name] = replace(
            problem, judged=judged, correct=correct, unjudged=sum(each.unjudged for each in same)
        )
    return made


def _repeat(group: Sequence[Figures]) -> bool:
    """Whether nothing was drawn, and the runs say the same: more of them make no rate surer."""
    if object_of(group[0].origin.get("settings")).get("temperature") != 0:
        return False
    counts = [{name: (each.judged, each.correct) for name, each in row.problems.items()} for row in group]
    return all(each == counts[0] for each in counts)
