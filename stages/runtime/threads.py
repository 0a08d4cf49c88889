"""How many CPU threads and cores this process may use."""

from __future__ import annotations

import os


def threads(asked: int = 0) -> int:
    """CPU threads to compute with: those asked for, else OMP_NUM_THREADS, else one for each core."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    return asked or (int(named) if named.isdecimal() and int(named) else cores())


def cores() -> int:
    """CPU cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
