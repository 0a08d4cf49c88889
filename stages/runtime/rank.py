"""Which of the processes of one run this is, as `--nproc`, torchrun or deepspeed say it in the environment;
and that a process ends with the one that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl.h
# Set by `--nproc`: the process that started this one, reads stdin for it, and says how it ended.
PARENT = "R1_PARENT"


def size() -> int:
    """How many processes take part in the run, on all machines."""
    return _number("WORLD_SIZE", 1)


def rank() -> int:
    """This process among them: 0 is the one that speaks and writes."""
    return _number("RANK", 0) if size() > 1 else 0


def local_rank() -> int:
    """This process among those of its machine."""
    return _number("LOCAL_RANK", rank()) if size() > 1 else 0


def local_size() -> int:
    """How many processes take part on this machine."""
    return _number("LOCAL_WORLD_SIZE", size()) if size() > 1 else 1


def die_with(parent: int) -> None:
    """Asks the kernel for the end of this process when its parent ends, stuck or not."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it could be watched
            os._exit(1)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default
