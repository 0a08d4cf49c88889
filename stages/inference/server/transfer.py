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
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor

from stages.inference.fingerprint import fingerprint
from stages.runtime.errors import R1Error

LINE = 65536  # bytes a line may have
GREETING = 10.0  # seconds to say the secret in
TOGETHER = 60.0  # seconds after the first worker in which the others must have come
TICK = 1.0  # seconds between two looks whether workers may still come


class Sender:
    """What workers connect to, at `port` of every address of this machine. `timeout` is for one weight."""

    def __init__(self, *, timeout: float) -> None:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._door = socket.create_server(("", 0), family=family, backlog=128, dualstack_ipv6=both)
        self._door.settimeout(TICK)
        self._timeout = timeout
        self.port = int(self._door.getsockname()[1])
        self.secret = secrets.token_hex(32)

    def close(self) -> None:
        """Lets nobody in any more."""
        self._door.close()

    def send(self, weights: Iterable[tuple[str, Tensor]], workers: int, given_up: Callable[[], bool]) -> int:
        """Gives all `weights` to as many `workers`. Returns their fingerprint.

        Raises OSError where a worker is lost or does not come; nobody is waited for where `given_up()`.
        """
        with contextlib.ExitStack() as scope:
            lines: list[socket.socket] = []
            latest = float("inf")
            while len(lines) < workers:
                if given_up() or time.monotonic() > latest:
                    raise ConnectionError(f"{len(lines)} of {workers} workers came for the weights")
                with contextlib.suppress(TimeoutError):
                    line, _ = self._door.accept()
                    scope.callback(line.close)
                    line.settimeout(GREETING)
                    if self._known(line):
                        line.settimeout(self._timeout)
                        lines.append(line)
                        latest = min(latest, time.monotonic() + TOGETHER)
                    else:
                        line.close()
            total = 0
            for name, weight in weights:
                whole = weight.detach().contiguous().cpu()
                total += fingerprint([whole])
                kind = str(whole.dtype).removeprefix("torch.")
                head = {"name": name, "dtype": kind, "shape": list(whole.shape)}
                for line in lines:
                    _say(line, head)
                    line.sendall(_bytes(whole))
            for line in lines:
                _say(line, {"fingerprint": total % 2**64})
        return total % 2**64

    def _known(self, line: socket.socket) -> bool:
        said = bytearray(len(self.secret))
        try:
            _fill(line, memoryview(said))
        except OSError:
            return False
        return hmac.compare_digest(bytes(said), self.secret.encode())


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
