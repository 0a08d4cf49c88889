"""Count what records hold: shares, means, quantiles and histograms of rewards, reasons, lengths, any field.

Without --field: all numbers, rewards, kinds of reasons, finish, language asked for, kind, why a record was
dropped, length, and the pass rate by problem. Several files are told beside each other, and with --by so are
groups. Memory is bounded: quantiles of more than 2,048 different numbers are off by at most 1 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from stages.formats.foreign import as_records
from stages.overview import fields
from stages.overview.distribution import Distribution
from stages.overview.pass_rates import PassRates
from stages.overview.values import clipped, number, short
from stages.records.record import Record, bad_record, group_of, kind_of, object_of
from stages.runtime.errors import UsageError, nearest
from stages.runtime.report import SILENT, Report
from stages.runtime.results import Results
from stages.selection.rules import correct
from stages.settings.criteria import RewardName, Selection, Threshold
from stages.settings.options import Doc, Flag

EXAMPLES = (
    "r1 stats scored.jsonl",
    "r1 stats --field reward --field tokens --by finish scored.jsonl",
    "r1 stats --field rewards sft.jsonl zero.jsonl | jq '{field, file, mean}'",
)
RATE = "pass_rate"
MOST = 1000  # distributions that are kept at a time
BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = ["field", "file", "by", "count", "null", "mean", "min", "5 %", "median", "95 %", "max", "values"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is counted, and of which groups."""

    field: Annotated[
        tuple[str, ...],
        Doc("Count this field; a.b is a field of a field, and an object stands for its fields. Also tokens, "
            "characters, thinking, language, pass_rate. Repeatable."),
        Flag("--field", metavar="NAME"),
    ] = ()  # fmt: skip
    by: Annotated[
        str | None,
        Doc("Count the records of each value of this field apart."),
        Flag("--by", metavar="NAME"),
    ] = None
    reward_name: RewardName = ("accuracy",)
    threshold: Threshold = 0.5


@dataclass
class Part:
    """The records of one file and one value of --by."""

    file: str
    group: Any
    records: int = 0
    found: dict[str, Distribution] = field(default_factory=dict)
    rates: PassRates | None = None


def run(
    records: Iterable[Record],
    settings: Settings = Settings(),
    *,
    report: Report = SILENT,
) -> Results:
    """A line for each field, file and group, in the order in which they were met.

    Raises UsageError for a field that no record has and for too many groups, BadInput for a group that is no
    value.
    """
    for flag, names in (
        ("--field", settings.field),
        ("--by", (settings.by,) if settings.by is not None else ()),
    ):
        for name in names:
            if not name or "" in name.split("."):
                raise UsageError(f"{flag} {name!r}: must be the name of a field")
    counting = _Counting(settings)
    report.start(None, "records")
    for record in as_records(records, report):
        counting.add(record)
        report.advance()
    counting.check()
    lines = list(counting.lines())
    report.summary(f"{counting.records} records, {len(counting.names)} fields")
    columns, rows = _table(lines)
    return Results(lines, "Fields of records", columns, rows)


class _Counting:
    """All distributions, by file, group and field."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.records = self.kept = 0
        self.names: dict[str, None] = {}
        self.parts: dict[tuple[str, str], Part] = {}
        self._chosen = Selection(reward_name=settings.reward_name, threshold=settings.threshold)
        self._asked = tuple(name for name in settings.field if name != RATE)
        self._rates = not settings.field or RATE in settings.field
        self._by = settings.by.split(".") if settings.by is not None else None
        self._met: dict[str, None] = {}

    def add(self, record: Record) -> None:
        """Counts one record."""
        self.records += 1
        part = self._part(record)
        part.records += 1
        asked = self.settings.field
        for name, value in fields.asked(record, self._asked) if asked else fields.usual(record):
            known = part.found.get(name)
            if known is None:
                known = part.found[name] = Distribution()
                self.names.setdefault(name)
                self._limit()
            known.add(value)
        if self._rates and not object_of(record.get("rewards")).keys().isdisjoint(self._chosen.reward_name):
            self._judge(part, record)
        if asked and self.records <= MOST:
            self._met.update(dict.fromkeys(record))

    def _part(self, record: Record) -> Part:
        file = record.place.rpartition(":")[0]
        value = None
        if self._by is not None:
            value = fields.at(record, self._by)
            if value is fields.MISSING and self.settings.by in fields.COUNTED:
                value = fields.COUNTED[self.settings.by].of(record)
            value = None if value is fields.MISSING else value
            if isinstance(value, (dict, list)):
                what = f"field {self.settings.by!r} is {kind_of(value)}"
                raise bad_record(record, what, "give --by a field of numbers or texts")
        key = file, f"{kind_of(value)} {value}"
        found = self.parts.get(key)
        if found is None:
            found = self.parts[key] = Part(file, value)
            self._limit()
        return found

    def _limit(self) -> None:
        self.kept += 1
        if self.kept > MOST:
            remedy = "give --by a field of fewer values, or fewer --field"
            raise UsageError(f"more than {MOST} distributions of fields, files and groups; {remedy}")

    def _judge(self, part: Part, record: Record) -> None:
        right = correct(record, self._chosen)
        if right is not None:
            part.rates = part.rates or PassRates()
            part.rates.add(group_of(record), right)

    def check(self) -> None:
        """Raises UsageError for a field that none of the records has."""
        if not self.records:
            return
        for name in self._asked:
            if not any(each == name or each.startswith(f"{name}.") for each in self.names):
                hint = nearest(name, (*self._met, *fields.COUNTED, RATE))
                raise UsageError(f"--field {name}: no record has that field{hint}")
        if self._by is not None and all(part.group is None for part in self.parts.values()):
            raise UsageError(f"--by {self.settings.by}: no record has that field")
        if RATE in self.settings.field and not any(part.rates for part in self.parts.values()):
            names = " or ".join(self.settings.reward_name)
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


def _table(lines: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Its columns, without those that are empty, and a row for each line."""
    rows = [_row(line) for line in lines]
    used = [k for k, _ in enumerate(COLUMNS) if k == 0 or any(row[k] for row in rows)]
    return [COLUMNS[k] for k in used], [[row[k] for k in used] for row in rows]


def _row(line: dict[str, Any]) -> list[str]:
    ranks = line.get("quantiles", {})
    told = [ranks.get("0.05"), ranks.get("0.5"), ranks.get("0.95")]
    middle = [line.get("mean"), line.get("min"), *told, line.get("max")]
    return [
        short(line["field"]),
        short(line.get("file", "")),
        short(line["by"]) if "by" in line else "",
        str(line["numbers"] + line["texts"]),
        str(line["null"]) if line["null"] else "",
        *("" if value is None else number(value) for value in middle),
        _values(line),
    ]


def _values(line: dict[str, Any]) -> str:
    """A bar for each part of a histogram, and the share of each text."""
    told = []
    counts = [bar[2] for bar in line.get("histogram", ())]
    if len(counts) > 1:
        most = max(counts)
        told.append("".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in counts))
    whole = line["numbers"] + line["texts"]
    shares = {**line.get("values", {}), **({"others": line["others"]} if line.get("others") else {})}
    told += [
        f"{clipped(short(text), 40)} {count / whole:.1%}".replace("%", " %") for text, count in shares.items()
    ]
    return clipped(", ".join(told), 300)
