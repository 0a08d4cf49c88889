"""Which of the processes of one run this is, as `--nproc`, torchrun or deepspeed say it in the environment."""

from __future__ import annotations

import os

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


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default
