"""A run on one screen: its figures as sparklines, its speed, the time left, and its last completion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any
from unicodedata import east_asian_width

from stages.overview import record_text
from stages.overview.values import clipped, figure, number, short
from stages.records.record import Record
from stages.runtime import shown
from stages.runtime.report import duration
from stages.runtime.results import Look, Styled
from stages.watch.watched import Watched

BARS = "▁▂▃▄▅▆▇█"
NAME, VALUE = 30, 10  # columns of a figure's name and of its last value
# What is shown of a step, as far as there is room; a name that ends with `/` stands for all that begin so.
ORDER = (
    "reward", "rewards/", "eval/", "loss", "completions/mean_length", "kl", "entropy", "clip_ratio/low_mean",
    "clip_ratio/high_mean", "completions/clipped_ratio", "grad_norm", "frac_reward_zero_std",
    "completions/language_mixing", "sampling/logp_gap_mean", "learning_rate",
)  # fmt: skip
ENDS = ("/mean", "/pass@1", "/loss")  # of those that stand for many
RECENT = 20  # steps whose mean time the time left is told by
TEXT = 6  # lines that the completion gets at least


def frame(run: Watched, columns: int, rows: int) -> list[Styled]:
    """At most `rows` lines of at most `columns` characters."""
    if not run.history:
        return [Styled(clipped(f"{run.name}: no step yet", columns), "title")]
    names = list(_names(run.history))
    room = rows - 2 - (TEXT if run.last is not None else 0)
    lines = [Styled(clipped(_heading(run), columns), "title")]
    lines += [Styled(_figure(run.history, name, columns)) for name in names[: max(room, 1)]]
    lines.append(Styled(clipped(_speed(run.history), columns), "dim"))
    if run.last is not None:
        lines += _completion(run.last, columns, rows - len(lines))
    return lines[:rows]


def summary(run: Watched) -> dict[str, float | str]:
    """The figures of the last step that fit into a line of text."""
    found = {name: figure(run.history[-1].get(name)) for name in list(_names(run.history))[:4]}
    return {name: value for name, value in found.items() if value is not None}


def sparkline(values: Sequence[float], width: int) -> str:
    """The values in at most `width` characters; several that share one are told by their mean."""
    if not values or width < 1:
        return ""
    count = min(len(values), width)
    ends = [len(values) * k // count for k in range(count + 1)]
    means = [fmean(values[ends[k] : ends[k + 1]]) for k in range(count)]
    low, high = min(means), max(means)
    if not math.isfinite(high - low) or high == low:
        return BARS[3] * count
    return "".join(BARS[min(int((mean - low) / (high - low) * len(BARS)), len(BARS) - 1)] for mean in means)


def time_left(run: Watched) -> float | None:
    """Seconds to the last step, by the mean of the latest; None where the run has not said how many there
    are.
    """
    times = [_time(entry) for entry in run.history if "loss" in entry][-RECENT:]
    if not run.total or not times:
        return None
    return max(run.total - int(run.history[-1]["step"]), 0) * fmean(times)


def _names(history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The figures of the run, in the order they are shown in."""
    known = [
        name
        for name in dict.fromkeys(name for entry in history for name in entry)
        if any(figure(entry.get(name)) is not None for entry in history)
    ]
    for wanted in ORDER:
        many = wanted.endswith("/")
        yield from (
            name
            for name in known
            if name == wanted or (many and name.startswith(wanted) and name.endswith(ENDS))
        )


def _heading(run: Watched) -> str:
    steps = f"step {run.history[-1]['step']}" + (f" of {run.total}" if run.total else "")
    spent = duration(math.fsum(map(_time, run.history)))
    left = time_left(run)
    going = run.state == "running" and left is not None
    ends = f", {duration(left or 0.0)} left" if going else "" if run.state == "running" else f", {run.state}"
    return f"{short(run.name)}: {steps}, {spent}{ends}"


def _figure(history: Sequence[Mapping[str, Any]], name: str, columns: int) -> str:
    known = [value for entry in history if (value := figure(entry.get(name))) is not None]
    label = clipped(short(name).removesuffix("/mean"), NAME).ljust(NAME)
    line = f"{label} {number(float(f'{known[-1]:.4g}')).rjust(VALUE)}  "
    return (line + sparkline(known, columns - len(line)))[:columns]


def _speed(history: Sequence[Mapping[str, Any]]) -> str:
    """Tokens and seconds of the latest steps, and what the seconds went to."""
    recent = [entry for entry in history if "loss" in entry][-RECENT:]
    if not recent:
        return ""
    spent = math.fsum(map(_time, recent))
    tokens = math.fsum(figure(entry.get("num_tokens")) or 0.0 for entry in recent)
    told = [f"{spent / len(recent):.3g} s a step"]
    if tokens and spent:
        told.insert(0, f"{tokens / spent:.4g} tokens per second")
    for name in ("time/generate", "time/learn", "time/eval"):
        part = math.fsum(figure(entry.get(name)) or 0.0 for entry in recent)
        if part and spent:
            told.append(f"{name.removeprefix('time/')} {part / spent:.0%}".replace("%", " %"))
    return ", ".join(told)


def _time(entry: Mapping[str, Any]) -> float:
    """Seconds of a step, with its evaluation."""
    return math.fsum(figure(entry.get(name)) or 0.0 for name in ("step_time", "time/eval"))


def _completion(record: Record, columns: int, room: int) -> list[Styled]:
    """The last completion in `room` lines: which it is, its end, and its answer."""
    reward = f", reward {number(record['reward'])}" if "reward" in record else ""
    lines = [Styled(clipped(f"Last completion: {short(record.get('id', ''))}{reward}", columns), "name")]
    if "completion" not in record:
        return lines[:room]
    said = record_text.parts(record)
    pieces: list[tuple[str, Look]] = [(said.thinking or "", "dim"), (said.answer, "plain")]
    for text, look in pieces:
        words = " ".join(shown.line(text.replace("\n", " ")).split())
        share = (room - 1) // 2 * columns
        words = words if len(words) <= share else f"… {words[len(words) - share + 2 :]}"
        lines += [Styled(part, look) for part in _wrapped(words, columns)]
    return lines[:room]


def _wrapped(text: str, columns: int) -> Iterator[str]:
    """Pieces that take at most so many columns; a Chinese or Japanese character takes two."""
    begin = width = 0
    for place, character in enumerate(text):
        width += 1 + (east_asian_width(character) in "WF")
        if width > columns:
            yield text[begin:place]
            begin, width = place, 1 + (east_asian_width(character) in "WF")
    if text[begin:]:
        yield text[begin:]
