"""A box to run programs in that nobody has read.

    with Box() as box:
        outcome = box.run(Task(argv=(PYTHON, "main.py"), files={"main.py": source}, stdin=b"3 4\\n"))
        outcome.ended, outcome.stdout      # "exit", b"7\\n"

A Box is one launcher process (launcher.py), started at the first program. Its programs share nothing with the
host but a few read-only system folders, and nothing with each other. docs/sandbox.md says what is kept from
them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stages.runtime.errors import R1Error, Unavailable
from stages.sandbox import warm, wire
from stages.sandbox.permission import remedy

PYTHON = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
Isolation = Literal["kernel", "none"]
ROOMY = 64 << 20  # bytes of memory from which on modules that were not asked for take nothing that matters
START = (
    "import sys; sys.path.insert(0, sys.argv.pop()); from stages.sandbox import launcher; sys.path.pop(0); "
    "exec(launcher.main())"
)


@dataclass(frozen=True)
class Limits:
    """What a program may take. Memory is that of all its processes, and the address space of each."""

    seconds: float = 10.0  # of its own: see meter.py
    memory: int = 1 << 30  # bytes
    output: int = 16 << 20  # bytes, of standard output and of standard error
    processes: int = 64  # threads among them
    disk: int = 64 << 20  # bytes of /tmp, which is memory
    patience: float = 1.0  # seconds of waiting for something that count as one


@dataclass(frozen=True)
class Task:
    """A program to run in /tmp: `files` stand there before, and those of `collect` are read after.

    Where `warm` is not empty, `argv` is PYTHON, warm.FLAGS, "-c", source and arguments, and its process is a
    fork of an interpreter that stands ready. It says for what: "program", or a module of warm.HARNESS that
    the source imports from where it stands ready too.
    """

    argv: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    stdin: bytes = b""
    collect: tuple[str, ...] = ()
    warm: Literal["", "program", "callee", "caller"] = ""
    limits: Limits = field(default_factory=Limits)


class Outcome(NamedTuple):
    """How a program ended. `code` is its exit code, or the signal's number.

    time, memory and output are its own faults. stalled is the machine's: too busy to let it run; lost: the
    process that watched it has died.
    """

    ended: Literal["exit", "signal", "time", "memory", "output", "stalled", "lost"]
    code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    files: Mapping[str, bytes | None] = {}
    cpu: float = 0.0  # seconds of processor, all its processes
    seconds: float = 0.0  # what counted against the limit
    wall: float = 0.0
    memory: int = 0  # bytes at the most; an estimate from above where several processes share them

    @property
    def done(self) -> bool:
        """Whether it ended by itself, with code 0."""
        return self.ended == "exit" and self.code == 0


class Box(contextlib.AbstractContextManager["Box"]):
    """Runs programs in isolation; with `isolation` "none" only under limits, in folders of their own."""

    def __init__(self, isolation: Isolation = "kernel") -> None:
        self.isolation = isolation
        self._beside: Box | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the launcher, and with it what is still running."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.wait()
            self._process = None

    def run(self, task: Task) -> Outcome:
        """Runs a program to its end. Raises Unavailable where the kernel does not let it be isolated."""
        return self.start(task).outcome()

    def start(self, task: Task, link: tuple[int, int] | None = None) -> Running:
        """Starts a program; the two descriptors of `link` are its 3, to read, and 4, to write."""
        ours, theirs = socket.socketpair()
        try:
            handed = [theirs.fileno(), *(link or ())]
            try:
                socket.send_fds(self._launcher(), [b"x"], handed)
            except OSError:  # it was killed: by a user, or for memory
                self.close()
                socket.send_fds(self._launcher(), [b"x"], handed)
        finally:
            theirs.close()
        limits = asdict(task.limits)
        parts = {"argv": list(task.argv), "files": dict(task.files), "stdin": task.stdin}
        parts |= {"collect": list(task.collect), "warm": task.warm if self.ready(task.limits) else ""}
        with contextlib.suppress(OSError):  # its outcome will be that it is lost
            wire.send(ours, {**parts, **limits})
        return Running(ours)

    def beside(self) -> Box:
        """A box for the tests of programs that run here, of whose interpreter a program knows nothing.

        All that is forked from one interpreter has its addresses and its hashes of texts.
        """
        if self._beside is None:
            self._beside = Box(self.isolation)
        return self._beside

    def ready(self, limits: Limits) -> bool:
        """Whether an interpreter stands ready to be forked here for programs under `limits`."""
        return self.isolation == "kernel" and limits.memory >= ROOMY

    def probe(self) -> None:
        """Raises Unavailable where programs cannot be isolated here."""
        self._launcher()

    def _launcher(self) -> socket.socket:
        if self._control is not None:
            return self._control
        if not sys.platform.startswith("linux"):
            raise Unavailable(f"running programs needs Linux, not {platform.system()}")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        root = str(Path(__file__).parents[2])
        try:
            self._process = subprocess.Popen(
                [PYTHON, *warm.FLAGS, "-c", START, self.isolation, *prefixes(), root],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=warm.ENVIRONMENT,
                start_new_session=True,
            )
        finally:
            theirs.close()
        try:
            answer = wire.receive(self._control)
        except EOFError:
            self.close()
            raise R1Error("the sandbox's launcher ended at its start; see above") from None
        if "refused" in answer:
            self.close()
            raise Unavailable(
                f"programs cannot be isolated here ({answer['refused']}); {remedy()}"
                ", or, where this machine may be harmed, say code:sandbox=none"
            )
        return self._control


class Running:
    """A program that was started."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def outcome(self) -> Outcome:
        """Waits for its end."""
        with self._channel:
            try:
                answer: dict[str, Any] = wire.receive(self._channel)
            except EOFError:
                return Outcome("lost")
        if answer["ended"] == "broken":
            raise R1Error(f"the sandbox failed: {answer['stderr'].decode(errors='replace')}")
        return Outcome(**answer)

    def kill(self) -> None:
        """Ends it; nobody learns how it went."""
        self._channel.close()


def compiler() -> str | None:
    """The path of g++, or None."""
    return shutil.which("g++", path=f"/usr/local/bin:/usr/bin:/bin:{os.environ.get('PATH', '')}")


def prefixes() -> list[str]:
    """Where the interpreter and the compiler live, beside /usr."""
    found = [sys.base_prefix, sys.base_exec_prefix, str(Path(PYTHON).parents[1])]
    gxx = compiler()
    if gxx:
        found.append(str(Path(gxx).resolve().parents[1]))
    return [each for each in dict.fromkeys(found) if each not in ("/", "/usr")]


@functools.cache
def probed(isolation: Isolation) -> None:
    """Raises Unavailable where programs cannot be isolated here; tried once a process."""
    with Box(isolation) as box:
        box.probe()


@functools.cache
def shared(isolation: Isolation) -> Box:
    """The process's own box, for all programs that it judges."""
    return Box(isolation)
