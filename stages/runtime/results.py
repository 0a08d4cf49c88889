"""What a stage returns that people read: figures with a table and a verdict, or text with its looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Look = Literal["plain", "title", "name", "dim", "good", "bad"]


@dataclass(frozen=True)
class Table:
    """Text in columns, for people."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Results:
    """`records` go to stdout as JSONL, the table to stderr, after it those in `further`.

    A `failure` ends the command with exit code 1, else what is `lacking` with 69.
    """

    records: list[dict[str, Any]]
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    failure: str | None = None
    lacking: str | None = None
    further: list[Table] = field(default_factory=list)


class Styled(str):
    """Whole lines of text, and the look that a terminal gives them. Anywhere else they are the text alone."""

    look: Look

    def __new__(cls, text: str, look: Look = "plain") -> Styled:
        made = super().__new__(cls, text)
        made.look = look
        return made
