"""The same problems from two sources: what became other in rewards and answers, the greatest loss first.

Both sources are sorted by problem, and then met; what is held is bounded, the rest lies in temporary files.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from stages.language.thinking import split_thinking
from stages.overview import record_text
from stages.overview.values import clipped, is_number, mean, number, short
from stages.records.ordering import in_order
from stages.records.record import Record, group_of, object_of
from stages.runtime import shown
from stages.runtime.results import Look, Styled

MEMORY = 16 << 20  # bytes of records that each of the sorts holds
Answers = list[Record]


class Meeting(NamedTuple):
    """A problem and its records of both sources; one may have none."""

    name: str
    new: Answers
    old: Answers


class Differences:
    """What became other from `old` to `new`, of problems of which `chosen` takes a record of either.

    `counts` says, after the first is given, how many there are of each kind.
    """

    def __init__(
        self, new: Iterable[Record], old: Iterable[Record], chosen: Callable[[Record], bool]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._new, self._old, self._chosen = new, old, chosen

    def __iter__(self) -> Iterator[list[Styled]]:
        """The pieces of text of each problem that changed: what lost most first, equals as they came."""
        for _, told in in_order(self._changed(), MEMORY):
            yield [Styled(text, look) for look, text in told["pieces"]]

    def _changed(self) -> Iterator[tuple[list[Any], Record]]:
        for each in _met(self._new, self._old):
            if not any(self._chosen(record) for record in each.new or each.old):
                continue
            if not each.new or not each.old:
                self.counts["only in FILE" if each.new else "only in OTHER"] += 1
                continue
            self.counts["in both"] += 1
            lines = [line for pair in _pairs(each) for line in _changes(*pair)]
            new, old = mean(each.new), mean(each.old)
            if not lines and new == old:
                self.counts["unchanged"] += 1
                continue
            gain = 0.0 if new is None or old is None else new - old
            self.counts["better" if gain > 0 else "worse" if gain < 0 else "as good, and other"] += 1
            pieces = [_heading(each, old, new), *record_text.problem(each.new[0]), *lines, Styled("\n")]
            told = [[piece.look, str(piece)] for piece in pieces]
            yield [gain, each.new[0].place, each.name], Record({"pieces": told})


def _met(new: Iterable[Record], old: Iterable[Record]) -> Iterator[Meeting]:
    """The problems of both, in the order of their names."""
    left, right = _by_problem(new), _by_problem(old)
    here, there = next(left, None), next(right, None)
    while here or there:
        name = min(each[0] for each in (here, there) if each)
        mine: Answers = []
        others: Answers = []
        if here and here[0] == name:
            mine, here = here[1], next(left, None)
        if there and there[0] == name:
            others, there = there[1], next(right, None)
        yield Meeting(name, mine, others)


def _by_problem(records: Iterable[Record]) -> Iterator[tuple[str, Answers]]:
    ordered = in_order((([group_of(record)], record) for record in records), MEMORY)
    for (name,), run in itertools.groupby(ordered, lambda each: each[0]):
        yield name, [record for _, record in run]


def _pairs(met: Meeting) -> Iterator[tuple[Record, Record]]:
    """The completions of one name."""
    named = {str(record.get("id")): record for record in reversed(met.old)}
    for record in met.new:
        if str(record.get("id")) in named:
            yield record, named[str(record.get("id"))]


def _heading(met: Meeting, old: float | None, new: float | None) -> Styled:
    several = len(met.new) > 1 or len(met.old) > 1
    change = f"{'mean ' * several}reward {number(old)} -> {number(new)}"
    sizes = f", {len(met.old)} -> {len(met.new)} completions" if len(met.new) != len(met.old) else ""
    return Styled(f"== {short(met.name)}: {change}{sizes} ==\n", "title")


def _changes(new: Record, old: Record) -> Iterator[Styled]:
    """What is other in one completion; nothing where its reward, the parts and the answer are the same."""
    lines = [*_rewards(new, old), *_answer(new, old)]
    if lines:
        name = short(new.get("id"))
        same = "" if new.get("completion") != old.get("completion") else ", the same completion"
        yield Styled(f"-- {name}{same} --\n", "name")
        yield from lines


def _rewards(new: Record, old: Record) -> Iterator[Styled]:
    after, before = ({"": each["reward"]} if "reward" in each else {} for each in (new, old))
    after |= object_of(new.get("rewards"))
    before |= object_of(old.get("rewards"))
    why_new, why_old = object_of(new.get("reasons")), object_of(old.get("reasons"))
    for name in [*after, *(each for each in before if each not in after)]:
        a, b = before.get(name), after.get(name)
        if name in before and name in after and a == b:
            continue
        told = [number(each[name]) if name in each else "none" for each in (before, after)]
        reasons = [short(why[name]) for why in (why_old, why_new) if why.get(name) not in (None, "")]
        why = f"  {' -> '.join(dict.fromkeys(reasons))}" if name else ""
        yield Styled(f"{f'  {short(name)}' if name else 'Reward'}: {' -> '.join(told)}{why}\n", _look(a, b))


def _look(before: Any, after: Any) -> Look:
    if not is_number(before) or not is_number(after):
        return "plain"
    return "good" if after > before else "bad"


def _answer(new: Record, old: Record) -> Iterator[Styled]:
    answers = [_answered(old), _answered(new)]
    if answers[0] != answers[1]:
        yield Styled(f"  - {_lines(answers[0])}\n", "bad")
        yield Styled(f"  + {_lines(answers[1])}\n", "good")


def _answered(record: Record) -> str:
    """What the completion answers, without its thinking."""
    if "completion" not in record:
        return ""
    prefill = record.get("prefill")
    words = record_text.words(record)
    return split_thinking(words, prefill if isinstance(prefill, str) else "").answer.strip()


def _lines(answer: str) -> str:
    """Indented under its mark."""
    return clipped(shown.block(answer), 2000).replace("\n", "\n    ") or "(none)"
