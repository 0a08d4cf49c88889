"""`r1` as a fork of one process that has loaded torch and transformers, which takes seconds each time.

For tests that run hundreds of commands and look at what they do, not at how they start. `commands` gives a
folder for PATH with a program `r1`: commands of models are forked, all others are the real program.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from faults import warm

TESTS = Path(__file__).resolve().parent
# Variables that libraries read as they are loaded: where these differ, the program starts anew.
READ_AT_START = ("HF_", "TRANSFORMERS_", "OMP_", "TORCH", "PYTHON", "LD_", "CUDA_", "R1_STAGES")
CLIENT = r"""#!{python} -ISE
import json, os, signal, socket, sys

MODELS = ("generate", "eval", "ask", "sft", "grpo", "distill", "init", "convert", "reward-model")

if sys.argv[1:3] == ["-m", "r1cli"]:  # as r1 starts the processes of --nproc
    del sys.argv[1:3]
at_start = {{name: value for name, value in os.environ.items() if name.startswith({read})}}
if sys.argv[1:2] == [] or sys.argv[1] not in MODELS or at_start != {at_start}:
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode("ascii")
socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
server.sendall(asked)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
for handle in (0, 1, 2):
    os.close(handle)
code = int.from_bytes(server.recv(4), "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextlib.contextmanager
def commands(environment: dict[str, str], *imports: str) -> Iterator[Path]:
    """The folder that stands first in PATH; `environment` is that of the commands, `imports` what they load
    besides what all of them do.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = folder / "address"
        real = Path(sys.executable).parent / "r1"
        at_start = {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}
        known = {"at_start": at_start, "read": READ_AT_START, "real": str(real), "address": str(address)}
        text = CLIENT.format(python=sys.executable, **known)
        (folder / "r1").write_text(text, "utf-8")
        (folder / "r1").chmod(0o755)
        line = [sys.executable, __file__, str(address), *imports]
        server = subprocess.Popen(line, env=environment, cwd=TESTS.parent, stdout=subprocess.PIPE)
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n"
            yield folder
        finally:
            server.kill()
            server.wait()
            server.stdout.close()


# What follows runs in the process that forks.


def serve(address: str, *imports: str) -> None:
    """Answers each connection in a fork of its own, until it is killed."""
    ready, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    stages = ("init", "ask", "sft", "eval", "grpo", "distill")
    warm(("r1cli.run", *(f"stages.{name}" for name in stages), *imports))
    gc.freeze()  # or each child's collector would copy the pages of all that is imported
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    os.write(ready, b"ready\n")
    os.close(ready)
    while True:
        connection, _ = listener.accept()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not os.fork():
            listener.close()
            _answer(connection)
        connection.close()


def _answer(connection: socket.socket) -> None:
    """One command to its end, which is that of this process: a client that is killed takes it along."""
    head, handles, _, _ = socket.recv_fds(connection, 8, 3)
    asked = b""
    while len(asked) < int.from_bytes(head, "big"):
        asked += connection.recv(1 << 16)
    arguments, folder, environment = json.loads(asked)
    child = os.fork()
    if not child:
        connection.close()
        for number, handle in enumerate(handles):
            os.dup2(handle, number)
        os.closerange(3, 256)
        _perform(arguments, folder, environment)
    for handle in (0, 1, 2, *handles):
        os.close(handle)
    ended = os.pidfd_open(child)
    while ended not in select.select([ended, connection], [], [])[0]:
        signals = connection.recv(1)
        os.kill(child, signals[0] if signals else signal.SIGKILL)
        if not signals:
            break
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(code.to_bytes(4, "big", signed=True))
    os._exit(0)


def _perform(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment, TOKENIZERS_PARALLELISM="false")
    tempfile.tempdir = None
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, name, os.fdopen(number, mode, closefd=False))
    sys.argv = ["r1", *arguments]
    from r1cli.main import main

    code: object = 1
    try:
        main(arguments)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve(*sys.argv[1:])
