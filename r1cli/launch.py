"""`--nproc`: the processes of one run on this machine, started together and ended together.

Each runs the same command line. They are in a session of their own, so that Ctrl-C reaches this process
alone, and the kernel kills them where this process is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO

from r1cli import streams
from stages.runtime import stdin
from stages.runtime.errors import R1Error, UsageError
from stages.runtime.rank import PARENT, die_with
from stages.runtime.threads import cores

PAUSE = 0.05  # seconds between two looks at the processes
PATIENCE = 3.0  # seconds from SIGTERM to SIGKILL


def launch(
    arguments: Sequence[str],
    count: int,
    *,
    files: Sequence[str],
    stdout: streams.Product,
    unfinished: Callable[[], str],
) -> int:
    """Runs the command line in `count` processes. Returns their exit code: that of the first that fails, or
    0.

    stdin is read here where no `files` are given, and each process gets a copy. `unfinished` says how to go
    on. Raises R1Error where a process was killed.
    """
    for path in files:
        if path != "-" and os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
            raise UsageError(f"{path} is no file that each process could read; pipe it into stdin")
    with contextlib.ExitStack() as stack:
        spool = None
        if not files or "-" in files:
            spool = stack.enter_context(tempfile.TemporaryFile())
            with stdin.opened() as given:
                shutil.copyfileobj(given, spool)
            spool.flush()
        running = stack.enter_context(_started(arguments, count, spool, stdout))
        return _watch(running, unfinished)


def _watch(running: Sequence[subprocess.Popen[bytes]], unfinished: Callable[[], str]) -> int:
    codes: list[int | None] = [None]
    while None in codes and not any(codes):
        codes = [process.poll() for process in running]
        time.sleep(PAUSE)
    for rank, code in enumerate(codes):
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            raise R1Error(f"rank {rank} was killed by {name}, and the run ended{unfinished()}")
    return next(filter(None, codes), 0)


@contextlib.contextmanager
def _started(
    arguments: Sequence[str], count: int, spool: IO[bytes] | None, stdout: streams.Product
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes; whatever ends the block ends them too."""
    running: list[subprocess.Popen[bytes]] = []
    parent = os.getpid()
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        PARENT: str(parent),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // count)),
    }
    try:
        for rank in range(count):
            with contextlib.ExitStack() as stack:
                stdin: IO[bytes] | int = subprocess.DEVNULL
                if spool is not None:  # opened anew: each has a place of its own in it
                    path = f"/proc/self/fd/{spool.fileno()}"
                    stdin = stack.enter_context(open(path, "rb"))
                running.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "r1cli", *arguments],
                        stdin=stdin,
                        stdout=subprocess.DEVNULL if rank else stdout.fileno(),
                        env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                        start_new_session=True,
                        preexec_fn=partial(die_with, parent),
                    )
                )
        yield running
    finally:
        _end(running)


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """SIGTERM, and SIGKILL for those that are still there after `PATIENCE`."""
    left = [process for process in running if process.poll() is None]
    for process in left:
        process.terminate()
    deadline = time.monotonic() + PATIENCE
    for process in left:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
