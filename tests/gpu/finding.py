"""What a part of the kit is given, and the rows it finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sizes import Size, model

GIB = 2**30


class Row(NamedTuple):
    """A line of a table: a figure beside its bound, or one of several `figures`."""

    name: str
    figure: str
    bound: str = ""
    ok: bool = True
    note: str = ""
    figures: dict[str, float] = {}  # noqa: RUF012 - never changed


@dataclass(frozen=True)
class Bench:
    """Where a part computes, on what; `folder` is its own and goes when it ends."""

    size: Size
    device: str
    work: Path
    folder: Path

    def model(self, name: str = "") -> Path:
        """A fresh model; without a name the first of the size."""
        return model(self.size, name or next(iter(self.size.models)), self.work)

    def engine(self, dtype: Literal["auto", "float32", "bfloat16", "float16"], device: str = "") -> Any:
        """The transformers backend on the device, or on another."""
        from stages.settings.groups import Engine

        return Engine(backend="transformers", device=device or self.device, dtype=dtype)

    def settle(self) -> None:
        """Waits for what the device still computes."""
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def peak(self) -> float:
        """GiB at most: on a GPU since `forget`, on a CPU of the whole process since its start."""
        import resource

        import torch

        if self.device == "cuda":
            return torch.cuda.max_memory_allocated() / GIB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB

    def forget(self) -> None:
        """The peak is measured from here on; what is free goes back to the device."""
        import gc

        import torch

        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def at_most(name: str, value: float, bound: float, note: str = "") -> Row:
    """A figure that must be no larger than its bound."""
    return Row(name, f"{value:.3g}", f"≤ {bound:g}", value <= bound, note)


def each(*tried: tuple[str, Callable[[], Iterator[Row]]]) -> Iterator[Row]:
    """The rows of functions by their names; one that raises gives a row that says what, and ends no other."""
    for name, find in tried:
        try:
            yield from find()
        except Exception as error:
            said = f"{type(error).__name__}: {error}".partition("\n")[0]
            yield Row(name, "", ok=False, note=said[:300])


class Watch:
    """Seconds since it was made, with the device's work done."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.settle()
        self.begun = time.perf_counter()

    def seconds(self) -> float:
        self.bench.settle()
        return time.perf_counter() - self.begun
