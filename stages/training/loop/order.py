"""Updates on examples that are there from the start: all once an epoch, each epoch in an order of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from stages.records.record import seed_of
from stages.training.loop.evaluations import Evaluations
from stages.training.loop.run import Clock, Run

T = TypeVar("T")


class Asked(Protocol):
    """What the settings of such a stage say of its updates."""

    @property
    def batch(self) -> int:
        """Examples of an update."""

    @property
    def seed(self) -> int:
        """Names the order of the examples."""


def learn_in_order(
    run: Run,
    examples: Sequence[T],
    asked: Asked,
    evaluations: Evaluations,
    update: Callable[[Sequence[T]], Mapping[str, Any]],
    shown: str,
) -> None:
    """The updates that are left of a run, with their metrics and states, until evaluations end it.

    `update` learns from some of the `examples` and gives the figures of it; the live line has the loss and
    `shown`.
    """
    run.report.start(run.updates_planned, "updates")
    run.report.advance(run.step)
    evaluations.begin()
    clock = Clock()
    for chosen in batches(examples, asked.batch, asked.seed, run.step, run.updates_planned):
        if evaluations.stopped:
            return
        run.step += 1
        figures = {
            **update(chosen),
            "epoch": run.step / per_epoch(len(examples), asked.batch),
            "step_time": clock.lap(),
        }
        run.log({**figures, **evaluations.measure()}, "loss", shown)
        clock.lap()
        if run.save_due() and run.step < run.updates_planned:
            run.save()


def per_epoch(count: int, batch: int) -> int:
    """Updates of `batch` examples that visit each of `count` once."""
    return -(-count // batch)


def batches(items: Sequence[T], batch: int, seed: int, start: int, updates: int) -> Iterator[list[T]]:
    """The examples of updates `start` to `updates`; they hang on nothing else, so a run may be resumed."""
    order: list[int] = []
    for update in range(start, updates):
        epoch, place = divmod(update, per_epoch(len(items), batch))
        if not order or place == 0:
            order = list(range(len(items)))
            random.Random(seed_of("order", seed, epoch)).shuffle(order)
        yield [items[i] for i in order[place * batch : (place + 1) * batch]]
