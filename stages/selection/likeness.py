"""How much of a benchmark's problem stands in a prompt: shared words, the rare ones before the common.

A word of a prompt is shared where it stands in a run of 4 words that the problem has too. A run weighs 1 over
the number of the benchmark's problems that have it, a word the mean of the runs it stands in: what many
problems say ("where m and n are relatively prime positive integers"), or a form that all of them are filled
into, weighs next to nothing. The likeness is looked for in the stretch of the prompt that has most of it, so
that instructions around a problem do not hide it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest
from typing import NamedTuple

RUN = 4
CANDIDATES = 3  # problems that a prompt is compared with: those with which it shares most
COMMON = 64  # a run that more problems have leads to none of them


class Problem(NamedTuple):
    """A benchmark's problem: its runs by their hashes, and what each of its words weighs."""

    name: str
    runs: list[int]
    weights: list[float]


class Likeness(NamedTuple):
    """A problem, the share of it that a prompt has (0 to 1), and which of the prompt's words are shared."""

    name: str
    share: float
    shared: list[bool]


class Problems:
    """A benchmark's problems, to compare prompts with."""

    def __init__(self, problems: Iterable[tuple[Sequence[str], str]]) -> None:
        """`problems` are (words, name) pairs, of `RUN` words or more each."""
        distinct = {tuple(_runs(words)): (len(words), name) for words, name in problems}
        self._known: Counter[int] = Counter(run for runs in distinct for run in set(runs))
        self._problems = [
            Problem(name, list(runs), self._weights(runs, words)) for runs, (words, name) in distinct.items()
        ]
        self._having: dict[int, list[int]] = {}
        for number, problem in enumerate(self._problems):
            for run in set(problem.runs):
                if self._known[run] <= COMMON:
                    self._having.setdefault(run, []).append(number)

    def most_like(self, words: Sequence[str], least: float) -> Likeness | None:
        """The problem of which `words` have the greatest share; None where that is below `least`."""
        runs = _runs(words)
        mine = set(runs)
        shares: dict[int, float] = {}
        for run in dict.fromkeys(runs):  # in an order that does not hang on Python's hashes
            for number in self._having.get(run, ()):
                shares[number] = shares.get(number, 0.0) + 1 / self._known[run]
        chosen = (self._problems[number] for number in nlargest(CANDIDATES, shares, key=shares.__getitem__))
        near = [problem for problem in chosen if _share_in(mine, problem) >= least]
        if not near:
            return None
        weights = self._weights(runs, len(words))
        best = max((_likeness(problem, runs, weights) for problem in near), key=lambda one: one.share)
        return best if best.share >= least else None

    def _weights(self, runs: Sequence[int], words: int) -> list[float]:
        """The weight of each word: the mean of those of the runs it stands in."""
        each = [1 / max(self._known[run], 1) for run in runs]
        around = (each[max(0, k - RUN + 1) : k + 1] for k in range(words))
        return [sum(some) / len(some) if some else 1.0 for some in around]


def _likeness(problem: Problem, runs: Sequence[int], weights: Sequence[float]) -> Likeness:
    """How much of `problem` the likest stretch of a prompt has; the smaller of the two's shares."""
    theirs = set(problem.runs)
    shared = _covered((run in theirs for run in runs), len(weights))
    begin, end = _stretch(weights, shared)
    inside = set(runs[begin : max(begin, end - RUN + 1)])
    share = min(_share_in(inside, problem), _share(weights[begin:end], shared[begin:end]))
    kept = [begin <= k < end and one for k, one in enumerate(shared)]
    return Likeness(problem.name, share, kept)


def _share_in(runs: set[int], problem: Problem) -> float:
    """How much of `problem` stands in `runs`."""
    return _share(problem.weights, _covered((run in runs for run in problem.runs), len(problem.weights)))


def _stretch(weights: Sequence[float], shared: Sequence[bool]) -> tuple[int, int]:
    """Where the words weigh most, a word that is not shared counting half against (Kadane's maximum sum)."""
    best = total = 0.0
    begin = end = start = 0
    for k, (weight, one) in enumerate(zip(weights, shared, strict=True)):
        total += weight if one else -weight / 2
        if total <= 0:
            total, start = 0.0, k + 1
        elif total > best:
            best, begin, end = total, start, k + 1
    return begin, end


def _runs(words: Sequence[str]) -> list[int]:
    return [hash(tuple(words[k : k + RUN])) for k in range(len(words) - RUN + 1)]


def _covered(runs: Iterator[bool], words: int) -> list[bool]:
    """Which words stand in one of the runs that are marked."""
    covered = [False] * words
    for k, marked in enumerate(runs):
        if marked:
            covered[k : k + RUN] = [True] * RUN
    return covered


def _share(weights: Sequence[float], marked: Sequence[bool]) -> float:
    whole = sum(weights)
    return sum(w for w, one in zip(weights, marked, strict=True) if one) / whole if whole else 0.0
