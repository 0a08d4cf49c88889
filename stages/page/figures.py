"""A run's numbers as the page draws them: curves, what stands out, options, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

from stages.evaluation.held_out import best
from stages.overview.values import figure, short
from stages.page.run_folder import RunFolder
from stages.records.record import Record, object_of
from stages.runtime import shown

GAP = 0.05  # of log-probabilities, where the run's options do not say another limit
CUT = 0.5  # share of completions at the token limit from which on it stands out
MARKS = 60  # renewals of the reference that are marked one by one


def of_run(run: RunFolder) -> dict[str, Any]:
    """All that the page says of a run but its completions; plain JSON values, texts fit to be shown."""
    options = {shown.line(name): short(value) for name, value in _leaves("", _options(run))}
    return {
        "name": shown.line(run.name),
        "stage": short(run.manifest.get("stage", "")),
        "finished": run.finished,
        "steps": [figure(entry["step"]) for entry in run.history],
        "metrics": {shown.line(name): values for name, values in _curves(run.history).items()},
        "options": options,
        "events": [{"from": a, "to": b, "what": what} for a, b, what in sorted(_events(run))],
        "cost": cost(run.history),
    }


def _options(run: RunFolder) -> dict[str, Any]:
    """What was asked for, and from what: in the manifest, which stands at the end of a run."""
    of = run.manifest
    parent, inputs = object_of(of.get("parent")), object_of(of.get("inputs"))
    told = {"parent revision": parent.get("revision"), "input records": inputs.get("records")}
    told["input digest"] = inputs.get("digest")
    known = {name: value for name, value in told.items() if value is not None}
    return {**object_of(of.get("options")), **known, "versions": object_of(of.get("versions"))}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The options of groups, as `group.option`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else key, inner)
    else:
        yield name, value


def _curves(history: list[Record]) -> dict[str, list[float | None]]:
    """A value or None for each line of metrics, of every figure that has a number in any."""
    names = {name: None for entry in history for name in entry if name != "step"}
    columns = {name: [figure(entry.get(name)) for entry in history] for name in names}
    return {name: column for name, column in columns.items() if any(value is not None for value in column)}


def _events(run: RunFolder) -> Iterator[tuple[int, int, str]]:
    """First step, last step and what was watched for and met."""
    objective = object_of(object_of(run.manifest.get("options")).get("objective"))
    limit = object_of(run.manifest.get("options")).get("logp_diff_limit", GAP)
    limit = GAP if figure(limit) is None else limit
    watched: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        "no group's rewards differ: nothing is learned": lambda e: _of(e, "frac_reward_zero_std") >= 1,
        "completions could not be judged": lambda e: _of(e, "completions/unjudged") > 0,
        "half of the completions or more are cut off": lambda e: _of(e, "completions/clipped_ratio") >= CUT,
        f"sampler and trainer differ by more than {limit:g}": (
            lambda e: _of(e, "sampling/logp_gap_mean") > limit
        ),
    }
    for what, met in watched.items():
        for yes, entries in groupby(run.history, met):
            if yes:
                steps = [entry["step"] for entry in entries]
                yield steps[0], steps[-1], what
    last = int(run.history[-1]["step"])
    every = objective.get("ref_reset")
    if isinstance(every, int) and every > 0 and last // every <= MARKS:
        yield from (
            (step, step, "the policy becomes the reference") for step in range(every, last + 1, every)
        )
    found = best(run.evaluations) if all(map(_comparable, run.evaluations)) else None
    if found is not None:
        yield found, found, "the best evaluation"
    if any(run.path.glob("offending*.jsonl")):
        yield (
            last,
            last,
            f"stopped after this step: not finite, see {shown.line(run.path.name)}/offending.jsonl",
        )


def _comparable(line: Mapping[str, Any]) -> bool:
    """Whether an evaluation is as r1 writes it, and not another program's."""
    judged = isinstance(line.get("decides"), str) and "pass@1" in line
    return isinstance(line.get("step"), int) and (judged or figure(line.get("loss")) is not None)


def _of(entry: Mapping[str, Any], name: str) -> float:
    """A figure that is never negative; -1 where the step has none."""
    value = figure(entry.get(name))
    return -1.0 if value is None else float(value)


def cost(history: list[Record]) -> dict[str, Any]:
    """Seconds by what they were spent on, tokens, operations, and memory where the metrics have it."""
    seconds = {
        name.removeprefix("time/"): total
        for name in dict.fromkeys(key for entry in history for key in entry if key.startswith("time/"))
        if (total := _sum(history, name)) > 0
    }
    inside = sum(total for name, total in seconds.items() if name != "eval")
    rest = _sum(history, "step_time") - inside  # steps of sft have no parts
    if rest > 1e-3 * max(inside, 1e-9):
        seconds["steps" if not inside else "other"] = rest
    last = history[-1]
    memory = {
        shown.line(name): max(_of(entry, name) for entry in history)
        for name in last
        if "memory" in name and figure(last[name]) is not None
    }
    return {
        "seconds": {shown.line(name): total for name, total in seconds.items()},
        "paid": _sum(history, "step_time") + _sum(history, "time/eval"),  # seconds, as `r1 report` has them
        "tokens": _sum(history, "num_tokens"),
        "flos": max(_of(last, "total_flos"), 0.0),
        "memory": memory,
    }


def _sum(history: list[Record], name: str) -> float:
    return math.fsum(max(_of(entry, name), 0.0) for entry in history)
