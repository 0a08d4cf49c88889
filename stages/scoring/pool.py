"""Worker processes under a deadline: one that is stuck or dead is replaced, and only its job is lost.

The clock of a job runs from the moment a ready worker is given it: neither waiting for a worker nor
loading a library counts. Workers are fresh interpreters, not forks of this process, so they are safe beside
torch's threads and never hold its memory; the first is started when the first job comes. Each loads its
libraries once: what judges is a fork of it (worker.py), and only that is killed.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stages.records.jsonl import decode, encode
from stages.records.record import object_of
from stages.runtime.errors import R1Error, Unavailable

STARTUP = 300.0  # seconds for a worker to load its rewards, on a busy machine
MEMORY = 4 << 30  # bytes of address space for a worker that runs only rewards of this program


@dataclass
class Job:
    """Work for one worker: `message` is what it is sent. `answer` is set when it ends.

    `limit` is its own deadline in seconds, None for the pool's.
    """

    message: bytes
    limit: float | None = None
    answer: dict[str, Any] | None = None
    seconds: float = 0.0


class Worker:
    """One process, its pipes, and the job it has."""

    def __init__(self, specs: Sequence[str], memory: int, forks: bool) -> None:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            # -P: a file of the user's folder must not stand in for a library.
            [sys.executable, "-P", "-m", "stages.scoring.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.inlet: IO[bytes] = self.process.stdin
        self.outlet: IO[bytes] = self.process.stdout
        self.job: Job | None = None
        self.sent = 0  # jobs so far: an answer bears the number of its job
        self.unread = b""
        self.judge = 0  # the process that judges, 0 until it is ready
        self.lives = 0  # how many of them there were
        self.forks = forks
        self.since = time.monotonic()
        hello = {"specs": list(specs), "parent": os.getpid(), "memory": memory, "forks": forks}
        self.send(encode(hello))

    @property
    def ready(self) -> bool:
        return self.judge > 0

    def send(self, message: bytes) -> bool:
        """Whether the worker took the message; False where it is dead."""
        try:
            self.inlet.write(message)
            self.inlet.flush()
        except OSError:
            return False
        return True

    def give(self, job: Job) -> bool:
        """Sends a job; False where the worker is dead."""
        self.sent += 1
        if not self.send(b"%d %s" % (self.sent, job.message)):
            return False
        self.job, self.since = job, time.monotonic()
        return True

    def lines(self) -> list[bytes] | None:
        """The whole lines that have come; None where no more will."""
        piece = os.read(self.outlet.fileno(), 1 << 20)
        *whole, self.unread = (self.unread + piece).split(b"\n")
        return whole if piece else None

    def end_judge(self) -> None:
        """Ends what is at work, but not the libraries' keeper, which will fork the next."""
        with contextlib.suppress(OSError):
            os.killpg(self.judge, signal.SIGKILL)
        self.judge, self.job, self.since = 0, None, time.monotonic()

    def kill(self) -> None:
        """Ends the process and what it started."""
        for group in filter(None, (self.process.pid, self.judge)):
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.inlet, self.outlet):
            with contextlib.suppress(OSError):
                pipe.close()


class Pool:
    """Runs jobs in at most `size` workers, each within `timeout` seconds."""

    def __init__(self, specs: Sequence[str], *, size: int, timeout: float, limited: bool) -> None:
        self.specs, self.size, self.timeout = list(specs), size, timeout
        self.memory = MEMORY if limited else 0
        self.forks = limited  # a user's own code may start threads, which no fork survives
        self.queue: deque[Job] = deque()
        self.workers: list[Worker] = []
        self.selector = selectors.DefaultSelector()

    def add(self, job: Job) -> None:
        """Queues a job, and starts it where a worker is free."""
        self.queue.append(job)
        self.step(0)

    def step(self, wait: float | None) -> None:
        """Takes answers, ends what is overdue and hands out jobs.

        Waits until something ends: `wait` seconds at most, or as long as it takes where None.
        """
        self._hand_out()
        if not self.workers:
            return
        limit = min((self._due(worker) for worker in self.workers), default=float("inf"))
        limit = max(0.0, limit - time.monotonic())
        ready = self.selector.select(limit if wait is None else min(wait, limit))
        for key, _ in ready:
            self._take(key.data)
        now = time.monotonic()
        for worker in list(self.workers):
            if now >= self._due(worker):
                self._overdue(worker)
        self._hand_out()

    def abandon(self) -> None:
        """Drops all jobs; workers that are at one are ended."""
        self.queue.clear()
        for worker in [each for each in self.workers if each.job is not None]:
            self._remove(worker)

    def close(self) -> None:
        """Ends all workers."""
        for worker in list(self.workers):
            self._remove(worker)
        self.selector.close()

    def _due(self, worker: Worker) -> float:
        if not worker.ready:
            return worker.since + STARTUP
        return worker.since + self._limit(worker.job) if worker.job is not None else float("inf")

    def _limit(self, job: Job) -> float:
        return self.timeout if job.limit is None else job.limit

    def _hand_out(self) -> None:
        for worker in list(self.workers):
            if not self.queue:
                return
            if not worker.ready or worker.job is not None:
                continue
            job = self.queue.popleft()
            if not worker.give(job):  # it died while idle: the job was never begun
                self.queue.appendleft(job)
                self._remove(worker)
        starting = sum(not worker.ready for worker in self.workers)
        while starting < len(self.queue) and len(self.workers) < self.size:
            worker = Worker(self.specs, self.memory, self.forks)
            self.workers.append(worker)
            self.selector.register(worker.outlet, selectors.EVENT_READ, worker)
            starting += 1

    def _take(self, worker: Worker) -> None:
        lines = worker.lines()
        if lines is None:
            self._lost(worker)
        for line in lines or ():
            message = _message(line)
            if "ready" in message:
                worker.judge, worker.lives = message["ready"], worker.lives + 1
            elif "ended" in message:
                self._died(worker, message["ended"])
            elif worker.job is not None and message.get("job") == worker.sent:
                job, worker.job = worker.job, None
                job.seconds = time.monotonic() - worker.since
                job.answer = message

    def _died(self, worker: Worker, code: int) -> None:
        """The judge has ended, and the next is on its way; a job that it had is lost."""
        if not worker.lives:
            self._remove(worker)
        self._lose_job(worker, code)
        worker.judge, worker.job, worker.since = 0, None, time.monotonic()

    def _lost(self, worker: Worker) -> None:
        """The whole worker has ended, its libraries, too."""
        self._remove(worker)
        self._lose_job(worker, worker.process.returncode)

    def _lose_job(self, worker: Worker, code: int) -> None:
        """Answers what a worker that ended with `code` was at. Raises R1Error where it had not begun."""
        if not worker.lives:
            raise R1Error(f"a reward worker ended at its start with code {code}; see above")
        if worker.job is not None:
            worker.job.seconds = time.monotonic() - worker.since
            worker.job.answer = {"lost": f"the worker ended with {_ending(code)}"}

    def _overdue(self, worker: Worker) -> None:
        if not worker.ready:
            self._remove(worker)
            raise Unavailable(f"a reward worker was not ready within {STARTUP:g} s")
        if worker.job is not None:
            worker.job.seconds = self._limit(worker.job)
            worker.job.answer = {"late": f"no verdict within {worker.job.seconds:g} s"}
        if worker.forks:
            worker.end_judge()
        else:
            self._remove(worker)

    def _remove(self, worker: Worker) -> None:
        self.workers.remove(worker)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(worker.outlet)
        worker.kill()


def _message(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where a judge was killed in the middle of it."""
    try:
        return object_of(decode(line))
    except ValueError:
        return {}


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"code {code}"
