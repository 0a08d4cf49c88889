"""Several runs that differ in their seed as one curve: the mean of each figure, and how far it is known.

The band is the 95 % confidence interval of the mean over seeds: Student's t with one degree less than there
are runs, times s / sqrt(runs). It says where the mean of very many seeds would lie, not where one more run
would; of three runs it is 2.5 standard deviations to either side.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from stages.evaluation.statistics import Interval
from stages.evaluation.student import quantile
from stages.evaluation.table import shots_of
from stages.records.record import Record, digest

OF = ("benchmark", "split", "protocol", "model", "revision")  # what a row is of
BAND = "95 % of the mean over seeds, Student's t"


def band(values: Sequence[float]) -> Interval | None:
    """The 95 % interval of the mean of what runs came to; None for a single run."""
    if len(values) < 2:
        return None
    middle = statistics.fmean(values)
    half = quantile(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(middle - half, middle + half)


def over_seeds(histories: Sequence[Sequence[Mapping[str, Any]]]) -> list[Record]:
    """A line of metrics for each step that all runs have: means, beside each its `_low` and `_high`.

    A figure that one of the runs lacks in a step has no mean there. The interval that a run itself has of a
    figure is left out.
    """
    by_step = [{entry["step"]: entry for entry in history} for history in histories]
    return [
        _mean([entries[step] for entries in by_step])
        for step in sorted(set.intersection(*(set(entries) for entries in by_step)))
    ]


def spread(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line for each set of rows of `r1 eval` that differ in the seed alone: what pass@1 each came to, the
    mean, the standard deviation and the 95 % interval of the mean over seeds.
    """
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        settings = {**(row["settings"] or {}), "seed": None}
        key = digest([row.get(name) for name in (*OF, "step", "digest", "decides", "threshold")], settings)
        alike.setdefault(key, []).append(row)
    return [_spread(group) for group in alike.values() if len(group) > 1]


def _spread(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    each = [row["pass@1"] for row in group]
    known = [value for value in each if value is not None]
    found = band(known)
    shots = shots_of(group[0])
    return {
        **{name: group[0].get(name) for name in OF},
        **({"step": group[0]["step"]} if "step" in group[0] else {}),
        **({} if shots is None else {"shots": shots}),
        "spread": "seed",
        "runs": len(group),
        "seeds": [(row["settings"] or {}).get("seed") for row in group],
        "pass@1": statistics.fmean(known) if known else None,
        "pass@1_low": found.low if found else None,
        "pass@1_high": found.high if found else None,
        "interval": BAND,
        "pass@1_sd": statistics.stdev(known) if len(known) > 1 else None,
        "pass@1_each": each,
        "problems": group[0]["problems"],
        "k": group[0]["k"],
        "digest": group[0]["digest"],
    }


def _mean(entries: Sequence[Mapping[str, Any]]) -> Record:
    made = Record(step=entries[0]["step"])
    for name in entries[0]:
        values = [entry.get(name) for entry in entries]
        if (
            name == "step"
            or _end(name) in entries[0]
            or not all(type(value) in (int, float) for value in values)
        ):
            continue
        known = [float(value) for value in values if value is not None]
        made[name] = statistics.fmean(known)
        found = band(known)
        if found is not None:
            made[f"{name}_low"], made[f"{name}_high"] = found
    return made


def _end(name: str) -> str:
    """The figure of whose interval `name` is an end, if of any: that of one run says nothing of seeds."""
    return next((name.removesuffix(end) for end in ("_low", "_high") if name.endswith(end)), "")
