"""Connections to one HTTP server: kept open between requests, broken off from another thread.

The proxies that `http_proxy`, `https_proxy` and `no_proxy` name are used.
Own code: closing httpx or openai breaks off no waiting request, at 3 to 5 times the CPU (docs/libraries.md).
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import urllib.parse
import urllib.request
from collections.abc import Mapping

from stages.runtime.errors import Unavailable
from stages.settings.options import refuse_password

CONNECT = 20.0  # seconds for a connection to be made


class Connections:
    """As many connections to `url` as threads ask at once. `timeout` is in seconds, for one answer.

    Raises Unavailable where `url` is no address.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        refuse_password("the server's address", url)
        parts = _address(url)
        if parts is None:
            raise Unavailable(f"{url}: no address; write http://HOST:PORT/v1")
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._secure, self.timeout = parts.scheme == "https", timeout
        proxies = {} if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies()
        named = proxies.get(parts.scheme)
        self._proxy = named and _address(named if "//" in named else f"http://{named}")
        if named and not self._proxy:
            raise Unavailable(f"{parts.scheme}_proxy: no address; write http://HOST:PORT")
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
        host, port = self._host, self._port
        if self._proxy:
            host, port = self._proxy.hostname or "", self._proxy.port
        made = kind(host, port, timeout=CONNECT)
        if self._proxy and self._secure:
            made.set_tunnel(self._host, self._port)
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


def _address(url: str) -> urllib.parse.SplitResult | None:
    """The parts of an http address; None where it is none."""
    try:
        parts = urllib.parse.urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # no number for a port, half an IPv6 address, a name that no host can have
        return None
    whole = url.isascii() and url.isprintable() and " " not in url
    return parts if named and whole and parts.scheme in ("http", "https") else None


def _hung_up(sock: socket.socket) -> bool:
    """Whether an idle connection has something to read, which is its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
