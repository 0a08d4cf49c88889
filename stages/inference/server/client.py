"""A server that speaks the OpenAI protocol: `vllm serve`, llama.cpp, a company's.

    with Server("http://localhost:8000/v1", patience=60) as server:
        answers = server.chat(["What is 3+4?"], model="Qwen/Qwen3-8B", max_tokens=64)

OPENAI_API_KEY is sent as the bearer token where it is set.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from stages.inference.server.connection import Connections
from stages.inference.server.threads import map_unordered
from stages.records.jsonl import decode
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.runtime.report import Report
from stages.runtime.shown import discreet
from stages.settings.groups import Endpoint, Engine, check

T = TypeVar("T")
R = TypeVar("R")
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}  # HTTP: the same request may do better later
CROWDED = {429, 503}  # too many requests; others are answered meanwhile
FATAL = {401, 403, 404}
FIRST, LONGEST = 1.0, 30.0  # seconds between two attempts
TELL = 30.0  # seconds between two words about a server in trouble
# The model's own generation_config.json would change what is drawn, unless each setting is given.
NEUTRAL = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}


@dataclass(frozen=True)
class Refused:
    """Why the server answered this request with no text; the next one may do better."""

    why: str

    def at(self, place: str) -> BadInput:
        """The error it is for the problem at `place`."""
        return BadInput(self.why, place=place, remedy="change it, or drop it with `r1 filter --where`")


class Server(AbstractContextManager["Server"]):
    """What answers at `url`, which ends in /v1. Threads may share it.

    A request that fails in a way that may pass is tried again, with longer and longer pauses, for
    `patience` seconds; `timeout` is in seconds, for one answer. `told` collects what the user should know.
    """

    def __init__(self, url: str, *, patience: float, timeout: float = 600.0) -> None:
        self.url, self.patience = url.rstrip("/"), patience
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._connections = Connections(self.url, timeout=timeout)
        self._closed = threading.Event()
        self._answered = self._silent_until = float("-inf")
        self._in_trouble = False

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drops what is unanswered."""
        self._closed.set()
        self._connections.close()

    def ask(self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T]) -> T | Refused:
        """What `read` makes of the answer to `body`, or of the page at `path` without one.

        An answer for which `read` raises ValueError, LookupError or TypeError is none, and is asked for
        again. Raises Unavailable where the server cannot be reached for that long, or refuses everyone (401,
        403, 404).
        """
        began: float | None = None
        pause = FIRST
        while True:
            wait, crowded = 0.0, False
            try:
                status, headers, data = self._exchange(path, body)
                crowded = status in CROWDED
                if status == 200:
                    found = read(decode(data))
                    self._recovered()
                    return found
                why = f"{status} {_said(data) or http.client.responses.get(status, '')}".rstrip()
                if status in FATAL and (body is not None or status != 404):  # a page may be missing
                    raise Unavailable(
                        f"{self.url}{path} refuses {_named(body)}: {why}; "
                        "see the address, the model's name and OPENAI_API_KEY"
                    )
                if status not in PASSING:
                    return Refused(f"the server refused it: {why}")
                wait = _seconds(headers.get("Retry-After"))
            except (OSError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
            except (ValueError, LookupError, TypeError) as error:
                why = f"its answer is no completion ({type(error).__name__}: {error})"
            now = time.monotonic()
            began = now if began is None else began
            wait = max(wait, pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST)
            # A crowded server is there, and may be answering all but this one.
            since = max(began, self._answered) if crowded else began
            if now + wait - since > self.patience:
                raise Unavailable(f"{self.url}: {why}, and so for {self.patience:g} s; is the server up?")
            self._stumbled(why)
            if self._closed.wait(wait):
                raise Unavailable(f"{self.url}: no longer asked")

    def tell(self, path: str, body: Mapping[str, Any]) -> Refused | None:
        """Sends `body` once, since twice might not be the same. Returns why the server does not say 200."""
        self._connections.drop_idle()  # the server may hang up on one just now
        try:
            status, _, data = self._exchange(path, body)
        except (OSError, http.client.HTTPException) as error:
            return Refused(str(error) or type(error).__name__)
        return None if status == 200 else Refused(f"{status} {_said(data)}".rstrip())

    def map(
        self, work: Callable[[T], R], source: Iterable[T | None], jobs: int, report: Report
    ) -> Iterator[R | None]:
        """See `map_unordered`. Says in this thread what the others have to say, and closes at the end."""
        results = map_unordered(work, source, jobs)
        try:
            for result in results:
                while not self.told.empty():
                    report.note(self.told.get())
                yield result
        finally:
            self.close()
            results.close()

    def chat(
        self,
        texts: Sequence[str],
        *,
        model: str,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        jobs: int = 16,
    ) -> list[str | Refused]:
        """An answer to each of `texts`, each a message of the user, in their order, `jobs` at once.

        Raises Unavailable as `ask` does.
        """

        def one(numbered: tuple[int, str]) -> tuple[int, str | Refused]:
            number, text = numbered
            body = {
                "model": model,
                "messages": [{"role": "user", "content": text}],
                "temperature": temperature,
                "max_tokens": max_tokens,
                "seed": seed,
            }
            answer = self.ask("/chat/completions", body, _text_of)
            return number, answer

        found = dict(made for made in map_unordered(one, enumerate(texts), jobs) if made is not None)
        return [found[number] for number in range(len(texts))]

    def _exchange(self, path: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Content-Type": "application/json"}
        if key := _key():
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        return self._connections.ask("GET" if data is None else "POST", path, data, headers)

    def _stumbled(self, why: str) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + TELL
            self._in_trouble = True
            self.told.put(f"{self.url}: {why}; trying again for up to {self.patience:g} s")

    def _recovered(self) -> None:
        self._answered = time.monotonic()
        if self._in_trouble:
            self._in_trouble = False
            self.told.put(f"{self.url} answers again")


def address(engine: Engine, endpoint: Endpoint) -> str:
    """Where the server is. Raises UsageError where no server does what the options ask."""
    check(endpoint)
    if not endpoint.base_url:
        raise UsageError("--backend openai: where? Add --base-url http://HOST:PORT/v1")
    if engine.deterministic:
        raise UsageError("--deterministic: a server promises no fixed batch shapes")
    return endpoint.base_url


def at(url: str, endpoint: Endpoint) -> Server:
    """The server at `url`, with the patience that `endpoint` has."""
    return Server(url, patience=endpoint.patience, timeout=endpoint.request_timeout)


def first(url: str, endpoint: Endpoint, ask: Callable[[Server], R], report: Report) -> R:
    """What `ask` makes of the server at `url`, which is waited for until it is up."""
    with at(url, endpoint) as server:
        return next(found for found in server.map(ask, [server], 1, report) if found is not None)


def _text_of(reply: Any) -> str | Refused:
    choice = reply["choices"][0]
    text = choice["message"]["content"]
    return text if isinstance(text, str) else Refused(f"no text: {choice.get('finish_reason')}")


def _key() -> str:
    """The bearer token. Raises UsageError, which does not repeat it, where no header can hold it."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(
            "OPENAI_API_KEY holds a line end, a blank or another character that no key has; set "
            "it to the key alone"
        )
    return key


def _named(body: Mapping[str, Any] | None) -> str:
    return f"model {body['model']}" if body and "model" in body else "to answer"


def _said(data: bytes) -> str:
    """The first words of the server's reason, without the key if it says it."""
    try:
        said = decode(data)
        said = said.get("error", said)
        said = said.get("message", said) if isinstance(said, dict) else said
    except (ValueError, AttributeError):
        said = data[:200].decode(errors="replace")
    return " ".join(discreet(str(said)).split())[:300]


def _seconds(header: str | None) -> float:
    """What Retry-After says, where it says a number."""
    return float(header) if header and header.strip().isdigit() else 0.0
