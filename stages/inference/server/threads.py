"""Work that consists of waiting, done by several threads at once: results come as they finish.

Not by concurrent.futures: Python waits for its threads at exit, and one that connects takes 20 s to give up.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from stages.inference.interface import Source

T = TypeVar("T")
R = TypeVar("R")
TICK = 0.1  # seconds after which a source that had nothing is asked again


def map_unordered(work: Callable[[T], R], source: Iterable[T | None], jobs: int) -> Generator[R | None]:
    """`work` of each item, `jobs` at once, in the order they finish.

    A None in `source` means: none at present. A None comes out now and then while nothing has finished.
    Raises what `work` raises, at once. Who closes the iterator sees to it that work under way ends soon.
    """
    items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[R, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def serve() -> None:
        while (item := items.get()) is not None:
            try:
                done.put((work(item), None))
            except BaseException as error:
                done.put((None, error))

    waiting = Source(source)
    running = threads = 0
    try:
        while running or not waiting.exhausted:
            while running < jobs and (item := waiting.take()) is not None:
                items.put(item)
                running += 1
                if running > threads:
                    threading.Thread(target=serve, daemon=True).start()
                    threads += 1
            try:
                result, error = done.get(timeout=TICK if running else 0)
            except queue.Empty:
                if running or not waiting.exhausted:
                    yield None
                continue
            running -= 1
            if error is not None:
                raise error
            yield result
    finally:
        for _ in range(threads):
            items.put(None)
