"""Who speaks where several processes run one command: rank 0 for all, another rank only where it alone has
failed.
"""

from __future__ import annotations

import os
import time

from r1cli.console import Console
from r1cli.signature import Stage
from r1cli.streams import Terminated
from stages.runtime import rank
from stages.runtime.errors import DryRun, PeerLost, R1Error, UsageError

# Seconds. What all ranks find wrong, each by itself, rank 0 says within its turn: a long one where this
# process has taken long so far, as on a busy machine. Whoever started the processes ends them within END.
TURN, LONG_TURN, END = 6.0, 20.0, 15.0
BEGUN = time.monotonic()


def rank_in(stage: Stage) -> int:
    """This process's rank among those that run `stage` together."""
    return rank.rank() if "Parallelism" in stage.panels else 0


def together(stage: Stage) -> bool:
    """Whether a launcher has started this process and others to run `stage`."""
    return "Parallelism" in stage.panels and rank.size() > 1


def hush() -> None:
    """Keeps torch's own words on a lost connection, a page of C++ frames, from stderr; r1 tells of it."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def refuse_stdin(files: tuple[str, ...]) -> None:
    """Raises UsageError where the processes of torchrun or deepspeed would share one stdin."""
    if rank.PARENT not in os.environ and (not files or "-" in files):
        raise UsageError("stdin cannot be read by several processes; name FILEs, or start them with --nproc")


def tell(console: Console, error: BaseException, message: str) -> None:
    """Says why this one of several processes ends, unless that is said elsewhere."""
    here = rank.rank()
    if isinstance(error, DryRun) and here:
        return
    if isinstance(error, R1Error) and error.common and here:
        time.sleep(END)  # the first process that ends makes its launcher end the others
        return
    if isinstance(error, KeyboardInterrupt | Terminated):
        if here or rank.PARENT in os.environ:
            return
    elif isinstance(error, PeerLost):
        time.sleep(END)
    elif here:
        time.sleep(min(max(TURN, time.monotonic() - BEGUN), LONG_TURN))
    console.error(f"rank {here}: {message}" if here else message)
