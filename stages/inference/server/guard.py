"""What stands before a vLLM server that takes weights: `--middleware stages.inference.server.guard.Guard`.

vLLM's --api-key covers /v1 and /inference alone. Whoever reaches the port could stop the server, give it
weights and call them the trainer's. With this, what changes the server has to be signed with
`R1_WEIGHTS_SECRET` (HMAC-SHA256, over the path and the body), which the trainer and its servers have in
common and which crosses no network.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from stages.runtime.errors import UsageError

NAME = "R1_WEIGHTS_SECRET"
HEADER = "R1-Signature"
SHORTEST = 16  # characters
REMEDY = f"set it to the same on both sides, as by `export {NAME}=$(openssl rand -hex 32)`"
# What may be asked without the secret; of the first --api-key is in charge. All else is refused, what later
# versions of vLLM add too.
OPEN = ("v1", "v2", "inference", "cohere", "health", "ping", "metrics", "version", "load", "tokenize",
        "detokenize", "weight_info", "get_world_size", "is_paused")  # fmt: skip
LARGEST = 1 << 20  # bytes of a body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def secret() -> bytes:
    """The secret of this process. Raises UsageError, which does not repeat it, where it is none."""
    given = os.environ.get(NAME, "").strip()
    if not given:
        raise UsageError(f"{NAME} is not set, and a server takes no weights without it; {REMEDY}")
    if len(given) < SHORTEST:
        raise UsageError(f"{NAME} is shorter than {SHORTEST} characters; {REMEDY}")
    return given.encode()


def signature(key: bytes, target: str, body: bytes) -> str:
    """What who knows `key` sends with a request for `target`, a path with its query, and `body`."""
    return hmac.new(key, target.encode() + b"\n" + body, hashlib.sha256).hexdigest()


def is_signed(key: bytes, target: str, body: bytes, given: str) -> bool:
    """Whether `given` is that signature; how long it takes does not tell how much of it is right."""
    return hmac.compare_digest(signature(key, target, body).encode(), given.encode())


def source_of(host: str, port: int, once: str) -> str:
    """What is signed of where the workers fetch weights; `once` is the secret of one transfer."""
    return f"{host} {port} {once}"


def stored(version: int, digest: str) -> str:
    """What is signed of a version of the weights in a directory; `digest` is that of its index."""
    return f"{version} {digest}"


def is_open(path: str) -> bool:
    """Whether the page may be asked for without the secret."""
    return path.startswith("/") and path[1:].partition("/")[0] in OPEN


class Guard:
    """An ASGI application in front of `app`. Raises UsageError where this process has no secret."""

    def __init__(self, app: App) -> None:
        self.app, self._key = app, secret()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers 401 to what is neither open nor signed."""
        path = str(scope.get("path", "")).removeprefix(str(scope.get("root_path", "")))
        if scope["type"] == "lifespan" or (scope["type"] == "http" and is_open(path)):
            await self.app(scope, receive, send)
            return
        if scope["type"] == "http":
            body = await _body(receive)
            query = scope.get("query_string", b"").decode("latin-1")
            target = f"{path}?{query}" if query else path
            if body is not None and is_signed(self._key, target, body, _given(scope)):
                await self.app(scope, _again(body, receive), send)
                return
        await _refuse(scope, send)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None for one that nobody sends who gives weights."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if sum(map(len, parts)) > LARGEST:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read to who reads it next."""
    left = [body]

    async def give() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return give


def _given(scope: Message) -> str:
    name = HEADER.lower().encode()
    found = [value for key, value in scope.get("headers", ()) if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else ""


async def _refuse(scope: Message, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    said = json.dumps({"error": f"not signed with this server's {NAME}"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": said})
