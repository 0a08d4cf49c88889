"""The distributions of fields, by file, group and field: record after record, or many records at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stages.overview import columns, fields
from stages.overview.columns import Rows
from stages.overview.distribution import Distribution
from stages.overview.pass_rates import PassRates
from stages.records.record import Record, bad_record, group_of, kind_of, object_of
from stages.runtime.errors import BadInput, UsageError, nearest

RATE = "pass_rate"
LARGEST = 2.0**63  # of integers that are read as such, digit by digit
MOST = 1000  # distributions that are kept at a time


class Asked(NamedTuple):
    """What is counted: `names` (() stands for the usual fields), apart for each value of `by`.

    `judge` says whether a completion is correct, by the first of `rewards` that it has: at least `threshold`.
    """

    names: tuple[str, ...]
    by: str | None
    rewards: tuple[str, ...]
    threshold: float
    judge: Callable[[Record], bool | None]


@dataclass
class Part:
    """The records of one file and one value of --by."""

    file: str
    group: Any
    records: int = 0
    found: dict[str, Distribution] = field(default_factory=dict)
    rates: PassRates | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it apart: 1, true and "1" are not the same."""
        return self.file, f"{kind_of(self.group)} {self.group}"


class Counting:
    """All distributions, by file, group and field."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.records = self.kept = 0
        self.names: dict[str, None] = {}
        self.parts: dict[tuple[str, str], Part] = {}
        self._named = tuple(name for name in asked.names if name != RATE)
        self._rates = not asked.names or RATE in asked.names
        self._by = asked.by.split(".") if asked.by is not None else None
        self._met: dict[str, None] = {}
        self._before: Counting | None = None

    def knows(self, other: Counting) -> bool:
        """Whether `join` is exact: `other` has counted every text that is counted here."""
        return all(
            known.knows(found)
            for key, part in other.parts.items()
            for name, found in part.found.items()
            if (known := self._known(key, name)) is not None
        )

    def follow(self, before: Counting) -> None:
        """Will count the texts that `before` counts, which `join` is called on later."""
        self._before = before
        for key, part in self.parts.items():
            for name, found in part.found.items():
                if (known := before._known(key, name)) is not None:
                    found.expect(known)

    def _known(self, key: tuple[str, str], name: str) -> Distribution | None:
        part = self.parts.get(key)
        return None if part is None else part.found.get(name)

    def add(self, record: Record) -> None:
        """Counts one record. Raises BadInput where it cannot be, UsageError for too many distributions."""
        self._meet(record)
        self.records += 1
        part = self._part(record.place.rpartition(":")[0], self._group(record))
        part.records += 1
        for name, value in fields.asked(record, self._named) if self.asked.names else fields.usual(record):
            self._distribution(part, name).add(value)
        rewards = object_of(record.get("rewards")) if self._rates else {}
        if not rewards.keys().isdisjoint(self.asked.rewards):
            right = self.asked.judge(record)
            if right is not None:
                part.rates = part.rates or PassRates()
                part.rates.add(group_of(record), right)

    def add_all(self, rows: Rows, shapes: Sequence[tuple[str, ...]], file: str) -> bool:
        """Counts records of `file`, whose fields are in `shapes`.

        False, and nothing is counted, where one must be looked at alone.
        """
        made = []
        try:
            parts = list(self._alike(rows, shapes))
        except BadInput:
            return False
        for group, alike in parts:
            if isinstance(group, float) and abs(group) >= LARGEST:
                return False
            usual = None if self.asked.names else fields.UNIQUE
            found = columns.of_records(alike, self._named, usual)
            judged = self._judged(alike) if self._rates else ([], [])
            if found is None or judged is None:
                return False
            made.append((group, alike, found, judged))
        for group, alike, found, (problems, rights) in made:
            self._meet(alike[0])
            self.records += len(alike)
            part = self._part(file, group)
            part.records += len(alike)
            for column in found:
                column.into(self._distribution(part, column.name))
            if problems:
                part.rates = part.rates or PassRates()
                part.rates.add_all(problems, rights)
        return True

    def join(self, other: Counting) -> None:
        """Adds what `other` has counted, as if it came after all here."""
        self._met.update(other._met)
        self.records += other.records
        for part in other.parts.values():
            mine = self._part(part.file, part.group)
            mine.records += part.records
            if part.rates is not None:
                mine.rates = mine.rates or PassRates()
                mine.rates.join(part.rates)
        for name in other.names:
            for part in other.parts.values():
                if name in part.found:
                    mine = self._part(part.file, part.group)
                    self._distribution(mine, name).join(part.found[name])

    def _meet(self, record: Mapping[str, Any]) -> None:
        if self.asked.names and self.records <= MOST:
            self._met.update(dict.fromkeys(record))

    def _distribution(self, part: Part, name: str) -> Distribution:
        known = part.found.get(name)
        if known is None:
            known = part.found[name] = Distribution()
            before = self._before and self._before._known(part.key, name)
            if before:
                known.expect(before)
            self.names.setdefault(name)
            self._limit()
        return known

    def _group(self, record: Record) -> Any:
        """The value of --by; None where there is none."""
        if self._by is None:
            return None
        value = fields.at(record, self._by)
        if value is fields.MISSING and self.asked.by in fields.COUNTED:
            value = fields.COUNTED[self.asked.by].of(record)
        if isinstance(value, (dict, list)):
            what = f"field {self.asked.by!r} is {kind_of(value)}"
            raise bad_record(record, what, "give --by a field of numbers or texts")
        return None if value is fields.MISSING else value

    def _part(self, file: str, group: Any) -> Part:
        made = Part(file, group)
        found = self.parts.setdefault(made.key, made)
        if found is made:
            self._limit()
        return found

    def _limit(self) -> None:
        self.kept += 1
        if self.kept > MOST:
            remedy = "give --by a field of fewer values, or fewer --field"
            raise UsageError(f"more than {MOST} distributions of fields, files and groups; {remedy}")

    def _alike(self, rows: Rows, shapes: Sequence[tuple[str, ...]]) -> Iterator[tuple[Any, Rows]]:
        """The records of each value of --by that have the same fields, rewards and reasons, and the value."""
        keys: Sequence[Any] = shapes
        groups: list[Any] = [None] * len(rows)
        if self._by is not None:
            groups = [self._group(Record(row)) for row in rows]
            keys = [(key, f"{kind_of(group)} {group}") for key, group in zip(keys, groups, strict=True)]
        for name in fields.DESCENDED:
            values = [row[name] for row in rows if name in row]
            objects = len(values) == len(rows) and set(map(type, values)) == {dict}
            if values and not (objects and len(set(map(tuple, values))) == 1):
                inside = [tuple(found) if type(found := row.get(name)) is dict else () for row in rows]
                keys = [*zip(keys, inside, strict=True)]
        if len(set(keys)) == 1:
            yield groups[0], rows
            return
        apart: dict[Any, list[int]] = {}
        for place, key in enumerate(keys):
            apart.setdefault(key, []).append(place)
        for places in apart.values():
            yield groups[places[0]], [rows[place] for place in places]

    def _judged(self, rows: Rows) -> tuple[list[str], list[bool]] | None:
        """The problems of the completions that are judged, and whether each is correct; None where it must be
        asked of each alone.
        """
        if "rewards" not in rows[0]:
            return [], []
        rewards = [row["rewards"] for row in rows]
        if set(map(type, rewards)) != {dict}:
            return None
        name = next((each for each in self.asked.rewards if each in rewards[0]), None)
        if name is None:
            return [], []
        values = [each[name] for each in rewards]
        problems = [row["group"] for row in rows] if "group" in rows[0] else []
        if set(map(type, problems)) != {str} or not set(map(type, values)) <= {float, int, type(None)}:
            return None
        if None in values:
            problems = [name for name, value in zip(problems, values, strict=True) if value is not None]
            values = [value for value in values if value is not None]
        return problems, [value >= self.asked.threshold for value in values]

    def check(self) -> None:
        """Raises UsageError for a field that none of the records has."""
        if not self.records:
            return
        for name in self._named:
            if not any(each == name or each.startswith(f"{name}.") for each in self.names):
                hint = nearest(name, (*self._met, *fields.COUNTED, RATE))
                raise UsageError(f"--field {name}: no record has that field{hint}")
        if self._by is not None and all(part.group is None for part in self.parts.values()):
            raise UsageError(f"--by {self.asked.by}: no record has that field")
        if RATE in self.asked.names and not any(part.rates for part in self.parts.values()):
            names = " or ".join(self.asked.rewards)
            raise UsageError(f"--field {RATE}: no record has a reward {names}; run r1 score first")

    def lines(self) -> Iterator[dict[str, Any]]:
        """The figures of each field, file after file and group after group."""
        rates = {id(part): part.rates.distribution() for part in self.parts.values() if part.rates}
        several = len({part.file for part in self.parts.values()}) > 1
        for name in (*self.names, *([RATE] if rates and RATE not in self.names else [])):
            for part in self.parts.values():
                found = part.found.get(name) or (rates.get(id(part)) if name == RATE else None)
                if found is None:
                    continue
                told = found.figures()
                line: dict[str, Any] = {"field": name}
                if several:
                    line["file"] = part.file
                if self._by is not None:
                    line["by"] = part.group
                counted = told["numbers"] + told["texts"] + told["null"]
                line["records"] = part.records
                line["missing"] = part.records - counted if name in part.found else 0
                yield line | told
