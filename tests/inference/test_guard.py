"""What changes a server has to be signed; what only asks it, not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stages.inference.server import guard
from stages.inference.server.guard import LARGEST, Guard
from stages.runtime.errors import UsageError

KEY = "0123456789abcdef-0123456789abcdef"


def asked(
    path: str,
    body: bytes = b"{}",
    signed: str = "",
    *,
    query: bytes = b"",
    parts: int = 1,
    kind: str = "http",
) -> tuple[list[Any], bytes | None]:
    """What comes back from a guarded application, and the body that reached it."""
    reached: list[bytes] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append((await receive())["body"] if scope["type"] == "http" else b"")

    size = max(1, -(-len(body) // parts))
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]

    async def receive() -> Any:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"r1-signature", signed.encode())] if signed else []
    scope = {"type": kind, "path": path, "query_string": query, "headers": headers}
    asyncio.run(Guard(app)(scope, receive, send))
    return sent, b"".join(reached) if reached else None


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(guard.NAME, KEY)


@pytest.mark.parametrize(
    "path",
    ["/pause", "/start_weight_update", "/update_weights", "/finish_weight_update", "/update_weight_version",
     "/collective_rpc", "/sleep", "//v1/models", "/", "", "/v1x/models", "/health_", "/x/v1"],
)  # fmt: skip
def test_what_is_not_signed_does_not_reach_the_server(path: str) -> None:
    for signed in ("", "0" * 64, guard.signature(b"another secret, long", path, b"{}")):
        sent, reached = asked(path, signed=signed)
        assert reached is None
        assert sent[0]["status"] == 401
        assert KEY.encode() not in sent[1]["body"]
    assert asked(path, signed=guard.signature(KEY.encode(), path, b"{}"))[1] == b"{}"


def test_a_signature_is_for_one_path_one_query_and_one_body() -> None:
    body = b'{"new_version": "r1:1"}' * 100
    signed = guard.signature(KEY.encode(), "/pause?mode=wait", body)
    assert asked("/pause", body, signed, query=b"mode=wait", parts=7)[1] == body
    assert asked("/pause", body, signed)[1] is None
    assert asked("/pause", body + b" ", signed, query=b"mode=wait")[1] is None
    assert asked("/resume", body, signed, query=b"mode=wait")[1] is None
    huge = b"x" * (LARGEST + 1)
    assert asked("/pause", huge, guard.signature(KEY.encode(), "/pause", huge))[1] is None


@pytest.mark.parametrize(
    "path", ["/v1/models", "/inference/v1/generate", "/health", "/weight_info", "/metrics"]
)
def test_what_only_asks_passes(path: str) -> None:
    assert asked(path)[1] == b"{}"


def test_other_kinds_of_connections() -> None:
    assert asked("/pause", kind="lifespan") == ([], b"")
    sent, reached = asked("/v1/realtime", kind="websocket")
    assert (sent[0]["type"], reached) == ("websocket.close", None)


def test_a_server_without_a_secret_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(guard.NAME)
    with pytest.raises(UsageError, match="R1_WEIGHTS_SECRET is not set"):
        asked("/health")
