"""The share of correct completions of each problem, in 16 bytes for each run of a problem's records."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from stages.overview.distribution import Distribution


class PassRates:
    """Takes verdicts in any order; a problem whose records stand apart is one problem all the same."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._right = self._judged = 0
        self._names, self._rights, self._counts = array("q"), array("I"), array("I")

    def add(self, name: str, right: bool) -> None:
        """A completion of the problem `name`, and whether it is correct."""
        if name != self._name:
            self._close()
            self._name = name
        self._right += right
        self._judged += 1

    def add_all(self, names: Sequence[str], rights: Sequence[bool]) -> None:
        """Completions that follow one another: their problems, and whether each is correct."""
        import numpy as np

        self._close()
        marks = np.fromiter(map(hash, names), dtype=np.int64, count=len(names))
        firsts = np.flatnonzero(np.diff(marks, prepend=marks[:1] ^ 1))
        self._names.frombytes(marks[firsts].tobytes())
        self._rights.frombytes(np.add.reduceat(rights, firsts, dtype=np.uint32).tobytes())
        self._counts.frombytes(np.diff(firsts, append=len(marks)).astype(np.uint32).tobytes())

    def join(self, other: PassRates) -> None:
        """Adds what `other` has taken in this process, or in one that it was forked from."""
        for each in (self, other):
            each._close()
        self._names += other._names
        self._rights += other._rights
        self._counts += other._counts

    def distribution(self) -> Distribution:
        """Of the rates, one for each problem."""
        import numpy as np  # 60 ms of each start

        self._close()
        found = Distribution()
        if self._names:
            names, rights, counts = (np.array(each) for each in (self._names, self._rights, self._counts))
            order = names.argsort(kind="stable")
            firsts = np.flatnonzero(np.diff(names[order], prepend=names[order[:1]] - 1))
            rights, counts = (np.add.reduceat(each[order].astype(float), firsts) for each in (rights, counts))
            for rate, times in zip(*np.unique(rights / counts, return_counts=True), strict=True):
                found.add(float(rate), int(times))
        return found

    def _close(self) -> None:
        if self._name is not None:
            self._names.append(hash(self._name))
            self._rights.append(self._right)
            self._counts.append(self._judged)
        self._name, self._right, self._judged = None, 0, 0
