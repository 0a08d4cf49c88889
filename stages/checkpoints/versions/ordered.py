"""Tensors worked on in threads: hashing, XOR and zstd let others compute meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from stages.runtime.threads import threads

MOST = 8  # threads
T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` of each of `items`, in their order; no more are taken at once than there are threads."""
    count = min(MOST, threads(0))
    under_way: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                if len(under_way) == count:
                    yield under_way.popleft().result()
                under_way.append(pool.submit(work, item))
            while under_way:
                yield under_way.popleft().result()
        finally:
            for one in under_way:
                one.cancel()
