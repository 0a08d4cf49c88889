"""The processes that train one model together, and what they tell each other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import torch

from stages.data import rank
from stages.data.errors import Forsaken, R1Error, UsageError
from stages.data.options import Engine, Parallelism, cores
from stages.data.report import SILENT, Report

# A teacher's completions may take rank 0 days. A rank that dies is noticed by whoever started it, not by a time-out.
PATIENCE = timedelta(days=30)
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
# What gloo, NCCL and their store say when the other end is gone.
GONE = re.compile(r"gloo|NCCL|[Cc]onnection (closed|reset|was)|Broken pipe|TCPStore|Socket Timeout")


@dataclass(frozen=True)
class World:
    """This process is `rank` of `size`; `local` is its number on its own machine."""

    rank: int = 0
    size: int = 1
    local: int = 0
    group: Any = None  # for objects: gloo, which needs no GPU
    parallelism: Parallelism = field(default_factory=Parallelism)

    @property
    def shares(self) -> bool:
        """Whether DeepSpeed shares out what training holds in memory; without it every rank holds all of it."""
        return bool(self.parallelism.zero) or self.parallelism.deepspeed is not None

    @property
    def cores(self) -> int:
        """CPU cores for each process, or 0 for all of them."""
        return max(1, cores() // rank.local_size()) if self.size > 1 else 0

    def gather(self, value: Any) -> list[Any]:
        """The `value` of each rank, in the order of ranks; all ranks call this together."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.group)
        return found

    def agree(self, failure: R1Error | None) -> None:
        """Raises the first `failure` that any rank has, on all of them."""
        for each in self.gather(failure):
            if each is not None:
                raise each

    def apart(self) -> World:
        """The same processes with a channel of its own, for another thread."""
        if self.size == 1:
            return self
        import torch.distributed as dist

        return replace(self, group=dist.new_group(backend="gloo", timeout=PATIENCE))

    def placed(self, engine: Engine) -> Engine:
        """`engine` with a GPU for each process of a machine. Raises UsageError for --device cuda:N."""
        if self.size == 1 or engine.device == "cpu" or not torch.cuda.is_available():
            return engine
        if ":" in engine.device:
            raise UsageError(f"--device {engine.device}: with several processes each has its own")
        return replace(engine, device=f"cuda:{self.local}")

    def speaker(self, report: Report) -> Report:
        """`report` for rank 0, silence for the others."""
        return SILENT if self.rank else report


@contextmanager
def joined(parallelism: Parallelism) -> Iterator[World]:
    """The world this process belongs to, connected while the block runs.

    Raises UsageError where `nproc` processes were asked for and not started, Forsaken where another process of the
    world is gone.
    """
    size = rank.size()
    if parallelism.nproc not in (1, size):
        raise UsageError(
            f"--nproc {parallelism.nproc}: the processes are started by the r1 command alone"
            + (f", and here another launcher has started {size}" if size > 1 else "")
        )
    if parallelism.offload != "none" and not parallelism.zero and parallelism.deepspeed is None:
        raise UsageError(f"--offload {parallelism.offload} is DeepSpeed's; give --zero 1, 2 or 3")
    if size == 1:
        yield World(parallelism=parallelism)
        return
    import torch.distributed as dist

    own = not dist.is_initialized()
    try:
        if own:
            if rank.local_rank() < torch.cuda.device_count():
                torch.cuda.set_device(rank.local_rank())
            os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
            device = "cuda" if torch.cuda.is_available() else "cpu"
            dist.init_process_group(BACKENDS[device], timeout=PATIENCE)
        group = dist.new_group(backend="gloo", timeout=PATIENCE)
        yield World(rank.rank(), size, rank.local_rank(), group, parallelism)
    except RuntimeError as error:
        if GONE.search(str(error)):
            said = str(error).partition("\n")[0]
            raise Forsaken(f"lost the other processes of the run ({said})") from error
        raise
    if own:
        dist.destroy_process_group()
