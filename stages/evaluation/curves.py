"""How figures grow with what is spent: pass@k and cons@k for all k, accuracy against thinking and length.

Rows of `r1 eval --curves`. docs/eval.md#curves says what each is.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from stages.evaluation import statistics
from stages.evaluation.figures import Figures
from stages.records.record import digest

BINS = 10  # of lengths, with about as many completions in each
LARGEST = 128  # completions of a problem up to which cons@k is counted out: half a second at most
NAMES = ("benchmark", "split", "model", "revision")  # of what a curve is, beside its step
COUNTS = ("k", "bin", "point")  # what counts the lines of a curve, from 1
# Settings in which the evaluations of one budget curve may differ.
SPENT = ("think_budget", "think_extend", "max_tokens")


def majorities(right: int, wrong: Sequence[int], silent: int = 0) -> list[float]:
    """The chance that the most frequent answer of k of a problem's completions is right, for k from 1 to all.

    `right` completions agree on the right answer, each of `wrong` is how many agree on another one, `silent`
    have none. The mean over all sets of k completions, answers that tie for first sharing it evenly as in
    `statistics.majority`; exact but for rounding at the end.
    """
    every = right + sum(wrong) + silent
    shares: list[list[float]] = [[] for _ in range(every + 1)]
    for most in range(1, right + 1):
        for (chosen, ties), ways in _losing(most, wrong).items():
            agreeing = math.comb(right, most) * ways
            for quiet in range(silent + 1):
                k = most + chosen + quiet
                sets = agreeing * math.comb(silent, quiet)
                shares[k].append(sets / (math.comb(every, k) * (1 + ties)))
    return [math.fsum(each) for each in shares[1:]]


def _losing(most: int, wrong: Sequence[int]) -> dict[tuple[int, int], int]:
    """Ways to choose completions of wrong answers, of none more than `most`: by how many are chosen, and of
    how many answers just `most` are.
    """
    ways: dict[tuple[int, int], int] = {(0, 0): 1}
    for size in wrong:
        grown: dict[tuple[int, int], int] = {}
        for (chosen, ties), number in ways.items():
            for taken in range(min(size, most) + 1):
                at = chosen + taken, ties + (taken == most)
                grown[at] = grown.get(at, 0) + number * math.comb(size, taken)
        ways = grown
    return ways


class Evaluation(NamedTuple):
    """One point of a budget curve: mean thinking in tokens, accuracy, and the budget that was set, if any."""

    thinking: float
    accuracy: float
    budget: int | None


class Forcing(NamedTuple):
    """The three metrics of arXiv 2501.19393; None where the evaluations do not give one."""

    control: float | None
    scaling: float | None
    performance: float


def forcing(evaluations: Sequence[Evaluation]) -> Forcing:
    """Control: the share of evaluations with a budget whose mean thinking is within it.

    Scaling: the mean slope (f(b) − f(a)) / (b − a) over all pairs of evaluations a < b, accuracy f as a share
    and thinking in tokens; pairs of equal thinking have no slope and are left out. Performance: the highest
    accuracy.
    """
    within = [each.thinking <= each.budget for each in evaluations if each.budget is not None]
    points = sorted((each.thinking, each.accuracy) for each in evaluations)
    slopes = [
        (high[1] - low[1]) / (high[0] - low[0])
        for k, high in enumerate(points)
        for low in points[:k]
        if high[0] > low[0]
    ]
    return Forcing(
        fmean(within) if within else None,
        math.fsum(slopes) / len(slopes) if slopes else None,
        max(each.accuracy for each in evaluations),
    )


def curves(rows: Iterable[Figures]) -> Iterator[dict[str, Any]]:
    """The lines of all curves: pass@k and cons@k of each row, right answers by length, then those over
    rows of unlike budgets."""
    every = list(rows)
    for of in (of_samples, of_lengths):
        for row in every:
            yield from of(row)
    yield from of_budgets(every)


def of_samples(row: Figures) -> Iterator[dict[str, Any]]:
    """A line for each k up to the fewest judged completions of a problem that has any."""
    problems = [each for each in row.problems.values() if each.judged]
    if not problems:
        return
    counts = [(each.judged, each.correct) for each in problems]
    most = max(n for n, _ in counts)
    agreed: dict[int, float] = defaultdict(float)
    kinds = Counter((each.judged, *_ballots(each.votes)) for each in problems if most <= LARGEST)
    for (n, right, wrong), number in kinds.items():
        for k, share in enumerate(majorities(right, wrong, n - right - sum(wrong)), 1):
            agreed[k] += number * share
    for k in range(1, min(n for n, _ in counts) + 1):
        yield {
            "curve": "samples",
            **_named(row),
            "k": k,
            "pass@k": statistics.pass_at_k(counts, k),
            "cons@k": agreed[k] / len(problems) if most <= LARGEST else None,
        }


def of_lengths(row: Figures) -> Iterator[dict[str, Any]]:
    """A line for each bin of judged completions, the shortest first; equal lengths are in one bin."""
    lengths = row.by_length[row.unit]
    found = sorted((length, right) for length, right in zip(lengths, row.right, strict=True) if right >= 0)
    bins: list[list[tuple[int, int]]] = []
    wanted = -1  # of as many bins of one size, the one in which the present bin began
    for place, each in enumerate(found):
        even = place * BINS // len(found)
        if even > wanted and (not bins or each[0] > bins[-1][-1][0]):
            bins.append([])
            wanted = even
        bins[-1].append(each)
    for number, held in enumerate(bins, 1):
        yield {
            "curve": "length",
            **_named(row),
            "bin": number,
            "length_unit": row.unit,
            "length_low": held[0][0],
            "length_high": held[-1][0],
            "mean_length": fmean(length for length, _ in held),
            "completions": len(held),
            "correct": fmean(right for _, right in held),
        }


def _ballots(votes: Mapping[str, Sequence[int]]) -> tuple[int, tuple[int, ...]]:
    """How many agree on the right answer, and on each of the others."""
    right = sum(count for count, correct in votes.values() if correct)
    return right, tuple(sorted(count for count, correct in votes.values() if not correct))


def of_budgets(rows: Sequence[Figures]) -> Iterator[dict[str, Any]]:
    """A line for each row whose thinking was counted, the least thinking first, and one for the curve."""
    groups: dict[str, list[Figures]] = {}
    for row in rows:
        if row.thinking is not None:
            settings = {key: value for key, value in _settings(row).items() if key not in SPENT}
            key = digest({**row.origin, "settings": settings, "versions": None}, row.apart)
            groups.setdefault(key, []).append(row)
    for group in groups.values():
        found = [(row, counts) for row in group if (counts := _judged(row))]
        points = [
            (Evaluation(row.thinking or 0.0, statistics.pass_at_1(counts), _budget(row)), row)
            for row, counts in found
        ]
        points.sort(key=lambda point: point[0].thinking)
        for number, (point, row) in enumerate(points, 1):
            yield {
                "curve": "thinking",
                **_named(row),
                "point": number,
                "think_budget": point.budget,
                "think_extend": _settings(row).get("think_extend"),
                "thinking_tokens": point.thinking,
                "pass@1": point.accuracy,
            }
        if len(points) > 1:
            yield {
                "curve": "budget-forcing",
                **_named(points[0][1]),
                "evaluations": len(points),
                **forcing([point for point, _ in points])._asdict(),
            }


def parted(lines: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Lines of one kind, curve by curve: rows whose settings alone differ have curves of the same names."""
    held: list[Mapping[str, Any]] = []
    for line in lines:
        number = next((line[name] for name in COUNTS if name in line), None)
        if held and (number == 1 or _of(line) != _of(held[0])):
            yield held
            held = []
        held.append(line)
    if held:
        yield held


def _of(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(str(line.get(name)) for name in (*NAMES, "step"))


def _judged(row: Figures) -> list[tuple[int, int]]:
    return [(each.judged, each.correct) for each in row.problems.values() if each.judged]


def _settings(row: Figures) -> dict[str, Any]:
    return dict(row.origin.get("settings") or {})


def _budget(row: Figures) -> int | None:
    budget = _settings(row).get("think_budget")
    return budget if isinstance(budget, int) and not isinstance(budget, bool) else None


def _named(row: Figures) -> dict[str, Any]:
    """What the row of figures is called."""
    step = {"step": row.origin["step"]} if "step" in row.origin else {}
    return {**{name: row.origin.get(name) for name in NAMES}, **step}
