"""What a program and all that it started have used: seconds of its own, processor time, memory.

The clock that limits are held against is the greater of the processor time of all its processes and the time
that passed less the time the program had to wait for a processor: a busy machine costs it nothing, while sleeping
counts in full.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Iterator

PAGE = os.sysconf("SC_PAGE_SIZE")
HERTZ = os.sysconf("SC_CLK_TCK")


class Meter:
    """Reads /proc behind `proc`: all of it but PID 1 where `everything` there is the program's."""

    def __init__(
        self, child: int, proc: int, started: float, patience: float, *, everything: bool
    ) -> None:
        self.child, self.proc, self.started, self.everything = child, proc, started, everything
        self.patience = patience
        self.cpu = self.clock = self.waited = 0.0
        self.peak = self.most = 0  # bytes, and processes at once

    def read(self) -> None:
        """Takes all readings anew."""
        cpu = _reaped()
        memory, pids = 0, list(self._pids())
        for pid in pids:
            with contextlib.suppress(OSError, IndexError, ValueError):
                # After the name in brackets, which may hold anything: utime, stime, cutime, cstime.
                fields = self._text(f"{pid}/stat").rpartition(")")[2].split()
                cpu += sum(int(each) for each in fields[11:15]) / HERTZ
                memory += int(self._text(f"{pid}/statm").split()[1]) * PAGE
                if pid == self.child:
                    self.waited = int(self._text(f"{pid}/schedstat").split()[1]) / 1e9
        self.most = max(self.most, len(pids))
        if memory > self.peak and len(pids) > 1:
            memory = max(self.peak, self._shared_once(pids))
        self.peak = max(self.peak, memory)
        self._set(cpu)

    def finish(self) -> None:
        """The last reading, when all processes are gone."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.peak = max(self.peak, usage.ru_maxrss * 1024)
        self._set(_reaped())

    def kill(self) -> None:
        """SIGKILL to each process; again and again, as one may fork meanwhile."""
        if self.everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            return
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _set(self, cpu: float) -> None:
        self.cpu = max(self.cpu, cpu)
        passed = time.monotonic() - self.started
        self.clock = max(self.clock, self.cpu, (passed - self.waited) / self.patience)

    def _pids(self) -> Iterator[int]:
        if self.everything:
            yield from (int(n) for n in os.listdir(self.proc) if n.isdigit() and n != "1")
            return
        waiting = [os.getpid()]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    for child in self._text(f"{pid}/task/{task}/children").split():
                        waiting.append(int(child))
                        yield int(child)

    def _shared_once(self, pids: list[int]) -> int:
        """Bytes in memory, where what processes share after a fork counts once."""
        total = 0
        for pid in pids:
            with contextlib.suppress(OSError, IndexError, ValueError):
                text = self._text(f"{pid}/smaps_rollup")
                total += int(text.partition("\nPss:")[2].split()[0]) * 1024
        return total

    def _text(self, path: str) -> str:
        fd = os.open(path, os.O_RDONLY, dir_fd=self.proc)
        try:
            return os.read(fd, 8192).decode(errors="replace")
        finally:
            os.close(fd)


def _reaped() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
