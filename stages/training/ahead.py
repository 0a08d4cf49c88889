"""One step off policy: the next step's completions are sampled while this step's are learned.

The sampler has a copy of the weights, those from before the step that is being learned, and half of the
threads. What is sampled depends on nothing but that copy, so a run gives the same result each time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from stages.data.record import Record
from stages.training.reinforce import Learner
from stages.training.run import Run

Batch = tuple[list[Record], dict[str, Any]]


class Ahead:
    """Batches of completions, each made by `sample(step)` one step before it is asked for."""

    def __init__(
        self, sample: Callable[[int], Batch], learner: Learner, run: Run, steps: int
    ) -> None:
        """`steps` is the last step that needs a batch."""
        self.sample, self.learner, self.run, self.steps = sample, learner, run, steps
        self.pending: Future[Batch] | None = None
        self.fresh = False  # whether the last batch was made with the weights of now
        self.threads = torch.get_num_threads()

    def __enter__(self) -> Ahead:
        half = max(self.threads // 2, 1)
        self.pool = ThreadPoolExecutor(1, initializer=lambda: torch.set_num_threads(half))
        torch.set_num_threads(half)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.pending is not None and not self.pending.done():
            self.learner.backend.close()  # its next pass fails, and the thread ends
        self.pool.shutdown()
        torch.set_num_threads(self.threads)

    def batch(self, step: int) -> Batch:
        """The completions of `step`; sampling for the next one begins."""
        held = self.run.extra.pop("ahead", None)
        self.fresh = held is None and self.pending is None
        if held is not None:
            made = [Record(record) for record in held[0]], held[1]
        elif self.pending is not None:
            made = self.pending.result()
        else:
            self.learner.sync()
            made = self.pool.submit(self.sample, step).result()
        self.learner.sync()
        self.pending = self.pool.submit(self.sample, step + 1) if step < self.steps else None
        return made

    def hold(self) -> None:
        """Waits for the next step's completions and puts them into the run's state."""
        if self.pending is not None:
            self.run.extra["ahead"] = self.pending.result()
