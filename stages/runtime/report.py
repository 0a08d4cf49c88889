"""How a stage says what it is doing, without knowing about terminals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from stages.runtime.results import Styled


class Report(Protocol):
    """Given to a stage by its caller; the command line draws it on stderr."""

    def start(self, total: int | None, unit: str) -> None:
        """A phase begins: `total` units of work, or None where the input is a stream."""

    def advance(self, steps: int = 1, **fields: float | str) -> None:
        """`steps` units are done; `fields` are the figures worth a look, such as loss or reward."""

    def note(self, message: str) -> None:
        """Something the user should know now, in one line."""

    def summary(self, message: str) -> None:
        """The last line of the stage, such as `kept 412 of 2048 (20.1 %)`."""

    def picture(self, frame: Callable[[int, int], list[Styled]]) -> bool:
        """Draws what `frame` makes for so many columns and rows, over what it drew before.

        False where there is no terminal to draw on.
        """

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """A result for people; the same figures are in the records."""


class Silent:
    """A `Report` that says nothing: the default of the Python interface."""

    def start(self, total: int | None, unit: str) -> None: ...

    def advance(self, steps: int = 1, **fields: float | str) -> None: ...

    def note(self, message: str) -> None: ...

    def summary(self, message: str) -> None: ...

    def picture(self, frame: Callable[[int, int], list[Styled]]) -> bool:
        return False

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None: ...


SILENT: Report = Silent()


def described(figures: Mapping[str, Any]) -> str:
    """`name value` pairs for one line of text: floats with four significant digits."""
    return " ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )


def speed(tokens: float | None, seconds: float | None) -> str:
    """`, 512 tokens per second`, for the end of a line; nothing where either is not known."""
    return f", {tokens / seconds:.4g} tokens per second" if tokens and seconds else ""


def duration(seconds: float) -> str:
    """A time for people: `42 s`, `7 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
