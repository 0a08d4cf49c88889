"""One run at a time: where two would write the same output, the second is refused."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from stages.runtime.errors import UsageError


def hold(handle: int, name: str) -> None:
    """Keeps the file or directory open as `handle` from other processes until it is closed or this one ends.

    Raises UsageError where another process has it. A file system that knows no locks keeps none.
    """
    # lockf's are not inherited, so a child that outlives a killed run does not keep them; but they need a
    # handle to write with, which no directory gives.
    lock = fcntl.flock if stat.S_ISDIR(os.fstat(handle).st_mode) else fcntl.lockf
    try:
        lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise UsageError(
                f"another run is writing {name}; wait for its end, or choose another -o"
            ) from None
