"""What a stage returns that people read: figures with a table and a verdict, or text with its looks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

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

    A `failure` ends the command with exit code 1, else what is `lacking` with 69, else input that is `unfit`
    with 65.
    """

    records: list[dict[str, Any]]
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    failure: str | None = None
    lacking: str | None = None
    unfit: str | None = None
    further: list[Table] = field(default_factory=list)


class Styled(str):
    """Whole lines of text, and the look that a terminal gives them. Anywhere else they are the text alone."""

    look: Look

    def __new__(cls, text: str, look: Look = "plain") -> Styled:
        made = super().__new__(cls, text)
        made.look = look
        return made


Looking = Iterator[int | None]  # None while the looking goes on, then the place; it ends where there is none


class View(Protocol):
    """What a reader sees of records: one of them, or all completions of its problem.

    `count` records are known so far, and `error` is what ended them before their end.
    """

    @property
    def count(self) -> int: ...

    @property
    def error(self) -> Exception | None: ...

    def title(self) -> Styled:
        """Which record it is, of how many."""

    def verdict(self) -> Styled:
        """Why it got its rewards, in a line."""

    def body(self) -> Iterator[Styled]:
        """It from top to bottom."""

    def has(self, step: int) -> bool:
        """Whether there is a record so many further on, or back."""

    def go(self, place: int) -> None:
        """Shows the record at `place`."""

    def turn(self, step: int) -> None:
        """Shows the record so many further on, or back."""

    def fold(self) -> None:
        """All of the thinking, or its ends."""

    def group(self) -> None:
        """All completions of the problem, or the one."""

    def wrong(self, step: int) -> Looking:
        """Looks for the next wrong completion, or with -1 for the one before."""

    def holding(self, words: str, step: int) -> Looking:
        """Looks for a record with these words, `step` further on to begin with."""


class Browsable(Iterator[Styled]):
    """Text that a terminal can also show record by record."""

    @abstractmethod
    def view(self) -> View:
        """What a reader sees at first."""
