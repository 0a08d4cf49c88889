"""One run at a time: where two would write the same output, the second is refused."""

from __future__ import annotations

import errno
import fcntl
from typing import IO, Any

from stages.data.errors import UsageError


def hold(stream: IO[Any], name: str) -> None:
    """Keeps the file open in `stream` from other processes until it is closed or this process ends.

    Raises UsageError where another process has it. A file system that knows no locks keeps none.
    """
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise UsageError(
                f"another run is writing {name}; wait for its end, or choose another -o"
            ) from None
