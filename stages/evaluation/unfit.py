"""Problems that a model's context does not hold: they are named, and the others are measured.

A problem that cannot be asked at all has no completion, and is unjudged. Where a later prompt of a
conversation does not fit, the conversation ends there and is judged (scoring/again.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from stages.records.record import Record, group_of, place_of
from stages.runtime.errors import TooLong
from stages.runtime.report import Report

NAMED = 20  # problems that have a line of their own
UNASKED, ENDED = "unasked", "ended_early"
WORDS = {UNASKED: "it is not asked, and unjudged", ENDED: "the conversation ends there"}
REMEDY = "give a model of a longer context, or leave such problems out"


@dataclass
class Unfit:
    """What did not fit, problem by problem, with the error that it is for the first."""

    report: Report
    found: dict[tuple[str, str], TooLong] = field(default_factory=dict)

    def look(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records. Names each problem that did not fit, up to NAMED of them."""
        for record in records:
            kind = next((kind for kind in WORDS if record.get(kind)), None)
            if kind is not None and (key := (kind, group_of(record))) not in self.found:
                place = place_of(record)
                self.found[key] = TooLong(record[kind], place=place, remedy=REMEDY)
                if len(self.found) <= NAMED:
                    self.report.note(f"{place}: problem {key[1]!r}: {record[kind]}; {WORDS[kind]}")
            yield record

    def first(self) -> TooLong:
        """The error, for where nothing fits."""
        return next(iter(self.found.values()))

    def told(self) -> str | None:
        """How many there were, as the last word of a run; None for none."""
        counts = [sum(kind == each for each, _ in self.found) for kind in WORDS]
        forms = ("{} not asked", "{} whose conversation ended early")
        said = [form.format(count) for form, count in zip(forms, counts, strict=True) if count]
        if not said:
            return None
        return f"problems that the model's context does not hold: {', '.join(said)}; {REMEDY}"
