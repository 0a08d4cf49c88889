"""Connections to one HTTP server that are kept open between requests and can be broken off from another thread.

The proxies that `http_proxy`, `https_proxy` and `no_proxy` name are used.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import urllib.parse
import urllib.request
from collections.abc import Mapping

from stages.data.errors import Unavailable

CONNECT = 20.0  # seconds for a connection to be made


class Connections:
    """As many connections to `url` as threads ask at once. `timeout` is in seconds, for one answer.

    Raises Unavailable where `url` is no address.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        parts = urllib.parse.urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise Unavailable(f"{url}: no address; write http://HOST:PORT/v1")
        self._host, self._port, self._path = parts.hostname, port, parts.path
        self._secure, self.timeout = parts.scheme == "https", timeout
        named = None if urllib.request.proxy_bypass(parts.netloc) else _proxy(parts.scheme)
        self._proxy = named and urllib.parse.urlsplit(named if "//" in named else f"//{named}")
        if self._proxy and not self._secure:  # a proxy is asked for http by the whole address
            self._path = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self._idle: list[http.client.HTTPConnection] = []
        self._busy: set[http.client.HTTPConnection] = set()

    def ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The status, headers and body of the answer. Raises OSError or HTTPException where there is none."""
        connection = self._take()
        self._busy.add(connection)
        try:
            connection.request(method, self._path + path, body, dict(headers))
            response = connection.getresponse()
            answer = response.status, response.headers, response.read()
        except BaseException:
            connection.close()
            raise
        else:
            self._idle.append(connection)
            return answer  # type: ignore[return-value]  # its headers are a mapping in all but name
        finally:
            self._busy.discard(connection)

    def _take(self) -> http.client.HTTPConnection:
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                connection = self._idle.pop()
                if connection.sock is None or not _hung_up(connection.sock):
                    return connection
                connection.close()
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        if self._proxy and self._secure:
            made = kind(self._proxy.hostname or "", self._proxy.port, timeout=CONNECT)
            made.set_tunnel(self._host, self._port)
        elif self._proxy:
            made = kind(self._proxy.hostname or "", self._proxy.port, timeout=CONNECT)
        else:
            made = kind(self._host, self._port, timeout=CONNECT)
        made.connect()
        made.sock.settimeout(self.timeout)
        return made

    def close(self) -> None:
        """Breaks off every request that waits for its answer, and closes what is open."""
        for connection in list(self._busy):
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        self.drop_idle()

    def drop_idle(self) -> None:
        """The next request gets a connection of its own."""
        while self._idle:
            self._idle.pop().close()


def _proxy(scheme: str) -> str | None:
    return urllib.request.getproxies().get(scheme)


def _hung_up(sock: socket.socket) -> bool:
    """Whether an idle connection has something to read, which is its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
