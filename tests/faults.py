"""Runs `r1` with one fault: the n-th system call on files below a folder fails, is short, or is its last.

`Machine` is a process that has imported everything and forks for each command, so that one costs some ten
milliseconds instead of seconds; tests/faults.c, loaded before the C library, sees the calls of Python, Rust
and torch alike.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

TESTS = Path(__file__).resolve().parent
HEAD = struct.Struct("512s4i2q2i")  # of `struct plan`
POINT = struct.Struct("16s240s")
POINTS = 4096
COUNT, FAIL, FAIL_ON, SHORT, SHORT_ON, KILL_BEFORE, KILL_AFTER, SHRINK = range(8)
ALTER, READ, CLOCK = 1, 2, 4
NAMES = ("count", "fail", "fail on", "short", "short, full", "kill", "kill after", "shrink")


@dataclass(frozen=True)
class Fault:
    """What happens at the `at`-th call of these kinds; COUNT only counts them."""

    how: int = COUNT
    at: int = 0
    error: int = 0
    kinds: int = ALTER
    everywhere: bool = False  # whether calls on files outside of the folder count too
    seconds: float = 0.0  # after which the command is killed, where that is no call

    @property
    def name(self) -> str:
        return "kill in time" if self.seconds else NAMES[self.how]

    @property
    def kills(self) -> bool:
        return self.seconds > 0 or self.how in (KILL_BEFORE, KILL_AFTER)


@dataclass(frozen=True)
class Ended:
    """How a command ended, and the calls it made: (call, path below the root)."""

    code: int
    stderr: str
    stdout: bytes
    count: int
    calls: list[tuple[str, str]]


def compiled(folder: Path) -> Path | None:
    """tests/faults.c as a library, or None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    made = folder / "faults.so"
    line = [compiler, "-O1", "-shared", "-fPIC", "-o", made, TESTS / "faults.c", "-ldl"]
    subprocess.run(line, check=True)
    return made


class Machine:
    """Runs commands, one at a time, each in a fork of one process. `root` is where faults happen."""

    def __init__(self, library: Path, folder: Path, *imports: str) -> None:
        """`imports` are modules to load beforehand."""
        self.plan = folder / "plan"
        self.plan.write_bytes(bytes(HEAD.size + POINTS * POINT.size))
        self.stderr, self.stdout = folder / "stderr", folder / "stdout"
        environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
        environment |= {"TOKENIZERS_PARALLELISM": "false", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, *imports],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=TESTS.parent,
        )  # fmt: skip

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    def run(
        self,
        arguments: Sequence[object],
        *,
        root: Path,
        fault: Fault = Fault(),
        stdin: Path | None = None,
        timeout: float = 120,
        **environment: str,
    ) -> Ended:
        """One command to its end. AssertionError where it does not end in time."""
        head = HEAD.pack(
            b"" if fault.everywhere else os.fsencode(root),
            fault.how,
            fault.error,
            fault.kinds,
            0,
            fault.at,
            0,
            0,
            0,
        )
        with open(self.plan, "r+b") as stream:
            stream.write(head)
        asked = {
            "arguments": [str(each) for each in arguments],
            "stdin": str(stdin or os.devnull),
            "stdout": str(self.stdout),
            "stderr": str(self.stderr),
            "plan": str(self.plan),
            "seconds": fault.seconds or timeout,
            "environment": environment,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert fault.seconds or not answer["late"], f"no end of {arguments} under {fault}"
        with (
            open(self.plan, "rb") as stream,
            mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as m,
        ):
            *_, count, _, _ = HEAD.unpack_from(m)
            calls = [POINT.unpack_from(m, HEAD.size + i * POINT.size) for i in range(min(count, POINTS))]
        return Ended(
            answer["code"],
            self.stderr.read_text("utf-8", "replace"),
            self.stdout.read_bytes(),
            count,
            [(_text(call), _text(path)) for call, path in calls],
        )


def _text(field: bytes) -> str:
    return os.fsdecode(field.partition(b"\0")[0])


@contextlib.contextmanager
def machine(folder: Path, library: Path, *imports: str) -> Iterator[Machine]:
    """A `Machine` that ends with the block."""
    made = Machine(library, folder, *imports)
    try:
        yield made
    finally:
        made.close()


# What follows runs in the process that forks.


def serve(imports: Sequence[str]) -> None:
    """Answers one line of JSON with another, until there are no more."""
    use = ctypes.CDLL(None).faults_use
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warm(imports)
    gc.freeze()  # or each child's collector would copy the pages of all that is imported
    for line in os.fdopen(os.dup(0), "rb"):
        asked = json.loads(line)
        loaded = os.fdopen(os.memfd_create("loaded"), "w+")
        child = os.fork()
        if not child:
            _perform(asked, use, loaded)
        answers.write(json.dumps(_waited(child, asked["seconds"])).encode() + b"\n")
        answers.flush()
        _load(loaded)
    os._exit(0)  # some libraries complain at a regular end


def _waited(child: int, seconds: float) -> dict[str, Any]:
    """Waits for the end of `child`, which is killed where it does not come in time."""
    handle = os.pidfd_open(child)
    late = not select.select([handle], [], [], seconds)[0]
    if late:
        os.kill(child, signal.SIGKILL)
    os.close(handle)
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "late": late}


def _load(names: TextIO) -> None:
    """Imports what a command that has ended by itself had to import, for those that follow."""
    with names:
        names.seek(0)
        found = names.read().split()
    for name in found:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if found:
        gc.freeze()


def _perform(asked: dict[str, Any], use: Any, loaded: TextIO) -> None:
    """One command in this process, which ends. What it has imported is written to `loaded`."""
    before = set(sys.modules)
    os.setsid()
    for number, (name, flags) in enumerate(
        [
            ("stdin", os.O_RDONLY),
            *[(n, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for n in ("stdout", "stderr")],
        ]
    ):
        handle = os.open(asked[name], flags, 0o666)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, closefd=False)
    os.environ.update(asked["environment"], R1_FAULTS=asked["plan"])
    tempfile.tempdir = None
    with open(asked["plan"], "r+b") as stream:
        stream.seek(512 + 12)
        stream.write(struct.pack("i", os.getpid()))
    sys.argv = ["r1", *asked["arguments"]]
    from r1cli.main import main

    code: Any = 1
    use(asked["plan"].encode())
    try:
        main(asked["arguments"])
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    use(b"")  # what follows is no part of the command
    print(*(name for name in sys.modules if name not in before), file=loaded, flush=True)
    os._exit(code if isinstance(code, int) else 1)


def warm(imports: Sequence[str]) -> None:
    """Loads modules; with stages.sft also what transformers loads when it makes, reads and trains a model."""
    for name in imports:
        importlib.import_module(name)
    if "stages.sft" not in imports:
        return
    from stages import init, sft
    from stages.settings.groups import Engine

    with tempfile.TemporaryDirectory() as folder:
        model, trained = Path(folder, "model"), Path(folder, "trained")
        init.run(init.Settings(out=model, hidden=16, layers=1, heads=2, context=32))
        record = {"id": "a", "prompt": "1", "completion": "2"}
        sft.run(
            [record],
            sft.Settings(
                model=str(model),
                out=trained,
                template="none",
                epochs=1,
                engine=Engine(device="cpu", threads=1),
            ),
        )


if __name__ == "__main__":
    serve(sys.argv[1:])
