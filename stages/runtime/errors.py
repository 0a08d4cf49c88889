"""The errors a stage may raise, each with the exit code the command line ends with.

Codes follow sysexits.h where it has one. A message says what is wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

ALIKE = 0.7  # of difflib's ratio: two of five letters may differ, and half of them may not


class R1Error(Exception):
    """The run failed: exit code 1. `common` says that every process of the run ends with this error."""

    code = 1
    common = False


class UsageError(R1Error):
    """The options do not make sense together: exit code 2."""

    code = 2


class BadInput(R1Error):
    """A record or file cannot be used: exit code 65. `place` is `FILE:LINE` where it is known."""

    code = 65

    def __init__(self, what: str, *, place: str = "", remedy: str = "") -> None:
        self.place, self.what, self.remedy = place, what, remedy
        super().__init__(f"{place}: {what}" if place else what, remedy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes get all of it."""
        return partial(type(self), place=self.place, remedy=self.remedy), (self.what,)

    def __str__(self) -> str:
        return str(self.args[0]) + (f"; {self.remedy}" if self.remedy else "")


class TooLong(BadInput):
    """A prompt that the model's context does not hold."""


class NoRecords(BadInput):
    """The records given are none, or none of use. Whoever gave them knows where they come from."""


class Unavailable(R1Error):
    """A backend, extra, model or device is missing: exit code 69. `install` is the command that mends it."""

    code = 69

    def __init__(self, what: str, *, install: str = "") -> None:
        self.what, self.install = what, install
        super().__init__(what + (f"; install it with: {install}" if install else ""))


class StreamError(R1Error):
    """Reading or writing failed, a full disk among others: exit code 74."""

    code = 74


class PeerLost(R1Error):
    """Another process of the run is gone; whoever started them knows which, and why: exit code 1."""


class DryRun(R1Error):
    """`--dry-run` has said what it had to say, and the run ends well: exit code 0."""

    code = 0


@contextmanager
def naming(what: str, path: object) -> Iterator[None]:
    """Raises StreamError, `cannot {what} {path}`, where the system fails in the block. A broken pipe stays
    one.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StreamError(f"cannot {what} {path}: {error.strerror or error}") from error


def said(error: BaseException) -> str:
    """What a library's error says, on one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def near(name: str, among: Iterable[str], most: int = 1) -> list[str]:
    """The names that may be meant by one that is none: a slip of a few letters, or a beginning of three."""
    import difflib

    known = sorted(among)
    folded = {each.casefold(): each for each in known}
    given = name.casefold()
    close = difflib.get_close_matches(given, folded, most, ALIKE)
    begun = [each for each in folded if len(given) > 2 and each.startswith(given)]
    return [folded[each] for each in dict.fromkeys([*close, *begun])][:most]


def nearest(name: str, among: Iterable[str]) -> str:
    """What a message about an unknown name ends with: the one that may be meant, or nothing."""
    found = near(name, among)
    return f"; did you mean {found[0]}?" if found else ""
