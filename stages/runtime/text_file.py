"""Short texts that the user wrote in files: a template, a configuration, a question to a judge."""

from __future__ import annotations

import re
from pathlib import Path

from stages.runtime.errors import StreamError, UsageError

LARGEST = 1 << 24  # bytes: what is larger is no such text, and a device has no end
INSIDE = re.compile(r"(?!.*\.\.)[\w.-]+(?:/[\w.-]+)*")  # a file's name that leads to no other folder


def read(path: str | Path) -> str:
    """The file's text, without a byte order mark.

    Raises StreamError where it cannot be read, UsageError where it is no text in UTF-8.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise StreamError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    if len(data) > LARGEST:
        raise UsageError(f"{path}: more than {LARGEST >> 20} MiB are no such text; see its name")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8 ({error.reason}); save it as UTF-8") from None
