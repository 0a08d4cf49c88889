"""Weights on their way from a trainer to the workers of a server, over TCP.

A worker connects, says the secret it was given, and gets for each weight a line of JSON, `name`, `dtype` and
`shape`, and then its bytes; a last line has the fingerprint of them all. Nothing is pickled, and neither side
holds more than one weight besides its own.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stages.inference.fingerprint import fingerprint
from stages.runtime.errors import R1Error

LINE = 65536  # bytes a line may have
GREETING = 10.0  # seconds to say the secret in
TOGETHER = 60.0  # seconds after the first worker in which the others must have come
BROKEN = 300.0  # seconds in which a worker takes nothing of what was sent: it hangs, or its line is lost
TICK = 0.2  # seconds between two looks whether workers may still come


class Sent(NamedTuple):
    """The fingerprint of all weights, and why a server, by its number, did not get them."""

    fingerprint: int
    lost: dict[int, str]


class Sender:
    """What the workers of `servers` connect to, at `port` of every address of this machine; each server's
    have a secret of their own. `timeout` is in seconds, for one weight.
    """

    def __init__(self, *, timeout: float, servers: int = 1) -> None:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._door = socket.create_server(("", 0), family=family, backlog=128, dualstack_ipv6=both)
        self._door.setblocking(False)
        self._timeout = timeout
        self.port = int(self._door.getsockname()[1])
        self.secrets = [secrets.token_hex(32) for _ in range(servers)]

    def close(self) -> None:
        """Lets nobody in any more."""
        self._door.close()

    def send(
        self, weights: Iterable[tuple[str, Tensor]], workers: Sequence[int], given_up: Callable[[int], bool]
    ) -> Sent:
        """Gives all `weights` to as many `workers` of each server.

        A server of which a worker is lost, or does not come, gets no more; nobody is waited for where
        `given_up(server)`. Raises OSError where none is left.
        """
        with contextlib.ExitStack() as scope:
            beside = scope.enter_context(ThreadPoolExecutor(sum(workers)))  # a thread for each worker
            lines, lost = self._gathered(workers, given_up, scope)

            def begin(head: dict[str, Any], data: memoryview | None = None) -> list[tuple[int, Future[None]]]:
                return [
                    (server, beside.submit(_give, line, head, data))
                    for server in lines
                    if server not in lost
                    for line in lines[server]
                ]

            def end(given: list[tuple[int, Future[None]]]) -> None:
                for server, one in given:
                    try:
                        one.result()
                    except OSError as error:
                        lost.setdefault(server, str(error) or type(error).__name__)
                        for line in lines[server]:
                            _hang_up(line)
                if len(lost) == len(workers):
                    raise ConnectionError("; ".join(lost.values()))

            total = 0
            for name, weight in weights:
                whole = weight.detach().contiguous().cpu()
                kind = str(whole.dtype).removeprefix("torch.")
                given = begin({"name": name, "dtype": kind, "shape": list(whole.shape)}, _bytes(whole))
                total += fingerprint([whole])  # while it is on its way
                end(given)
            end(begin({"fingerprint": total % 2**64}))
        return Sent(total % 2**64, lost)

    def _gathered(
        self, workers: Sequence[int], given_up: Callable[[int], bool], scope: contextlib.ExitStack
    ) -> tuple[dict[int, list[socket.socket]], dict[int, str]]:
        """The lines to the workers of each server, and why one of them did not come.

        Who says nothing keeps nobody waiting, and is hung up on after a while.
        """
        lines: dict[int, list[socket.socket]] = {server: [] for server in range(len(workers))}
        lost: dict[int, str] = {}
        latest = float("inf")
        look = scope.enter_context(selectors.DefaultSelector())
        look.register(self._door, selectors.EVENT_READ)
        while open_ := [each for each in lines if each not in lost and len(lines[each]) < workers[each]]:
            for server in open_:
                if given_up(server) or time.monotonic() > latest:
                    came = f"{len(lines[server])} of {workers[server]}"
                    lost[server] = f"{came} workers came for the weights"
            if len(lost) == len(workers):
                raise ConnectionError("; ".join(lost.values()))
            for key, _ in look.select(TICK):
                if key.data is None:
                    self._admit(look, scope)
                elif (line := key.data.heard()) is not None:
                    look.unregister(line)
                    owner = self._server_of(bytes(key.data.said))
                    if owner is None or len(lines[owner]) >= workers[owner]:
                        line.close()
                        continue
                    line.settimeout(self._timeout)
                    if hasattr(socket, "TCP_USER_TIMEOUT"):
                        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * BROKEN))
                    lines[owner].append(line)
                    latest = min(latest, time.monotonic() + TOGETHER)
            for key in list(look.get_map().values()):
                if key.data is not None and time.monotonic() > key.data.deadline:
                    look.unregister(key.data.line)
                    key.data.line.close()
        return lines, lost

    def _admit(self, look: selectors.BaseSelector, scope: contextlib.ExitStack) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            line, _ = self._door.accept()
            scope.callback(_hang_up, line)
            line.setblocking(False)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a small weight waits for no other
            guest = Guest(line, len(self.secrets[0]), time.monotonic() + GREETING)
            look.register(line, selectors.EVENT_READ, guest)

    def _server_of(self, said: bytes) -> int | None:
        """Whose secret that is."""
        found = [hmac.compare_digest(said, secret.encode()) for secret in self.secrets]
        return found.index(True) if any(found) else None


@dataclass
class Guest:
    """Who has connected and has not said the whole secret, of `length` bytes, yet."""

    line: socket.socket
    length: int
    deadline: float
    said: bytearray = field(default_factory=bytearray)

    def heard(self) -> socket.socket | None:
        """The line, where nothing more is to be heard on it: all was said, or it broke."""
        try:
            got = self.line.recv(self.length - len(self.said))
        except BlockingIOError:
            return None
        except OSError:
            got = b""
        self.said += got
        return self.line if not got or len(self.said) == self.length else None


def receive(host: str, port: int, secret: str, *, timeout: float) -> Iterator[tuple[str, Tensor]]:
    """The weights that a `Sender` there gives to who knows its secret.

    Raises R1Error where what came is not what was sent, OSError where the connection fails.
    """
    total = 0
    with socket.create_connection((host, port), timeout=timeout) as line:
        line.sendall(secret.encode())
        while "name" in (head := _hear(line)):
            kind = getattr(torch, head["dtype"])
            flat = torch.empty(prod(head["shape"]), dtype=kind)
            _fill(line, _bytes(flat))
            total += fingerprint([flat])
            yield head["name"], flat.view(head["shape"])
    if total % 2**64 != head["fingerprint"]:
        raise R1Error("the weights that came are not those that were sent: their checksums differ")


def local_address(host: str, port: int) -> str:
    """This machine's address as who answers at `host` and `port` sees it; OSError where nobody does."""
    with socket.create_connection((host, port), timeout=20) as line:
        return str(line.getsockname()[0])


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.view(-1).view(torch.uint8).numpy().data


def _give(line: socket.socket, head: dict[str, Any], data: memoryview | None) -> None:
    _say(line, head)
    if data is not None:
        line.sendall(data)


def _hang_up(line: socket.socket) -> None:
    """Closes `line`; a thread that sends on it ends with an OSError at once."""
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


def _say(line: socket.socket, what: dict[str, Any]) -> None:
    text = json.dumps(what).encode()
    line.sendall(len(text).to_bytes(4, "big") + text)


def _hear(line: socket.socket) -> dict[str, Any]:
    size = bytearray(4)
    _fill(line, memoryview(size))
    length = int.from_bytes(size, "big")
    if length > LINE:
        raise R1Error("what came over the line are no weights")
    text = bytearray(length)
    _fill(line, memoryview(text))
    said: dict[str, Any] = json.loads(text)
    return said


def _fill(line: socket.socket, place: memoryview) -> None:
    while place:
        got = line.recv_into(place)
        if not got:
            raise ConnectionError("the line broke before all weights had come")
        place = place[got:]
