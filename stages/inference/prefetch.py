"""Reading a stream beside the work, so that a slow source does not hold up what it already gave.

A file's records are always awaited, so a batch is filled the same way in each run. Once a source has
kept us waiting for `SLOW_AFTER` it counts as slow, and from then on only what has arrived is taken.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
SLOW_AFTER = 1.0  # seconds


class Prefetcher(Generic[T]):
    """Items of `source`, read ahead by a thread, `ahead` at most."""

    def __init__(self, source: Iterable[T], ahead: int) -> None:
        self._queue: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._slow = False
        self._thread = threading.Thread(target=self._read, args=(iter(source),), daemon=True)
        self._thread.start()

    def _read(self, source: Iterator[T]) -> None:
        try:
            for item in source:
                self._put("item", item)
                if self._stopped.is_set():
                    return
            self._put("end", None)
        except BaseException as error:
            self._put("error", error)

    def _put(self, kind: str, value: T | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put((kind, value), timeout=0.2)
                return
            except queue.Full:
                continue

    def take(self, *, wait: bool) -> T | None:
        """The next item. None where the source is slow, none has arrived and `wait` is not set.

        Raises StopIteration at the end, and what the source raised.
        """
        try:
            kind, value = self._queue.get(block=wait or not self._slow, timeout=None if wait else SLOW_AFTER)
        except queue.Empty:
            self._slow = True
            return None
        if kind == "item":
            return value  # type: ignore[return-value]
        self._queue.put((kind, value))  # the end stays the end
        if kind == "end":
            raise StopIteration
        raise value  # type: ignore[misc]

    def close(self) -> None:
        """Lets the thread go."""
        self._stopped.set()
