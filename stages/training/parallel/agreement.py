"""What the ranks of a run must have in common, compared before the first update.

A difference ends the run on all of them, with one line that names a rank, its machine and both values. One
process has nothing to compare.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.runtime import atomic
from stages.runtime.errors import BadInput, R1Error, UsageError
from stages.training.parallel.world import World

PATIENCE = 30.0  # seconds in which what one machine writes must be seen by all; NFS keeps listings as long
SHOWN = 120  # characters of a value in a message
REMEDIES = {
    "option": "give all machines the same command line",
    "version": "install the same on all machines",
    "input": "give all machines the same files",
}


def check_alike(world: World, kind: str, facts: Mapping[str, Any]) -> None:
    """Returns where all ranks have the same `facts`, by name; `kind` is a key of `REMEDIES`.

    Raises UsageError, or for an input BadInput, on all ranks where one has another value than rank 0.
    """
    if world.size == 1:
        return
    first, *others = world.gather((world.host, dict(facts)))
    for rank, (host, found) in enumerate(others, 1):
        for name in {**first[1], **found}:
            here, there = first[1].get(name), found.get(name)
            if here != there:
                what = (
                    f"{name} is {_short(there)} for rank {rank} on {host} "
                    f"and {_short(here)} for rank 0 on {first[0]}"
                )
                if kind == "input":
                    world.agree(BadInput(what, remedy=REMEDIES[kind]))
                world.agree(UsageError(f"{what}; {REMEDIES[kind]}"))


def check_common(world: World, folder: Path) -> None:
    """Returns where every rank sees what rank 0 writes into `folder`, which is left as it was.

    Raises UsageError on all ranks where one does not, StreamError where rank 0 cannot write.
    """
    if world.size == 1:
        return
    with contextlib.ExitStack() as scope:
        name = ""
        with together(world):
            if world.rank == 0:
                name = scope.enter_context(_token(folder))
        name = world.gather(name)[0]
        found = world.gather((world.host, appears(folder / name)))
    for rank, (host, seen) in enumerate(found):
        if not seen:
            what = f"rank {rank} on {host} does not see what rank 0 on {found[0][0]} writes into {folder}"
            remedy = "give -o on a file system that all machines have in common"
            world.agree(UsageError(f"{what}; {remedy}"))


@contextlib.contextmanager
def _token(folder: Path) -> Iterator[str]:
    """The name of a new file in `folder`; both are gone after the block, but for a folder that was there."""
    path = folder / f".token-{uuid.uuid4().hex}"
    with atomic.writing(folder):
        new = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
    try:
        yield path.name
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
            if new:
                folder.rmdir()


def appears(path: Path) -> bool:
    """Whether `path` is there, or comes to be within `PATIENCE`, as where a listing is stale."""
    deadline = time.monotonic() + PATIENCE
    pause = 0.01
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        for folder in path.parents[1], path.parent:  # NFS asks its server anew when a folder is opened
            with contextlib.suppress(OSError):
                os.listdir(folder)
        time.sleep(pause)
        pause = min(2 * pause, 1.0)
    return True


@contextlib.contextmanager
def together(world: World) -> Iterator[None]:
    """Ends the block on all ranks alike: an R1Error that one of them has, all raise."""
    failure = None
    try:
        yield
    except R1Error as error:
        failure = error
    world.agree(failure)


def _short(value: Any) -> str:
    said = "none" if value is None else str(value)
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"
