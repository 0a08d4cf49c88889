"""Compressed files, read to their end or refused: one that is cut short or damaged never passes for a whole
one.

Members or frames may follow one another, as `cat a.gz b.gz` and `zstd`'s own tools write them.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from stages.runtime.errors import Unavailable

PIECE = 1 << 13  # bytes read at once; at zstd's best ratio they become a hundred megabytes
REMEDY = "copy it, or compress it, again"


class Unpacked(io.RawIOBase):
    """What `packed` holds. `frame` makes what unpacks one frame; `broken` is what that raises.

    Reading raises OSError where a frame is damaged, or the file ends within one.
    """

    def __init__(
        self, packed: IO[bytes], frame: Callable[[], Any], broken: type[Exception], padding: bytes
    ) -> None:
        self._packed, self._new, self._broken, self._padding = packed, frame, broken, padding
        self._frame: Any = None
        self._left, self._ready = b"", memoryview(b"")
        self._read = False  # whether a frame has been read to its end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._unpack():
            pass
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpack(self) -> bool:
        """Unpacks a piece more; False at the end of the last frame."""
        piece = self._left or self._packed.read(PIECE)
        self._left = b""
        if self._frame is None:
            if self._read:
                if not piece:
                    return False
                piece = piece.lstrip(self._padding)
                if not piece:
                    return True
            self._frame = self._new()
        if not piece:
            raise OSError(f"the compressed data are cut short; {REMEDY}")
        try:
            self._ready = memoryview(self._frame.decompress(piece))
        except self._broken as error:
            raise OSError(f"the compressed data are damaged ({error}); {REMEDY}") from None
        if self._frame.eof:
            self._left, self._frame, self._read = self._frame.unused_data, None, True
        return True


def endings(name: str | Path) -> tuple[str, str]:
    """What a file's name says of its kind and of its packing: (".jsonl", ".gz") of `A.JSONL.GZ`, else ""."""
    path = Path(name)
    packing = path.suffix.lower() if path.suffix.lower() in (".gz", ".zst") else ""
    return Path(path.stem if packing else path.name).suffix.lower(), packing


def unpacked(packed: IO[bytes], name: str) -> IO[bytes]:
    """The bytes of a file called `name`, unpacked where it ends in .gz or .zst. Raises Unavailable without
    zstandard.
    """
    packing = endings(name)[1]
    if packing == ".gz":
        raw = Unpacked(packed, lambda: zlib.decompressobj(wbits=31), zlib.error, b"\0")
    elif packing == ".zst":
        library = zstd()
        raw = Unpacked(packed, lambda: library.ZstdDecompressor().decompressobj(), library.ZstdError, b"")
    else:
        return packed
    return cast(IO[bytes], io.BufferedReader(raw, 1 << 17))


def zstd() -> Any:
    """The library. Raises Unavailable where it is not installed."""
    try:
        import zstandard
    except ImportError:
        raise Unavailable("reading .zst needs zstandard", install="pip install zstandard") from None
    return zstandard
