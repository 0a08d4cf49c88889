"""A server of the OpenAI protocol for tests: real HTTP, answers of the test's own, stopped and started at
will.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# A status and a JSON value, or raw bytes; status 0 hangs up.
Reply = Callable[[dict[str, Any]], tuple[int, Any]]


class Served:
    """`reply` makes the answers, `models` is the page of that name and of all that `pages` lacks, `asked`
    holds the requests.
    """

    def __init__(self, owner: str = "vllm") -> None:
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.signatures: list[str] = []
        self.bodies: list[bytes] = []
        self.connections: set[socket.socket] = set()
        self.accepted = 0
        self.headers: dict[str, str] = {}
        self.reply: Reply = lambda body: says("The two are equal.\nVerdict: 1")
        self.pages: dict[str, tuple[int, Any]] = {}
        self.models: tuple[int, Any] = (200, {"data": [{"id": "m", "owned_by": owner}]})
        self.http = self._start(0)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def start(self) -> None:
        """Comes back at the same address."""
        self.http = self._start(self.http.server_port)

    def stop(self) -> None:
        """Goes away with everything in flight, as a killed process does."""
        self.http.shutdown()
        self.http.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _start(self, port: int) -> ThreadingHTTPServer:
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                served.accepted += 1
                served.connections.add(self.connection)

            def finish(self) -> None:
                served.connections.discard(self.connection)
                with contextlib.suppress(OSError):
                    super().finish()

            def do_GET(self) -> None:
                served.paths.append(self.path)
                self._answer(*served.pages.get(self.path, served.models))

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(data)
                served.bodies.append(data)
                served.signatures.append(self.headers.get("R1-Signature", ""))
                served.asked.append(body)
                served.paths.append(self.path)
                served.keys.append(self.headers["Authorization"])
                self._answer(*served.reply(body))

            def _answer(self, status: int, reply: Any) -> None:
                if not status:
                    self.close_connection = True
                    return
                data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in served.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass  # a client that hung up

        http = Quiet(("127.0.0.1", port), Handler)
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        return http


def says(text: str | None, finish: str = "stop", **message: Any) -> tuple[int, dict[str, Any]]:
    """An answer of /chat/completions."""
    choice = {"message": {"content": text, **message}, "finish_reason": finish}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}


def goes_on(text: str, finish: str | None = "stop", **more: Any) -> tuple[int, dict[str, Any]]:
    """An answer of /completions."""
    choice = {"text": text, "finish_reason": finish, **more}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
