"""The standings of contests, from a user's file, and how scored completions would have stood in them.

A row is a contest: `contest_id`, `rows` with `points`, `penalty` and `rating` of each person, the rating from
before, and `problems` with `index` and, where they are worth any, `points`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from stages.ratings.contests import Contest, Person, score
from stages.ratings.solving import HARDEST
from stages.records.record import Record, bad_record, group_of, kind_of, place_of, reward_of, said_by
from stages.runtime.errors import BadInput

FORM = "a contest has contest_id, problems with index and points, and rows with points, penalty and rating"
NAMED = "a problem of a contest has contest_id and index, as those of `r1 prompts codeforces` have"
MOST = 1e12  # points and penalty of a person


class Held:
    """A contest that was held: its people, and what its problems are worth."""

    def __init__(self, row: Record) -> None:
        self.people = [self._person(row, each) for each in _listed(row, "rows")]
        self.worth: dict[str, float | None] = {}
        for each in _listed(row, "problems"):
            points = each.get("points")
            self.worth[_name(row, each, "index", FORM)] = (
                None if points is None else _number(row, each, "points", HARDEST)
            )

    @staticmethod
    def _person(row: Record, each: dict[str, Any]) -> Person:
        penalty = _number(row, each, "penalty", MOST) if "penalty" in each else 0.0
        return Person(_number(row, each, "rating", HARDEST), _number(row, each, "points", MOST), penalty)


def read(rows: Iterable[Record], file: str) -> dict[str, Held]:
    """The contests of `file` by their names. Raises BadInput for a row that is none, or comes twice."""
    held: dict[str, Held] = {}
    for row in rows:
        name = _name(row, row, "contest_id", FORM)
        if name in held:
            raise bad_record(row, f"contest {name} is there twice", "give each once")
        held[name] = Held(row)
    if not held:
        raise BadInput("there is no contest", place=file, remedy=FORM)
    return held


def people(rows: Iterable[Record], file: str) -> list[float]:
    """Ratings of people, sorted: rows with `rating` and maybe `count`, or one object of counts by rating."""
    found: list[float] = []
    for row in rows:
        pairs: list[tuple[Any, Any]] = (
            [(row["rating"], row.get("count", 1))]
            if "rating" in row
            else [(_read(rating), count) for rating, count in row.items()]
        )
        for rating, count in pairs:
            value = _number(row, {"rating": _read(rating)}, "rating", HARDEST)
            times = _read(count)
            if isinstance(times, bool) or not isinstance(times, (int, float)) or times not in range(10**7):
                raise bad_record(row, f"count {count!r} is no number of people", "give rating and count")
            found += [value] * int(times)
    if not found:
        raise BadInput(
            "there are no ratings of people", place=file, remedy="give rows with rating, and maybe count"
        )
    return sorted(found)


class Entering:
    """Takes attempts at problems of contests in the order of `sample`; `decide` says which were accepted."""

    def __init__(self, held: dict[str, Held], decide: str, threshold: float) -> None:
        self.held, self.decide, self.threshold = held, decide, threshold
        self.unjudged: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self._place = ""
        self._tries: dict[str, dict[str, dict[str, list[tuple[float, bool]]]]] = {}

    def add(self, record: Record) -> None:
        """Raises BadInput for a record that has no reward, or is of a problem that no contest here has."""
        contest = _name(record, record, "contest_id", NAMED)
        index = _name(record, record, "index", NAMED)
        model = str(said_by(record, "generate").get("model") or record.get("model") or "-")
        value = reward_of(record, self.decide, "pipe it through r1 score first, or name one with --decide")
        if contest not in self.held:
            raise bad_record(
                record, f"contest {contest} is not in the standings", "add it, or leave this out"
            )
        if index not in self.held[contest].worth:
            raise bad_record(record, f"contest {contest} has no problem {index!r} in the standings", FORM)
        self._place = place_of(record)
        if value is None:
            self.unjudged[model] += 1
            return
        self.attempts[model] += 1
        tries = self._tries.setdefault(model, {}).setdefault(contest, {}).setdefault(index, [])
        sample = record.get("sample", len(tries))
        if isinstance(sample, bool) or not isinstance(sample, int):
            raise bad_record(record, f"field 'sample' of {group_of(record)} is {kind_of(sample)}")
        tries.append((sample, value >= self.threshold))

    def models(self) -> Iterator[tuple[str, list[Contest]]]:
        """Each model with its contests. Raises BadInput where nothing was judged."""
        if not self._tries:
            raise BadInput(
                "no attempt up to here was judged", place=self._place, remedy="give scored completions"
            )
        for model, contests in self._tries.items():
            yield model, [self._entered(name, problems) for name, problems in contests.items()]

    def _entered(self, name: str, problems: dict[str, list[tuple[float, bool]]]) -> Contest:
        held, points, penalty, solved = self.held[name], 0.0, 0.0, 0
        for index, tries in problems.items():
            accepted = [right for _, right in sorted(tries, key=lambda each: each[0])]
            if any(accepted):
                more, longer = score(held.worth[index], accepted.index(True))
                points, penalty, solved = points + more, penalty + longer, solved + 1
        return Contest(held.people, points, penalty, len(problems), solved)


def _listed(row: Record, name: str) -> list[dict[str, Any]]:
    value = row.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise bad_record(row, f"field {name!r} is no list of objects", FORM)
    return value


def _name(row: Record, each: dict[str, Any], name: str, remedy: str) -> str:
    value = each.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise bad_record(row, f"field {name!r} is {kind_of(value) if name in each else 'missing'}", remedy)
    return str(value)


def _number(row: Record, each: dict[str, Any], name: str, most: float) -> float:
    value = each.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= most:
        raise bad_record(row, f"field {name!r} is {value!r}, no number up to {most:g}", FORM)
    return float(value)


def _read(value: Any) -> Any:
    """A number that is written as text, as the cells of a CSV file and the keys of an object are."""
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value
