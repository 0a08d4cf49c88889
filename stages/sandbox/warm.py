"""An interpreter that stands ready: the launcher, beside its work, so that a program need not start one.

A program's process is a fork of it that has given up everything, as one that executes does. It finds what a
fresh interpreter would show: arguments, streams, signals, an empty `__main__`, and of the harness only what
it is to run. The launcher never reads a program, a test or an answer: none of them is in what is copied.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import io
import os
import signal
import sys
from types import ModuleType

# What an interpreter without site and without the user's settings is started with, and all that it inherits.
FLAGS = ("-I", "-S", "-B")
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "utf-8",
}
MODE = {"stdin": "r", "stdout": "w", "stderr": "w"}
AFTER = len(FLAGS) + 3  # the first argument that is the source's own
HARNESS = ("callee", "caller")  # modules of this room that run in a box
FRESH = (
    "__name__", "__doc__", "__package__", "__loader__", "__spec__", "__annotations__", "__builtins__",
)  # fmt: skip


READY: dict[str, ModuleType] = {}  # modules of this project, which a fork does not find unasked
LOADED: dict[str, ModuleType] = {}  # and all others, for as long as the process lives


def prepare() -> None:
    """Loads what programs and the harness import, and leaves nothing else for a program to see."""
    for name in HARNESS:
        importlib.import_module(f"stages.sandbox.{name}")
    for name in sys.modules["stages.sandbox.callee"].MODULES:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "stages"]:
        READY[name] = sys.modules.pop(name)
    # Where it was found.
    project = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    for path in [path for path in sys.path_importer_cache if path.startswith(project)]:
        del sys.path_importer_cache[path]
    LOADED.update(sys.modules)
    for name in ("sys", "builtins", "__main__"):
        del LOADED[name]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(LOADED))  # nobody gives this back
    space = vars(sys.modules["__main__"])
    for name in set(space).difference(FRESH):
        del space[name]
    # Collecting garbage would touch, and so copy, all that is here in each fork.
    gc.collect()
    gc.freeze()


def begin(kind: str, argv: list[str]) -> str:
    """Makes this process look like the start of `argv`: an interpreter, FLAGS, `-c`, and what follows.

    `kind` is "program", or a module of HARNESS that the source may import.
    """
    sys.orig_argv, sys.argv = argv, ["-c", *argv[AFTER:]]
    _open_streams()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if kind == "program":
        atexit.register(_spare)
    else:
        for name in ("stages", "stages.sandbox", "stages.sandbox.values", f"stages.sandbox.{kind}"):
            sys.modules[name] = READY[name]
    return argv[AFTER - 1]


def _spare() -> None:
    """At the end, when all that the program has registered is done: leaves alone what it was forked with.

    To take that down object by object would copy it.
    """
    for name in LOADED:
        sys.modules.pop(name, None)


def _open_streams() -> None:
    """Standard input, output and error as an interpreter opens them in the box's locale."""
    for number, (name, mode) in enumerate(MODE.items()):
        errors = "backslashreplace" if name == "stderr" else "surrogateescape"
        raw = io.FileIO(number, mode, closefd=False)
        raw.name = f"<{name}>"
        kind = io.BufferedReader if mode == "r" else io.BufferedWriter
        buffer = kind(raw, os.fstat(number).st_blksize)
        text = io.TextIOWrapper(buffer, "utf-8", errors, "\n", line_buffering=name == "stderr")
        text.mode = mode  # type: ignore[misc]
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
