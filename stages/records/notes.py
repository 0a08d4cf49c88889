"""What is worth saying of some records, said once at the end and not for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stages.records.record import place_of
from stages.runtime.report import Report


@dataclass
class Notes:
    """What is worth saying of some records: how many they are, and which was the first."""

    found: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, what: str, record: dict[str, Any]) -> None:
        """One more record of which `what` is true."""
        count, first = self.found.get(what, (0, place_of(record)))
        self.found[what] = (count + 1, first)

    def tell(self, report: Report) -> None:
        """A line for each."""
        for what, (count, first) in self.found.items():
            report.note(f"{count} record{'s' * (count > 1)}, first {first}: {what}")
