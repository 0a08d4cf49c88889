"""The first process of a program's PID namespace: starts the program, watches it, and takes all with it when
it ends.

It alone sees the namespace's /proc. It has capabilities in the box and the program has none, so the program
can neither signal nor trace it; where both are one user, the filter keeps the program from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import shutil
import signal
import socket
import stat
import tempfile
import time
from typing import Any

from stages.sandbox import kernel, seccomp, warm, wire
from stages.sandbox.meter import CROWD, Meter

HOST_PROC = "/.proc"  # the kernel allows a new /proc only beside an old one, which is taken away here
USER = 1000  # inside
ERRORS = 64 << 10  # bytes of standard error that are kept
STACK = 64 << 20
GRACE = 30.0  # seconds beside five times the limit that a busy machine may take
TICK = 0.005  # seconds between two readings of the meter at the least, and half of the first
FILLING = 5 << 30  # bytes a second that one processor may come to fill
FILES = 64  # descriptors of a process


def serve(channel: socket.socket, links: list[int], rules: bytes, isolated: bool) -> str:
    """Runs one program that `channel` asks for and answers what became of it, then ends.

    Returns only in the program's own process, where that is no other executable: the source to run.
    """
    folder, source = "/tmp", None
    try:
        # A copy of the launcher's own line would keep it open when the launcher is killed: nobody would read
        # it.
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        task = wire.receive(channel)
        if isolated:
            proc = _private_mounts(task["disk"])
        else:
            folder, proc = tempfile.mkdtemp(prefix="r1-box-"), os.open("/proc", os.O_RDONLY)
        os.chdir(folder)
        _fill(task["files"])
        outcome = _run(channel, task, links, rules, proc, isolated)
        if isinstance(outcome, str):
            source = outcome
            return source
        if not isolated:
            shutil.rmtree(folder, ignore_errors=True)
        wire.send(channel, outcome)
    except (EOFError, BrokenPipeError):
        pass  # nobody waits for the outcome any more
    except OSError as error:
        with contextlib.suppress(OSError):
            wire.send(channel, {"ended": "broken", "code": 0, "stderr": str(error).encode()})
    finally:
        if source is None:
            if not isolated and folder != "/tmp":
                shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)
    raise AssertionError  # the process has ended


def _private_mounts(disk: int) -> int:
    """An empty /tmp; this namespace's /proc, which nothing but the returned descriptor leads to."""
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    kernel.detach("/proc")
    kernel.detach(HOST_PROC)
    size = f"size={disk},nr_inodes=4k,mode=0777"
    kernel.mount("tmp", "/tmp", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, size)
    return proc


def _fill(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        if "/" in name:
            os.makedirs(os.path.dirname(name), exist_ok=True)
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        _write(fd, content)
        os.fchmod(fd, 0o755)
        os.close(fd)


def _write(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]


def _run(
    channel: socket.socket, task: dict[str, Any], links: list[int], rules: bytes, proc: int, isolated: bool
) -> dict[str, Any] | str:  # fmt: skip
    """The outcome; in the program's own process the source that it runs."""
    given = _given(task["stdin"], proc)
    (out, out_end), (err, err_end), (failed, failed_end) = os.pipe(), os.pipe(), os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        channel.detach()  # its number will be another's
        return _become(task, [given, out_end, err_end, *links], failed_end, rules, proc, isolated)
    for fd in (given, out_end, err_end, failed_end, *links):
        os.close(fd)
    broken = os.read(failed, 1000)  # ends when the program begins
    buffer = channel.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)  # as any new socket's
    meter = Meter(child, proc, started, task, buffer, everything=isolated)
    watch = Watch(task, channel, child, meter, out, err)
    ended = "broken" if broken else watch.until_end()
    status = _kill_all(child, meter)
    if status is None:
        status = watch.status
    watch.drain()
    meter.finish()
    if not broken and ended == "exit" and len(watch.out) > task["output"]:
        ended = "output"
    if ended == "exit" and os.WIFSIGNALED(status):
        # The kernel's own limit on CPU seconds, which ends a process before the meter is read.
        ended = "time" if os.WTERMSIG(status) in (signal.SIGXCPU,) else "signal"
    code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return {
        "ended": ended,
        "code": code,
        "stdout": bytes(watch.out[: task["output"]]),
        "stderr": broken or bytes(watch.err),
        "files": {name: _collected(name, task["disk"]) for name in task["collect"]},
        "cpu": meter.cpu,
        "seconds": meter.clock,
        "wall": time.monotonic() - started,
        "memory": meter.peak,
    }


def _given(text: bytes, proc: int) -> int:
    """A descriptor to read `text` from, which must not grow."""
    fd = os.memfd_create("stdin")
    _write(fd, text)
    given = os.open(f"self/fd/{fd}", os.O_RDONLY, dir_fd=proc)
    os.close(fd)
    return given


class Watch:
    """The loop beside a running program: takes what it prints, reads the meter, and says why it ended."""

    def __init__(
        self, task: dict[str, Any], channel: socket.socket, child: int, meter: Meter, out: int, err: int
    ) -> None:  # fmt: skip
        self.task, self.channel, self.child, self.meter = task, channel, child, meter
        self.out, self.err, self.loud = bytearray(), bytearray(), 0
        self.pipes = {out: self.out, err: self.err}
        self.status = 0

    def until_end(self) -> str:
        """Returns how it ended: exit, time, memory, output or stalled."""
        poll = select.poll()
        alive = os.pidfd_open(self.child)
        for fd in (*self.pipes, alive):
            poll.register(fd, select.POLLIN)
        poll.register(self.channel, select.POLLRDHUP)
        tick, read_at = 2 * TICK, 0.0
        filling = FILLING * len(os.sched_getaffinity(0))
        while True:
            for fd, _ in poll.poll(tick * 1000):
                if fd == self.channel.fileno():
                    raise EOFError
                if fd == alive:
                    os.close(alive)
                    return "exit"
                if not self._take(fd):
                    poll.unregister(fd)
            if max(len(self.out), self.loud) > self.task["output"]:
                return "output"
            now = time.monotonic()
            if now < read_at:
                continue
            self.meter.read()
            spare = self.task["memory"] - self.meter.taken
            if spare < 0:
                return "memory"
            tick = min(tick * 1.5, 0.05, max(TICK, spare / filling))
            read_at = time.monotonic() + tick
            if self.meter.clock > self.task["seconds"]:
                return "time"
            if now - self.meter.started > 5 * self.task["seconds"] * self.task["patience"] + GRACE:
                # Children that nobody waits for leave no trace of their seconds: many are its own fault.
                return "stalled" if self.meter.most <= CROWD else "time"

    def drain(self) -> None:
        """What still stands in the pipes, when nobody is left to write."""
        for fd in list(self.pipes):
            os.set_blocking(fd, False)
            with contextlib.suppress(BlockingIOError):
                while len(self.out) <= self.task["output"] and self._take(fd):
                    pass

    def _take(self, fd: int) -> bool:
        """Whether more may come from this pipe."""
        piece = os.read(fd, 1 << 16)
        if self.pipes[fd] is self.out:
            self.out += piece
        else:
            self.loud += len(piece)
            self.err += piece[: max(0, ERRORS - len(self.err))]
        return bool(piece)


def _kill_all(child: int, meter: Meter) -> int | None:
    """Ends everything that the program has started, and waits until it is gone. The program's own status."""
    found = None
    while True:
        meter.kill()
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return found
        if pid == child:
            found = status


def _collected(name: str, most: int) -> bytes | None:
    """A file that the program was to make; None where there is none. A link is not followed."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    with open(fd, "rb") as stream:
        return stream.read(most)


def _become(
    task: dict[str, Any], fds: list[int], failed: int, rules: bytes, proc: int, isolated: bool
) -> str:
    """In the new process: gives up everything, then becomes the program. Returns the source of a warm one."""
    try:
        os.setsid()
        _wear(fds, failed, proc)
        _limit(task, isolated)
        source = warm.begin(task["warm"], task["argv"]) if task["warm"] else None
        if isolated:
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(USER, USER, USER)
                os.setresuid(USER, USER, USER)
            kernel.drop_capabilities()
            # As execve does: else nobody could read how much memory it has.
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
            seccomp.install(rules)
        if source is not None:
            os.close(LAST)
            return source
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execve(task["argv"][0], task["argv"], warm.ENVIRONMENT)
    except BaseException as error:
        for fd in (failed, LAST):
            with contextlib.suppress(OSError):
                os.write(fd, f"{type(error).__name__}: {error}".encode())
        os._exit(127)


LAST = 9  # where the message goes if the program cannot begin; closed when it does


def _wear(fds: list[int], failed: int, proc: int) -> None:
    """`fds` become 0, 1, 2 and on; nothing else stays open."""
    with contextlib.suppress(OSError):  # whoever runs out of memory, it shall not be another
        fd = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc)
        os.write(fd, b"1000")
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, LAST + 1) for fd in (*fds, failed)]
    for number, fd in enumerate(high[:-1]):
        os.dup2(fd, number, inheritable=True)
    os.dup2(high[-1], LAST, inheritable=False)
    os.closerange(len(fds), LAST)
    os.closerange(LAST + 1, os.sysconf("SC_OPEN_MAX"))


def _limit(task: dict[str, Any], isolated: bool) -> None:
    seconds, stack = int(task["seconds"]) + 2, min(STACK, task["memory"] // 8)
    kernel.give_stacks(stack)
    wanted = {
        resource.RLIMIT_AS: (task["memory"], task["memory"]),
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_FSIZE: (task["disk"], task["disk"]),
        resource.RLIMIT_NPROC: (task["processes"], task["processes"]),
        resource.RLIMIT_NOFILE: (FILES, FILES),
        resource.RLIMIT_STACK: (stack, task["memory"]),
        resource.RLIMIT_CORE: (1, 1),  # 1, not 0: a handler behind a pipe is not called either
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
        resource.RLIMIT_SIGPENDING: (64, 64),
    }
    if not isolated:  # it would count what else the user runs
        del wanted[resource.RLIMIT_NPROC]
    for name, (soft, hard) in wanted.items():
        most = resource.getrlimit(name)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(name, (soft, hard))
