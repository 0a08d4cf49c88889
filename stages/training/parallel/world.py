"""The processes that train one model together, and what they tell each other."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import torch

from stages.runtime import rank
from stages.runtime.errors import PeerLost, R1Error, UsageError
from stages.runtime.report import SILENT, Report
from stages.runtime.threads import cores
from stages.settings.groups import Engine, Parallelism
from stages.training.parallel.configuration import check_started, stage_of
from stages.training.parallel.peers import MARGIN, Peers

# Of what waits for a rank that may work for days, as where a teacher samples; `Peers` ends it where one falls
# silent, and gloo where one dies.
FOREVER = timedelta(days=30)
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
# What gloo, NCCL and their store say when the other end is gone.
GONE = re.compile(r"gloo|NCCL|[Cc]onnection (closed|reset|was)|Broken pipe|TCPStore|Socket Timeout")

PLACE = re.compile(r"^\[\S+:\d+\] ")  # of gloo's source


@dataclass(frozen=True)
class World:
    """This process is `rank` of `size`; `local` is its number on its own machine."""

    rank: int = 0
    size: int = 1
    local: int = 0
    group: Any = None  # for objects: gloo, which needs no GPU
    peers: Peers | None = None  # what the others do
    parallelism: Parallelism = field(default_factory=Parallelism)

    @property
    def sharded(self) -> bool:
        """Whether DeepSpeed shares out what training holds in memory; without it every rank holds all of
        it."""
        return bool(self.parallelism.zero) or self.parallelism.deepspeed is not None

    @property
    def stage(self) -> int:
        """That of ZeRO; 0 without it."""
        return stage_of(self.parallelism)

    @property
    def host(self) -> str:
        """What this machine calls itself."""
        return socket.gethostname()

    @property
    def cores(self) -> int:
        """CPU cores for each process, or 0 for all of them."""
        return max(1, cores() // rank.local_size()) if self.size > 1 else 0

    def gather(self, value: Any) -> list[Any]:
        """The `value` of each rank, in the order of ranks; all ranks call this together, and wait for one
        that works for hours.
        """
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        self.meet()
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.group)
        return found

    def meet(self) -> None:
        """Returns when all ranks are here. Between two meetings none may work alone for longer than
        `timeout`. Raises RuntimeError where one is gone.
        """
        if self.peers is None:
            return
        before = self.peers.does(f"waits for the others after it {self.peers.doing}")
        work = self.group.allreduce([torch.zeros(1)])
        begun = time.monotonic()
        while not work.is_completed():
            # Adds no more than a twentieth to what is waited.
            time.sleep(min(max((time.monotonic() - begun) / 20, 1e-4), 0.2))
        work.wait()
        self.peers.does(before)

    def does(self, what: str) -> None:
        """Says to the others what this rank is about, such as `samples for step 3`."""
        if self.peers is not None:
            self.peers.does(what)

    @property
    def timeout(self) -> timedelta:
        """How long a collective waits for those that do not take part."""
        return timedelta(minutes=self.parallelism.peer_timeout) + MARGIN

    def agree(self, failure: R1Error | None) -> None:
        """Raises the first `failure` that any rank has, on all of them; of another than rank 0 with its
        name.
        """
        if self.size == 1:
            if failure is not None:
                raise failure
            return
        for number, each in enumerate(self.gather(failure and (self.host, failure))):
            if each is not None:
                host, error = each
                if number:
                    error.args = (f"rank {number} on {host}: {error.args[0]}", *error.args[1:])
                error.common = True
                raise error

    def new_group(self) -> World:
        """The same processes with a channel of its own, for another thread."""
        if self.size == 1:
            return self
        import torch.distributed as dist

        return replace(self, group=dist.new_group(backend="gloo", timeout=FOREVER))

    def placed(self, engine: Engine) -> Engine:
        """`engine` with a GPU for each process of a machine. Raises UsageError for --device cuda:N."""
        if self.size == 1 or engine.device == "cpu" or not torch.cuda.is_available():
            return engine
        if ":" in engine.device:
            raise UsageError(f"--device {engine.device}: with several processes each has its own")
        return replace(engine, device=f"cuda:{self.local}")

    def main_report(self, report: Report) -> Report:
        """`report` for rank 0, silence for the others."""
        return SILENT if self.rank else report


@contextmanager
def joined(parallelism: Parallelism) -> Iterator[World]:
    """The world this process belongs to, connected while the block runs.

    Raises UsageError where `nproc` processes were asked for and not started, PeerLost where another process
    of the world is gone.
    """
    check_started(parallelism)
    size = rank.size()
    if size == 1:
        yield World(parallelism=parallelism)
        return
    import torch.distributed as dist

    own = not dist.is_initialized()
    peers: Peers | None = None
    try:
        world = _connected(World(rank.rank(), size, rank.local_rank(), parallelism=parallelism))
        peers = world.peers
        yield world
        with suppress(RuntimeError):  # who was here first may have left
            world.meet()
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or GONE.search(str(error)):
            said = PLACE.sub("", str(error).partition("\n")[0]).partition(". ")[0]
            who = f": {peers.missing()}" if peers is not None else ""
            raise PeerLost(f"lost the other processes of the run{who} ({said})") from error
        raise
    finally:
        if peers is not None:
            peers.end()
    if own:
        dist.destroy_process_group()


def _connected(world: World) -> World:
    """`world` with its channels, and with signs of life, as soon as all ranks are there."""
    import torch.distributed as dist

    if not dist.is_initialized():
        if rank.local_rank() < torch.cuda.device_count():
            torch.cuda.set_device(rank.local_rank())
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dist.init_process_group(BACKENDS[device], timeout=world.timeout)
    group = dist.new_group(backend="gloo", timeout=FOREVER)
    store = dist.PrefixStore("r1", dist.distributed_c10d._get_default_store())  # type: ignore[attr-defined]
    peers = Peers(store, world.rank, world.size, world.host, world.parallelism.peer_timeout)
    world = replace(world, group=group, peers=peers)
    world.meet()
    peers.begin()
    return world
