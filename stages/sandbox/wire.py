"""Messages between the parent and the launcher: a length, then the value.

Both ends are this program on the same interpreter; a program under test has an end of neither socket.
"""

from __future__ import annotations

import marshal
import socket
import struct
from typing import Any

LENGTH = struct.Struct("<Q")


def send(channel: socket.socket, value: Any) -> None:
    """Sends one value made of plain types."""
    body = marshal.dumps(value)
    channel.sendall(LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket) -> Any:
    """The next value. Raises EOFError where the other end is gone."""
    (length,) = LENGTH.unpack(_exactly(channel, LENGTH.size))
    return marshal.loads(_exactly(channel, length))


def _exactly(channel: socket.socket, size: int) -> bytes:
    pieces = []
    while size:
        try:
            piece = channel.recv(min(size, 1 << 20))
        except ConnectionError:
            piece = b""
        if not piece:
            raise EOFError("the other end is gone")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
