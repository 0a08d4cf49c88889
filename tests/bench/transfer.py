"""How fast weights go from a trainer to the workers of its servers, beside gloo's broadcast and plain TCP.

    python tests/bench/transfer.py [--mib N] [--pairs N] [WORKERS...]

Sixteen tensors, N MiB in all (512), go from one process to 1, 2 and 4 others over the loopback. Ours counts
checksums on both sides and asks for the secret; gloo broadcasts from rank 0 into memory that is there; TCP is
`sendall` of the same bytes to one after the other, thrown away there. The three take turns. A line for each
turn gives MB of weights per second until the last worker has them, the last line for each number of workers
the medians of ours against the others.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from stages.inference.server import transfer

TENSORS = 16
HOST = "127.0.0.1"


def tensors(mib: int, *, filled: bool) -> list[Tensor]:
    make = torch.randn if filled else torch.zeros
    return [make(mib * 2**18 // TENSORS) for _ in range(TENSORS)]


def _take(port: int, secret: str, ready: Any, done: Any) -> None:
    torch.set_num_threads(1)
    ready.wait()
    for _ in transfer.receive(HOST, port, secret, timeout=60):
        pass
    done.put(time.time())


def ours(mib: int, workers: int) -> float:
    sender = transfer.Sender(timeout=60)
    weights = [(str(number), each) for number, each in enumerate(tensors(mib, filled=True))]
    return _timed(
        workers,
        _take,
        (sender.port, sender.secrets[0]),
        lambda: sender.send(weights, [workers], lambda _: False),
    )


def _read(port: int, ready: Any, done: Any) -> None:
    ready.wait()
    place = bytearray(1 << 20)
    with socket.create_connection((HOST, port)) as line:
        while line.recv_into(place):
            continue
    done.put(time.time())


def tcp(mib: int, workers: int) -> float:
    data = [each.numpy().data.cast("B") for each in tensors(mib, filled=True)]
    door = socket.create_server((HOST, 0), backlog=workers)

    def send() -> None:
        lines = [door.accept()[0] for _ in range(workers)]
        for each in data:
            for line in lines:
                line.sendall(each)
        for line in lines:
            line.close()

    return _timed(workers, _read, (door.getsockname()[1],), send)


def _listen(port: int, workers: int, mib: int, ready: Any, done: Any, rank: int) -> None:
    torch.set_num_threads(1)
    held = tensors(mib, filled=False)
    _join(port, rank, workers)
    ready.wait()
    _broadcast(held)
    done.put(time.time())


def _join(port: int, rank: int, workers: int) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://{HOST}:{port}", rank=rank, world_size=workers + 1
    )


def _broadcast(held: list[Tensor]) -> None:
    for each in held:
        torch.distributed.broadcast(each, 0)
    torch.distributed.barrier()


def _lead(port: int, workers: int, mib: int, ready: Any, done: Any) -> None:
    torch.set_num_threads(1)
    held = tensors(mib, filled=True)
    _join(port, 0, workers)
    ready.wait()
    done.put(time.time())
    _broadcast(held)


def gloo(mib: int, workers: int) -> float:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    ready: Any = multiprocessing.Barrier(workers + 1)
    done: Any = multiprocessing.Queue()
    given = (port, workers, mib, ready, done)
    started = [multiprocessing.Process(target=_lead, args=given)]
    started += [multiprocessing.Process(target=_listen, args=(*given, r)) for r in range(1, workers + 1)]
    return _span(started, lambda: None, done, workers + 1)


def _timed(workers: int, work: Callable[..., None], given: tuple[Any, ...], lead: Callable[[], Any]) -> float:
    ready: Any = multiprocessing.Barrier(workers + 1)
    done: Any = multiprocessing.Queue()
    started = [multiprocessing.Process(target=work, args=(*given, ready, done)) for _ in range(workers)]

    def go() -> None:
        ready.wait()
        done.put(time.time())
        lead()

    return _span(started, go, done, workers + 1)


def _span(started: list[Any], lead: Callable[[], None], done: Any, stamps: int) -> float:
    """Seconds from the first of the `stamps` to the last."""
    for each in started:
        each.start()
    lead()
    times: list[float] = [done.get() for _ in range(stamps)]
    for each in started:
        each.join()
    return max(times) - min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("workers", type=int, nargs="*", default=[1, 2, 4])
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    multiprocessing.set_start_method("spawn")
    for workers in given.workers:
        rates: dict[str, list[float]] = {"ours": [], "gloo": [], "tcp": []}
        for _ in range(given.pairs):
            for name, way in (("ours", ours), ("gloo", gloo), ("tcp", tcp)):
                rates[name].append(given.mib * 2**20 / 1e6 / way(given.mib, workers))
            print(workers, {name: round(each[-1]) for name, each in rates.items()}, flush=True)
        for other in ("gloo", "tcp"):
            ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates[other], strict=True))
            print(f"workers {workers}: ours / {other} {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
