"""Files for reading that are an error, and no end, where they have become shorter meanwhile."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

BUFFER = 1 << 16


class _Whole(io.FileIO):
    def __init__(self, file: str | Path | int, **options: Any) -> None:
        super().__init__(file, "rb", **options)
        found = os.fstat(self.fileno())
        self._size = found.st_size if stat.S_ISREG(found.st_mode) else 0

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        if count == 0 and self._size and self.tell() < self._size:
            raise OSError("it became shorter while it was read")
        return count

    def readall(self) -> bytes:
        found = super().readall()
        self.readinto(bytearray(1))
        return found


def opened(file: str | Path | int, **options: Any) -> io.BufferedReader:
    """The file, which raises OSError where it ends before its size of now; `options` are io.FileIO's."""
    return io.BufferedReader(_Whole(file, **options), BUFFER)
