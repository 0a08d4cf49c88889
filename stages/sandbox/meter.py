"""What a program and all that it started have used: seconds of its own, processor time, memory (memory.py).

The clock that limits are held against is the greater of the processor time of all its processes and the time
that passed less the time the program had to wait for a processor: a busy machine costs it nothing, while
sleeping counts in full.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Iterator
from typing import Any

from stages.sandbox.memory import Memory, names, read

CROWD = 8  # processes; a compiler needs half of it
HUMBLE = 10  # the nice value of a crowd: whoever reads it must come to its turn between them
HERTZ = os.sysconf("SC_CLK_TCK")


class Meter:
    """Reads /proc behind `proc`: all of it but PID 1 where `everything` there is the program's."""

    def __init__(
        self, child: int, proc: int, started: float, task: dict[str, Any], buffer: int, *, everything: bool
    ) -> None:  # fmt: skip
        self.child, self.proc, self.started, self.everything = child, proc, started, everything
        self.patience, self.limit = task["patience"], task["memory"]
        self.memory = Memory(proc, buffer, isolated=everything)
        self.cpu = self.clock = self.waited = self.held = 0.0
        self.taken = self.peak = self.most = 0  # bytes now and at the most, and processes at once
        self.humble = set[int]()

    def read(self) -> None:
        """Takes all readings anew."""
        cpu = _reaped()
        pids = list(self._pids())
        for pid in pids:
            with contextlib.suppress(OSError, IndexError, ValueError):
                # After the name in brackets, which may hold anything: utime, stime, cutime, cstime.
                fields = read(self.proc, f"{pid}/stat").rpartition(")")[2].split()
                cpu += sum(int(each) for each in fields[11:15]) / HERTZ
                if pid == self.child:
                    self.waited = int(read(self.proc, f"{pid}/schedstat").split()[1]) / 1e9
        self.most = max(self.most, len(pids))
        if len(pids) > CROWD:
            self._humble(pids)
        self.taken = self._weighed(pids)
        self.peak = max(self.peak, self.taken)
        self._set(cpu)

    def _humble(self, pids: list[int]) -> None:
        """Gives way to others with every thread of a crowd; what they start later inherits it."""
        for pid in set(pids) - self.humble:
            with contextlib.suppress(OSError):
                for each in names(self.proc, f"{pid}/task"):
                    os.setpriority(os.PRIO_PROCESS, int(each), HUMBLE)
                self.humble.add(pid)

    def _weighed(self, pids: list[int]) -> int:
        """Bytes of memory. Many that may have too much stand still while it is told: they would outrun the
        reading.
        """
        most, books = self.memory.quick(pids)
        if len(pids) == 1 or most + books <= self.limit:
            return most if len(pids) == 1 else most + books
        began = time.monotonic()
        self.kill(signal.SIGSTOP)
        taken = self.memory.exact(list(self._pids()))
        if taken <= self.limit:
            self.kill(signal.SIGCONT)
        self.held += time.monotonic() - began
        return taken

    def finish(self) -> None:
        """The last reading, when all processes are gone."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.peak = max(self.peak, usage.ru_maxrss * 1024)
        self._set(_reaped())

    def kill(self, number: int = signal.SIGKILL) -> None:
        """A signal to each process; SIGKILL again and again, as one may fork meanwhile."""
        if self.everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, number)
            return
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _set(self, cpu: float) -> None:
        self.cpu = max(self.cpu, cpu)
        passed = time.monotonic() - self.started
        self.clock = max(self.clock, self.cpu, (passed - self.waited - self.held) / self.patience)

    def _pids(self) -> Iterator[int]:
        if self.everything:
            yield from (int(n) for n in os.listdir(self.proc) if n.isdigit() and n != "1")
            return
        waiting = [os.getpid()]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    for child in read(self.proc, f"{pid}/task/{task}/children").split():
                        waiting.append(int(child))
                        yield int(child)


def _reaped() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
