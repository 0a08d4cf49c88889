"""Completions that are sampled while the steps before theirs are learned, by weights that are older by then.

`OneStepOff` is exact: what is sampled, and with which weights, is the same in each run. `Ahead` lets sampler
and trainer run free, and promises only that no token is older than so many steps.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch

from stages.records.record import Record
from stages.training.grpo.sampler import Batch, OnPolicy, Sampler

PAUSE = 0.01  # seconds between two tries to get weights that nobody changes


def ahead(inner: OnPolicy, steps: int, staleness: int) -> AbstractContextManager[Sampler]:
    """What samples up to `staleness` steps ahead, until the batch of step `steps`."""
    return OneStepOff(inner, steps) if staleness == 1 else Ahead(inner, steps, staleness)


@contextmanager
def shared_threads() -> Iterator[int]:
    """Leaves this thread half of torch's threads, and says how many the sampler has."""
    before = torch.get_num_threads()
    half = max(before // 2, 1)
    torch.set_num_threads(half)
    try:
        yield half
    finally:
        torch.set_num_threads(before)


def stale(made: Batch, step: int) -> Batch:
    """`made` with figures of how old its weights are when `step` is learned."""
    if made.version is None:
        return made
    age = step - 1 - made.version
    return made._replace(
        metrics={**made.metrics, "sampling/staleness": age, "sampling/stale_tokens": float(age > 0)}
    )


class OneStepOff(Sampler, AbstractContextManager["OneStepOff"]):
    """The next step's completions are sampled while this step's are learned.

    The backend has a copy of the weights, those from before the step that is being learned, and half of the
    threads. What is sampled depends on nothing but that copy, so a run gives the same result each time.
    """

    def __init__(self, inner: OnPolicy, steps: int) -> None:
        """`steps` is the last step that needs a batch."""
        self.inner, self.steps = inner, steps
        self.pending: Future[Batch] | None = None

    def __enter__(self) -> OneStepOff:
        self.threads = shared_threads()
        half = self.threads.__enter__()
        self.pool = ThreadPoolExecutor(1, initializer=lambda: torch.set_num_threads(half))
        return self

    def __exit__(self, *exception: Any) -> None:
        if exception[0] is None and self.inner.world.size > 1:
            self.rest()  # the others take part in it
        if self.pending is not None and not self.pending.done():
            self.inner.backend.close()  # its next pass fails, and the thread ends
        self.pool.shutdown()
        self.threads.__exit__(*exception)

    def batch(self, step: int) -> Batch:
        """The completions of `step`; sampling for the next one begins."""
        held = self.inner.run.extra.pop("ahead", None)
        if held is not None:
            made = _restored(held)
        elif self.pending is not None:
            made = self.pending.result()._replace(on_policy=False, version=step - 2)
        else:
            self.inner.run.sync(self.inner.backend)
            made = self.pool.submit(self.inner.sample, step).result()._replace(version=step - 1)
        self.inner.run.sync(self.inner.backend)
        self.pending = self.pool.submit(self.inner.sample, step + 1) if step < self.steps else None
        return stale(made, step)

    def hold(self) -> None:
        """Waits for the next step's completions and puts them into the run's state."""
        if self.pending is not None:
            made = self.pending.result()._replace(version=self.inner.run.step - 1)
            self.inner.run.extra["ahead"] = _kept(made)
        self.inner.hold()

    def rest(self) -> None:
        """See `Sampler`. What is sampled for the next step stays in hand."""
        if self.pending is not None:
            self.pending.result()


class _Finished(NamedTuple):
    batch: Batch
    updates: int  # of the policy when its weights were taken over; -1: in another run
    consumed: int  # problems that were taken from the order when it was finished


class Ahead(Sampler, AbstractContextManager["Ahead"]):
    """A thread samples batch after batch, and the trainer takes them in their order.

    Before each batch the backend takes over the newest weights, also in the middle of a step: the trainer
    waits only while they are copied. The batch of step s is begun once step s - `staleness` is, so that the
    steps that its weights have not learned are `staleness` at most; until then the sampler waits.
    """

    def __init__(self, inner: OnPolicy, steps: int, staleness: int) -> None:
        """`steps` is the last step that needs a batch."""
        self.inner, self.run, self.steps, self.staleness = inner, inner.run, steps, staleness
        kept = [_restored(held) for held in self.run.extra.pop("ahead", [])]
        self.ready = deque(_Finished(batch, -1, inner.consumed) for batch in kept)
        self.consumed = inner.consumed
        self.begun = self.finished = self.run.step + len(kept)
        self.learned = self.run.step
        self.last = self.limit  # the last batch that may be begun
        self.changed = threading.Condition()
        self.ended: BaseException | None = None
        self.closed = False

    @property
    def limit(self) -> int:
        """The last batch that may be begun while the step after `learned` is."""
        return min(self.learned + 1 + self.staleness, self.steps)

    def __enter__(self) -> Ahead:
        self.threads = shared_threads()
        half = self.threads.__enter__()
        self.thread = threading.Thread(target=self._work, args=(half,), name="sampler", daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if exception[0] is None and self.inner.world.size > 1:
            self.rest()  # the others take part in it
        with self.changed:
            self.closed = True
            self.changed.notify_all()
            if self.begun > self.finished:
                self.inner.backend.close()  # its next pass fails, and the thread ends
        self.thread.join()
        self.threads.__exit__(*exception)

    def batch(self, step: int) -> Batch:
        """The completions of `step`. Raises what has ended the sampling."""
        with self.changed:
            self.learned = step - 1
            self.last = self.limit
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.ready or self.ended is not None)
            if not self.ready:
                assert self.ended is not None
                raise self.ended
            made = self.ready.popleft()
        return stale(made.batch._replace(on_policy=made.updates == self.run.updates), step)

    def hold(self) -> None:
        """Puts all that is finished into the run's state; what is begun is sampled anew after a resume."""
        with self.changed:
            self.run.extra["ahead"] = [_kept(made.batch) for made in self.ready]
            self.run.extra["consumed"] = self.consumed

    def rest(self) -> None:
        """See `Sampler`. Until the next step is asked for no batch is begun, on any rank."""
        with self.changed:
            self.last = self.begun
        # A rank may have begun a batch in which all take part.
        latest = max(self.run.world.gather(self.begun))
        with self.changed:
            self.last = latest
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.finished >= latest or self.ended is not None)

    def _work(self, threads: int) -> None:
        """Samples until the last batch, or until the run ends."""
        torch.set_num_threads(threads)
        try:
            while self.finished < self.steps:
                begun = time.perf_counter()
                with self.changed:
                    self.changed.wait_for(lambda: self.closed or self.begun < self.last)
                    if self.closed:
                        return
                    self.begun += 1
                idle = time.perf_counter() - begun
                version, updates = self._follow()
                made = self.inner.sample(self.begun)
                times = {"time/sample": time.perf_counter() - begun - idle, "time/sampler_idle": idle}
                made = made._replace(version=version, metrics={**made.metrics, **times})
                with self.changed:
                    self.ready.append(_Finished(made, updates, self.inner.consumed))
                    self.consumed = self.inner.consumed
                    self.finished += 1
                    self.changed.notify_all()
        except BaseException as error:
            with self.changed:
                self.ended = error
                self.changed.notify_all()

    def _follow(self) -> tuple[int, int]:
        """Gives the backend the newest weights. The steps, and the updates, that they have learned."""
        world, run = self.inner.world, self.run
        while True:
            # No rank may wait for its weights: it would keep the trainers of the others from theirs.
            steady = run.changing.acquire(blocking=False)
            try:
                if len(found := set(world.gather((steady, run.updates)))) == 1 and steady:
                    run.sync(self.inner.backend, world)
                    return self.learned, found.pop()[1]
            finally:
                if steady:
                    run.changing.release()
            time.sleep(PAUSE)


def _kept(made: Batch) -> list[Any]:
    return [made.rollouts, made.metrics, made.version]


def _restored(held: list[Any]) -> Batch:
    rollouts, figures, version = held
    return Batch([Record(record) for record in rollouts], figures, False, version=version)
