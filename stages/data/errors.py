"""The errors a stage may raise, each with the exit code the command line ends with.

Codes follow sysexits.h where it has one. A message says what is wrong, where, and what to do.
"""

from __future__ import annotations


class R1Error(Exception):
    """The run failed: exit code 1."""

    code = 1


class UsageError(R1Error):
    """The options do not make sense together: exit code 2."""

    code = 2


class BadInput(R1Error):
    """A record or file cannot be used: exit code 65. `place` is `FILE:LINE` where it is known."""

    code = 65

    def __init__(self, what: str, *, place: str = "", remedy: str = "") -> None:
        self.place, self.what, self.remedy = place, what, remedy
        super().__init__(f"{place}: {what}" if place else what, remedy)

    def __str__(self) -> str:
        return str(self.args[0]) + (f"; {self.remedy}" if self.remedy else "")


class Unavailable(R1Error):
    """A backend, extra, model or device is missing: exit code 69. `install` is the command that mends it."""

    code = 69

    def __init__(self, what: str, *, install: str = "") -> None:
        self.what, self.install = what, install
        super().__init__(what + (f"; install it with: {install}" if install else ""))


class StreamError(R1Error):
    """Reading or writing failed, a full disk among others: exit code 74."""

    code = 74


class Forsaken(R1Error):
    """Another process of the run is gone; whoever started them knows which, and why: exit code 1."""


class DryRun(R1Error):
    """`--dry-run` has said what it had to say, and the run ends well: exit code 0."""

    code = 0
