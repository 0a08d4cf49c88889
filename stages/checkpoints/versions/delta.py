"""What changed of a tensor from one version to the next: which of its numbers, and the XOR of each.

Of bfloat16 weights one step of training changes a few in a hundred; of float32 nearly all, in their low bits.
So the frame says by a bit for each number whether it changed, and then has the changed ones only, all their
first bytes before all their second ones, which zstd packs better than numbers side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

LEVEL = 1  # of zstd; 3 makes frames no smaller, and takes longer

Numbers = NDArray[Any]  # unsigned, of 2 or 4 bytes: the bit patterns of a tensor, `[n]`


def between(old: Numbers, new: Numbers) -> bytes:
    """A frame of zstd that makes `new` of `old`: `[n]` bits, least significant first, and the XOR of the
    numbers whose bit is set, byte by byte of all of them.
    """
    differs = old ^ new
    changed = differs != 0
    planes = differs[changed].view(np.uint8).reshape(-1, old.itemsize).T
    packed = np.packbits(changed, bitorder="little").tobytes() + planes.tobytes()
    return zstandard.ZstdCompressor(level=LEVEL).compress(packed)


def apply(frame: bytes, held: Numbers) -> None:
    """Makes the next version of `held`, in its place. Raises ValueError where `frame` is none for it."""
    most = -(-len(held) // 8) + held.nbytes
    try:
        if not 0 <= zstandard.frame_content_size(frame) <= most:  # a few bytes may claim to be gigabytes
            raise ValueError("it says another size than its tensor has")
        packed = np.frombuffer(zstandard.ZstdDecompressor().decompress(frame), np.uint8)
    except zstandard.ZstdError as error:
        raise ValueError(f"no frame of zstd ({error})") from None
    bits = -(-len(held) // 8)
    if len(packed) < bits:
        raise ValueError("it ends early")
    changed = np.unpackbits(packed[:bits], count=len(held), bitorder="little").view(np.bool_)
    if len(packed) - bits != np.count_nonzero(changed) * held.itemsize:
        raise ValueError("it has another number of changes than it says")
    planes = packed[bits:].reshape(held.itemsize, -1)
    held[changed] ^= np.ascontiguousarray(planes.T).view(held.dtype).reshape(-1)
