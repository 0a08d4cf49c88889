"""What a program and all that it started take of the machine's memory, as /proc tells it from outside.

That is more than what processes have mapped: swap, page tables, what may stand in pipes and sockets, the
kernel's books on mappings, the files in /tmp. A buffer counts in full when it is made, so that none is filled
between two readings. What the kernel would keep for a program beyond these, the filter refuses (seccomp.py)
or a limit holds to a few MiB (init.py).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from stages.sandbox import kernel

PAGE = os.sysconf("SC_PAGE_SIZE")
PIPE = 16 * PAGE  # the filter lets none grow
EPOLL = 1 << 20  # 64 files under 64 numbers each, 256 bytes for every pair
AREA, TIE = 256, 64  # bytes for a mapping, and for its tie to each process that it was forked from
LISTED = 16  # reads of a list of mappings, some 60 each; of a longer list every page is taken for a mapping


class Memory:
    """Reads /proc behind `proc`. `isolated` programs share memory through /tmp alone, which is the folder at
    hand.

    A socket holds up to twice the bytes of its `buffer`: the kernel looks before it adds a message, not
    after.
    """

    def __init__(self, proc: int, buffer: int, *, isolated: bool) -> None:
        self.proc, self.isolated = proc, isolated
        self.sizes = {"pipe": PIPE, "socket": 2 * buffer}

    def quick(self, pids: list[int]) -> tuple[int, int]:
        """Bytes as if nothing were shared, but for the kernel's books on mappings; and those, at the most."""
        buffers = dict[str, int]()
        total, area, books = self._disk(), AREA + TIE * len(pids), 0
        for pid in pids:
            with contextlib.suppress(OSError, IndexError, ValueError):  # it has ended meanwhile
                one, status = self._living(pid)
                common = _kib(status, "RssShmem") if self.isolated else 0
                total += sum(_kib(status, name) for name in ("VmRSS", "VmSwap", "VmPTE")) - common
                books += _kib(status, "VmSize") // PAGE * area
                buffers.update(self._buffers(one))
        return total + sum(buffers.values()), books

    def exact(self, pids: list[int]) -> int:
        """Bytes, where what processes share counts once."""
        buffers, seen = dict[str, int](), dict[tuple[int, ...], list[int]]()
        total, area = self._disk(), AREA + TIE * len(pids)
        for pid in pids:
            with contextlib.suppress(OSError, IndexError, ValueError):
                one, status = self._living(pid)
                buffers.update(self._buffers(one))
                figures = tuple(_kib(status, name) for name in ("VmSize", "VmRSS", "VmPTE"))
                alike = seen.setdefault(figures, [])
                if any(_same(one, other) for other in alike):
                    continue
                alike.append(one)
                total += figures[-1] + self._share(one) + self._areas(one, status) * area
        return total + sum(buffers.values())

    def _living(self, pid: int) -> tuple[int, str]:
        """The process, or a thread of it where the first has ended, as /proc then shows nothing; and its
        status.
        """
        status = read(self.proc, f"{pid}/status")
        if "\nVmRSS:" in status:
            return pid, status
        for each in names(self.proc, f"{pid}/task"):
            status = read(self.proc, f"{each}/status")
            if "\nVmRSS:" in status:
                return int(each), status
        raise ProcessLookupError(pid)

    def _share(self, one: int) -> int:
        """Its part of what several processes have in memory or swap."""
        text = read(self.proc, f"{one}/smaps_rollup")
        common = _kib(text, "Pss_Shmem") if self.isolated else 0
        return _kib(text, "Pss") + _kib(text, "SwapPss") - common

    def _areas(self, one: int, status: str) -> int:
        """How many mappings it has."""
        fd = os.open(f"{one}/maps", os.O_RDONLY, dir_fd=self.proc)
        count = 0
        try:
            for _ in range(LISTED):
                piece = os.read(fd, 1 << 16)
                if not piece:
                    return count
                count += piece.count(b"\n")
        finally:
            os.close(fd)
        return _kib(status, "VmSize") // PAGE

    def _buffers(self, one: int) -> Iterator[tuple[str, int]]:
        """What its descriptors may hold in the kernel, by the name of each object."""
        folder = os.open(f"{one}/fd", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.proc)
        try:
            for number in os.listdir(folder):
                with contextlib.suppress(OSError):
                    name = os.readlink(number, dir_fd=folder)
                    if name == "anon_inode:[eventpoll]":
                        yield f"{one}/{number}", EPOLL
                    else:
                        yield name, self.sizes.get(name.partition(":")[0], 0)
        finally:
            os.close(folder)

    def _disk(self) -> int:
        """The files in /tmp, those included that have no name any more."""
        if not self.isolated:
            return 0
        found = os.statvfs(".")
        return (found.f_blocks - found.f_bfree) * found.f_frsize


def names(proc: int, path: str) -> list[str]:
    """What is in a folder behind `proc`."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def read(proc: int, path: str) -> str:
    """The beginning of a file behind `proc`."""
    fd = os.open(path, os.O_RDONLY, dir_fd=proc)
    try:
        return os.read(fd, 8192).decode(errors="replace")
    finally:
        os.close(fd)


def _same(one: int, other: int) -> bool:
    try:
        return kernel.same_memory(one, other)
    except OSError:  # a kernel without this question, or one of them has ended
        return False


def _kib(text: str, name: str) -> int:
    """The bytes that a line of /proc gives in kB."""
    return int(text.partition(f"\n{name}:")[2].split(maxsplit=1)[0]) * 1024
