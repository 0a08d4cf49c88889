"""What a reward returns: a number, or null where it could not judge, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Verdict(NamedTuple):
    """`value` is None where the completion could not be judged: never a silent 0."""

    value: float | None
    reason: str


class Counts(NamedTuple):
    """A verdict made of several figures: each of `parts` is recorded, too, as `<reward>/<part>`."""

    value: float | None
    reason: str
    parts: Mapping[str, float]


# (record, options, expected value): one shared test runs them all. For a group reward the record
# is the list of the group's records, and the value the list of theirs.
Example = tuple[Any, dict[str, Any], Any]
