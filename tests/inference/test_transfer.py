"""Weights over TCP: what comes is what was sent, to those who know the secret, and what is cut or altered is
refused.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from stages.inference.fingerprint import fingerprint
from stages.inference.server import transfer
from stages.runtime.errors import R1Error

WEIGHTS = {
    "embed": torch.randn(7, 5),
    "norm": torch.randn(5).bfloat16(),
    "turned": torch.randn(4, 6).T,
    "empty": torch.empty(0, 3),
    "scalar": torch.tensor(2.5),
}
HOST = "127.0.0.1"


@pytest.fixture
def sender() -> Iterator[transfer.Sender]:
    made = transfer.Sender(timeout=5)
    yield made
    made.close()


def sent(sender: transfer.Sender, workers: int = 1) -> Callable[[], Any]:
    """Sends in a thread; what is returned waits for it, and gives its result or raises what it raised."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(sender.send(WEIGHTS.items(), [workers], lambda _: False).fingerprint)
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def result() -> Any:
        thread.join(10)
        assert found, "it still sends"
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]

    return result


def received(sender: transfer.Sender, secret: str = "") -> dict[str, Tensor]:
    return dict(transfer.receive(HOST, sender.port, secret or sender.secrets[0], timeout=5))


def test_every_worker_gets_the_same_weights(sender: transfer.Sender) -> None:
    result = sent(sender, workers=2)
    got: list[dict[str, Tensor]] = []
    threads = [threading.Thread(target=lambda: got.append(received(sender))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(got) == 2
    for each in got:
        assert list(each) == list(WEIGHTS)
        for name, weight in WEIGHTS.items():
            assert each[name].dtype == weight.dtype
            assert torch.equal(each[name], weight)
    assert result() == fingerprint(WEIGHTS.values())


def test_who_does_not_know_the_secret_gets_nothing(sender: transfer.Sender) -> None:
    result = sent(sender)
    with pytest.raises(ConnectionError):
        received(sender, "0" * len(sender.secrets[0]))
    with socket.create_connection((HOST, sender.port)) as line:
        line.sendall(b"too short")
    assert len(received(sender)) == len(WEIGHTS)
    result()


def test_who_says_nothing_keeps_nobody_waiting(sender: transfer.Sender) -> None:
    with contextlib.ExitStack() as idle:
        for _ in range(5):
            idle.enter_context(socket.create_connection((HOST, sender.port)))
        result, began = sent(sender), time.monotonic()
        assert len(received(sender)) == len(WEIGHTS)
        result()
        assert time.monotonic() - began < 5, "five idle connections took 10 s each"


def test_a_server_that_is_lost_does_not_keep_the_weights_from_another() -> None:
    sender = transfer.Sender(timeout=5, servers=2)
    found: list[transfer.Sent] = []
    try:
        thread = threading.Thread(
            target=lambda: found.append(sender.send(WEIGHTS.items(), [1, 2], lambda server: server == 1))
        )
        thread.start()
        assert len(received(sender)) == len(WEIGHTS)
        thread.join(10)
    finally:
        sender.close()
    assert found[0].fingerprint == fingerprint(WEIGHTS.values())
    assert found[0].lost == {1: "0 of 2 workers came for the weights"}


def test_altered_weights_are_refused(sender: transfer.Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = transfer._fill

    def altered(line: socket.socket, place: memoryview) -> None:
        fill(line, place)
        if len(place) == WEIGHTS["embed"].nbytes:
            place[17] ^= 4

    monkeypatch.setattr(transfer, "_fill", altered)
    result = sent(sender)
    with pytest.raises(R1Error, match="checksums differ"):
        received(sender)
    result()


def test_a_line_that_breaks_is_no_set_of_weights(sender: transfer.Sender) -> None:
    def broken() -> Iterator[tuple[str, Tensor]]:
        yield "embed", WEIGHTS["embed"]
        raise ConnectionError("pulled out")

    def send() -> None:
        with contextlib.suppress(ConnectionError):
            sender.send(broken(), [1], lambda _: False)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(ConnectionError, match="before all weights had come"):
        received(sender)
    thread.join(10)


def test_a_worker_that_leaves_is_noticed_and_one_that_never_comes_too(
    sender: transfer.Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WEIGHTS, "larger than what a socket holds", torch.zeros(1 << 24))
    result = sent(sender)
    with socket.create_connection((HOST, sender.port)) as line:
        line.sendall(sender.secrets[0].encode())
    with pytest.raises(ConnectionError):
        result()
    with pytest.raises(ConnectionError, match="0 of 1 workers came"):
        sender.send(WEIGHTS.items(), [1], lambda _: True)


@pytest.mark.full
def test_a_worker_that_reads_nothing_for_a_while_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "larger than what a socket holds", torch.zeros(1 << 24))
    sender = transfer.Sender(timeout=180)
    try:
        result = sent(sender)
        came = transfer.receive(HOST, sender.port, sender.secrets[0], timeout=180)
        next(came)
        time.sleep(90)
        assert len(list(came)) == len(WEIGHTS) - 1
        assert result() == fingerprint(WEIGHTS.values())
    finally:
        sender.close()


def test_the_local_address_is_one_of_this_machine(sender: transfer.Sender) -> None:
    assert transfer.local_address(HOST, sender.port) == HOST
