"""Exit codes of a run that no error of `stages.runtime.errors` ended: 74, or 128 + the signal, as shells
count."""

from __future__ import annotations

READ_OR_WRITE = 74
INTERRUPTED = 130
BROKEN_PIPE = 141


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: everything is closed on the way out, as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number
