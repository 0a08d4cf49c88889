"""Figures for people: the table, what to know before believing it, and the verdict of a gate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from stages.checkpoints.checkpoint import versions
from stages.records.record import object_of
from stages.runtime.report import Report
from stages.runtime.results import Results, Table

ROUNDING = 1e-9  # a mean of rates may fall short by some 1e-16 of what it is; a completion changes it by more
CLIPPED = 0.1  # above this share of cut-off completions, a figure says as much about the limit

# What tells rows of one name apart.
APART: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "examples": lambda row: str(shots_of(row) or 0),
    "seed": lambda row: str(object_of(row.get("settings")).get("seed", "-")),
}


def results(found: list[dict[str, Any]], *, report: Report, said: str = "") -> Results:
    """The results of rows that `Figures.figures` made. The last line ends with what is `said`."""
    for each in found:
        each["versions"] = {**(each["versions"] or {}), **versions()}
        _remark(each, report)
    names = {key: None for each in found for key in each}
    curves = [key for key in names if key.startswith("pass@") and key[5:].isdigit() and key != "pass@1"]
    curves += sorted((key for key in names if key.startswith("cons@")), key=len)
    stepped, apart = "step" in names, _apart(found)
    columns = [
        "benchmark",
        "model",
        *["step"] * stepped,
        *apart,
        "pass@1",
        "95 %",
        *curves,
        "length",
        "cut off",
        "mixing",
        "n × k",
    ]
    rows = [
        [
            str(each["benchmark"] or "-"),
            named(each["model"]),
            *[str(each.get("step", "-"))] * stepped,
            *(APART[name](each) for name in apart),
            percent(each["pass@1"]),
            f"{percent(each['pass@1_low'])} – {percent(each['pass@1_high'])}",
            *(percent(each.get(name)) for name in curves),
            _length(each),
            percent(each["completions/clipped_ratio"]),
            percent(each["mixing"]),
            f"{each['problems']} × {each['k']}",
        ]
        for each in found
    ]
    problems = sum(each["problems"] for each in found)
    completions = sum(each["completions"] for each in found)
    report.summary(f"measured {completions} completions of {problems} problems{said}")
    return Results(found, "Share of correct answers", columns, rows)


def _length(each: Mapping[str, Any]) -> str:
    mean = each["completions/mean_length"]
    return "-" if mean is None else f"{mean:.0f} {each['length_unit']}"


def _apart(found: list[dict[str, Any]]) -> list[str]:
    """The columns in which rows of one benchmark, model and step differ."""
    values: dict[str, dict[str, set[str]]] = {name: defaultdict(set) for name in APART}
    for each in found:
        row = str([each["benchmark"], each["model"], each.get("step")])
        for name, of in APART.items():
            values[name][row].add(of(each))
    return [name for name, of_rows in values.items() if any(len(held) > 1 for held in of_rows.values())]


def shots_of(row: Mapping[str, Any]) -> Any:
    """The examples before the problems of a row, as its settings say; None where they do not."""
    return object_of(object_of(row.get("settings")).get("set")).get("shots")


def costs(found: list[dict[str, Any]]) -> Table:
    """What rows cost: tokens, and time and money where they are known."""
    shown = {"tokens_in": "tokens in", "tokens_out": "tokens out", "seconds": "seconds",
             "tokens_per_second": "tokens per second", "cost": "cost"}  # fmt: skip
    there = [key for key in shown if any(each.get(key) is not None for each in found)]
    rows = [[*_of(each), *(_amount(key, each.get(key)) for key in there)] for each in found]
    return Table("What it cost", ["benchmark", "model", *(shown[key] for key in there)], rows)


def overlaps(found: list[dict[str, Any]]) -> Table:
    """pass@1 of the problems that a training file has, and of the others."""
    columns = ["benchmark", "model", "in the file", "pass@1", "of these", "of the others", "95 %"]
    rows = [
        [
            *_of(each),
            f"{each['contaminated']} of {each['problems']}",
            *(percent(each[f"pass@1{kind}"]) for kind in ("", "_contaminated", "_clean")),
            f"{percent(each['pass@1_clean_low'])} – {percent(each['pass@1_clean_high'])}",
        ]
        for each in found
    ]
    return Table("Problems that the training file has", columns, rows)


def spreads(found: list[dict[str, Any]]) -> Table:
    """pass@1 over runs that differ in the seed."""
    shown = any("shots" in each for each in found)
    columns = ["benchmark", "model", *["examples"] * shown, "runs", "mean", "95 % of the mean", "sd", "each"]
    rows = [
        [
            *_of(each),
            *[str(each.get("shots", 0))] * shown,
            str(each["runs"]),
            percent(each["pass@1"]),
            f"{percent(each['pass@1_low'])} – {percent(each['pass@1_high'])}",
            percent(each["pass@1_sd"]),
            ", ".join(map(percent, each["pass@1_each"])),
        ]
        for each in found
    ]
    return Table("Spread over seeds", columns, rows)


def _of(each: dict[str, Any]) -> list[str]:
    return [str(each["benchmark"] or "-"), named(each["model"])]


def _amount(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if key == "cost" else f"{value:,.1f}"


def named(model: Any) -> str:
    """The model as tables show it: the last part of its path or name."""
    return str(model or "-").rstrip("/").rpartition("/")[2]


def titled(said: Mapping[str, Any]) -> str:
    """Which model, benchmark and step a row is of."""
    step = f", step {said['step']}" if "step" in said else ""
    return f"{named(said.get('model'))} on {said.get('benchmark') or 'records'}{step}"


def _remark(each: dict[str, Any], report: Report) -> None:
    name = f"{each['model'] or 'completions'} on {each['benchmark'] or 'records'}"
    name += f", step {each['step']}" if "step" in each else ""
    clipped = each["completions/clipped_ratio"]
    if clipped is not None and clipped > CLIPPED:
        report.note(f"{name}: {clipped:.0%} were cut off at the token limit; raise --max-tokens")
    if each["unjudged"]:
        report.note(
            f"{name}: {each['unjudged']} of {each['completions']} could not be judged and are left out; "
            f"pass@1 is {percent(each['pass@1_if_unjudged_wrong'])} if all of them are wrong"
        )
    if each["k_min"] != each["k"]:
        report.note(f"{name}: between {each['k_min']} and {each['k']} completions a problem")
    for key, value in each.items():
        if key.startswith("pass@") and key[5:].isdigit() and key != "pass@1" and value is None:
            report.note(f"{name}: {key} needs {key[5:]} judged completions of every problem")


def failure(found: list[dict[str, Any]], fail_under: float | None) -> str | None:
    """The first pass@1 below `fail_under`, in words; what could not be judged counts as wrong."""
    if fail_under is None:
        return None
    for each in found:
        value = each.get("pass@1_if_unjudged_wrong", each["pass@1"])
        if value < fail_under - ROUNDING:
            return (
                f"pass@1 of {each['model'] or 'the completions'} on {each['benchmark'] or 'the records'} "
                f"is {percent(value)}, below {percent(fail_under)}"
            )
    return None


def percent(value: float | None) -> str:
    """A share as a person reads it."""
    return "-" if value is None else f"{100 * value:.1f} %"
