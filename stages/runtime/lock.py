"""One run at a time: where two would write the same output, the second is refused."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
from pathlib import Path

from stages.runtime.errors import UsageError

# Of `struct flock`: type, whence, start, length, process; in another order on macOS.
FLOCK = "qqihh" if sys.platform == "darwin" else "hhqqi"


def held(path: Path) -> bool:
    """Whether another process has the file by `hold`; asks the system and takes no lock.

    False where there is no such file, and on a file system that knows no locks.
    """
    kind, rest = fcntl.F_WRLCK, (0, 0, 0)  # from its beginning, all of it
    asked = (*rest, kind, 0) if sys.platform == "darwin" else (kind, 0, *rest)
    try:
        with open(path, "rb") as file:
            said = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(FLOCK, *asked))
    except OSError:
        return False
    found = struct.unpack(FLOCK, said)
    return bool(found[3 if sys.platform == "darwin" else 0] != fcntl.F_UNLCK)


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
