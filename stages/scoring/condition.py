"""`if CONDITION` behind a reward: for which problems it holds, and at which steps of a run of training.

The language of `filter --where`, over the fields of the problem; `step` is the step of the run, from 1. What
a completion adds to its problem cannot be asked: all completions of a problem have the same rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stages.records.record import Record
from stages.records.references import ANSWERED
from stages.records.where import Where
from stages.runtime.errors import UsageError, nearest

STEP = "step"


class Condition:
    """A compiled condition; remembers which of its fields no problem has had."""

    def __init__(self, text: str, spec: str) -> None:
        """Raises UsageError for what is no condition on a problem."""
        self.said = f"--reward {spec}"
        self.where = Where(text, f"{self.said}: if")
        made = sorted(self.where.names & ANSWERED)
        if made:
            raise UsageError(
                f"{self.said}: {made[0]} is of the completion, and a reward holds for all completions of a "
                "problem or for none; name a field of the problem"
            )
        self.timed = STEP in self.where.names
        self.names = self.where.names - {STEP}
        self._due = self.where.due - {STEP}
        self._seen: set[str] = set()

    def __call__(self, record: Record, step: int | None) -> bool:
        """Whether it holds for the record's problem. Raises BadInput where types do not fit."""
        self.look(record)
        return self.where(record.adding(**{STEP: step}) if self.timed else record)

    def look(self, record: Record) -> None:
        """Remembers which fields the record has."""
        if self._due:
            self._due -= record.keys()
            self._seen |= record.keys()

    def check(self) -> None:
        """After the last problem: raises UsageError for a field that none of them had."""
        if self._due and self._seen:
            name = min(self._due)
            hint = nearest(name, self._seen) or f"; they have {', '.join(sorted(self._seen))}"
            raise UsageError(f"{self.said}: no record has a field {name!r}{hint}")


def key_of(conditions: Sequence[Condition], problem: dict[str, Any]) -> str:
    """Equal for problems that no condition can tell apart."""
    names = sorted({name for each in conditions for name in each.names})
    return repr([(name, problem.get(name)) for name in names])
