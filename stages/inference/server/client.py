"""Servers that speak the OpenAI protocol: `vllm serve`, llama.cpp, a company's.

    with Servers(Fleet(["http://localhost:8000/v1"]), patience=60) as servers:
        asked = [[("user", "What is 3+4?")]]
        answers = dict(servers.chat(asked, model="Qwen/Qwen3-8B", max_tokens=64))

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
from typing import Any, TypeVar

from stages.inference.server import guard, health
from stages.inference.server.connection import Connections
from stages.inference.server.faults import (
    BROKEN,
    BUSY,
    CROWDED,
    FATAL,
    PASSING,
    Dead,
    Fault,
    Refused,
    Unfit,
    named,
    no_answer,
    said,
    seconds,
)
from stages.inference.server.fleet import Fleet, Site
from stages.inference.server.protocol import Reply, reply_of
from stages.inference.server.threads import map_unordered
from stages.records.jsonl import decode
from stages.runtime.errors import R1Error, Unavailable, UsageError
from stages.runtime.report import Report

T = TypeVar("T")
R = TypeVar("R")
Fetch = Callable[[str], Any]  # a page of a server, None where it has none; raises OSError without an answer
FIRST, LONGEST = 1.0, 30.0  # seconds between two attempts
TELL = 30.0  # seconds between two words about a server in trouble
PROBE = 5.0  # seconds between two looks at a server's health
LIKELIEST = 5  # tokens of a place whose probabilities are asked for
MUTE = 2  # looks in a row without an answer, after which a server that used to answer them hangs


class Servers(AbstractContextManager["Servers"]):
    """The servers of a fleet, for one use of them. Threads may share it.

    A request goes to the server with the fewest. One that fails there in a way that may pass goes to another
    at once; where all fail it is tried again, with longer and longer pauses, for `patience` seconds.
    `timeout` is in seconds, for one answer. A server that stood aside is asked again when it answers /health
    and `fit` has nothing against it. `told` collects what the user should know.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        patience: float,
        timeout: float = 600.0,
        fit: Callable[[Site, Fetch], str] | None = None,
    ) -> None:
        self.fleet, self.patience, self.timeout = fleet, patience, timeout
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._fit = fit
        self._lines = {site: Connections(site.url, timeout=timeout) for site in fleet.sites}
        self._closed = threading.Event()
        self._answered = self._silent_until = float("-inf")
        self._in_trouble = {site for site in fleet.sites if site.trouble}
        self._unwatched = threading.Lock()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drops what is unanswered."""
        self._closed.set()
        for line in self._lines.values():
            line.close()

    def ask(self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T]) -> T | Refused:
        """What `read` makes of the answer to `body`, or of the page at `path` without one.

        An answer for which `read` raises ValueError, LookupError or TypeError is none, and is asked for
        again; where it raises Unfit, the server stands aside. Raises NoAnswer where no server can be reached
        for that long, Dead where the engines of all are, Unavailable where one refuses everyone (401, 403,
        404), and Unfit.
        """
        self._watch()
        began: float | None = None
        pause = FIRST
        tried: set[Site] = set()
        while True:
            site = self.fleet.take(tried)
            try:
                found = self._attempt(site, path, body, read)
            finally:
                self.fleet.give_back(site)
            if not isinstance(found, Fault):
                return found
            if self._closed.is_set():
                raise Unavailable(f"{site.url}: no longer asked")
            news = self._mark(site, found)
            tried.add(site)
            if self.fleet.has_other(tried):
                self._passed_on(site, found, news)
                continue
            if not self.fleet.may_answer():
                raise self._hopeless(site, found)
            tried.clear()
            now = time.monotonic()
            began = now if began is None else began
            wait = max(found.wait, pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST)
            # A crowded server is there, and may be answering all but this one.
            since = max(began, self._answered) if found.crowded else began
            if now + wait - since > self.patience:
                raise no_answer(f"{site.url}: {found.why}", self.patience)
            self._stumbled(site, found.why)
            if self._closed.wait(wait):
                raise Unavailable(f"{site.url}: no longer asked")

    def tell(
        self, site: Site, path: str, body: Mapping[str, Any], key: bytes | None = None
    ) -> Refused | None:
        """Sends `body` once, since twice might not be the same, signed with `key`. Returns why the server
        does not say 200.
        """
        self._watch()
        self._lines[site].drop_idle()  # the server may hang up on one just now
        self.fleet.engage(site)
        before = site.trouble
        try:
            status, _, data = self._exchange(site, path, body, key)
        except (OSError, http.client.HTTPException) as error:
            return Refused(_lost(site, before, error).why)
        finally:
            self.fleet.give_back(site)
        return None if status == 200 else Refused(f"{status} {said(data)}".rstrip())

    def drop(self, site: Site) -> None:
        """Drops what this server has not answered."""
        self._lines[site].close()

    def map(
        self, work: Callable[[T], R], source: Iterable[T | None], jobs: int, report: Report
    ) -> Iterator[R | None]:
        """See `map_unordered`. Says in this thread what the others have to say, and closes at the end."""
        results = map_unordered(work, source, jobs)
        try:
            for result in results:
                self.tell_user(report)
                yield result
        finally:
            self.close()
            results.close()

    def tell_user(self, report: Report) -> None:
        """Says what was `told` since the last time."""
        while not self.told.empty():
            report.note(self.told.get())

    def chat(
        self,
        conversations: Sequence[Sequence[tuple[str, str]]],
        *,
        model: str,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        jobs: int = 16,
        likely: bool = False,
    ) -> Iterator[tuple[int, Reply | Refused]]:
        """The place of each conversation and the reply to it, as they come; a turn is a role and its words.

        `jobs` are asked at once; with `likely` for the likeliest tokens, too. Raises Unavailable as `ask`
        does.
        """
        more = {"logprobs": True, "top_logprobs": LIKELIEST} if likely else {}

        def one(numbered: tuple[int, Sequence[tuple[str, str]]]) -> tuple[int, Reply | Refused]:
            number, turns = numbered
            body = {
                "model": model,
                "messages": [{"role": role, "content": words} for role, words in turns],
                "temperature": temperature,
                "max_tokens": max_tokens,
                "seed": seed,
                **more,
            }
            return number, self.ask("/chat/completions", body, _read_reply)

        for made in map_unordered(one, enumerate(conversations), jobs):
            if made is not None:
                yield made

    def _attempt(
        self, site: Site, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T]
    ) -> T | Refused | Fault:
        if site.trouble and self.fleet.several:
            if (fault := self._unproven(site)) is not None:
                return fault
            self.fleet.readmit(site)
        before = site.trouble
        try:
            status, headers, data = self._exchange(site, path, body)
            if status == 200:
                found = read(decode(data))
                self._recovered(site)
                return found
        except Unfit as error:
            return Fault(str(error), unfit=True)
        except (OSError, http.client.HTTPException) as error:
            return _lost(site, before, error)
        except (ValueError, LookupError, TypeError) as error:
            return Fault(f"its answer is no completion ({type(error).__name__}: {error})")
        reason = said(data)
        why = f"{status} {reason or http.client.responses.get(status, '')}".rstrip()
        if status in FATAL and (body is not None or status != 404):  # a page may be missing
            raise Unavailable(
                f"{site.url}{path} refuses {named(body)}: {why}; "
                "see the address, the model's name and OPENAI_API_KEY"
            )
        if status not in PASSING:
            return Refused(f"the server refused it: {why}")
        looked = status in BROKEN and site.shows_health and health.look(site.root).kind == "dead"
        if looked or health.says_dead(status, reason):
            return Fault(f"its engine is dead: {why}", dead=True)
        return Fault(why, seconds(headers.get("Retry-After")), status in CROWDED, status == BUSY)

    def _exchange(
        self, site: Site, path: str, body: Mapping[str, Any] | None, key: bytes | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = _headers()
        if key is not None:
            headers[guard.HEADER] = guard.signature(key, path, data or b"")
        return self._lines[site].ask("GET" if data is None else "POST", path, data, headers)

    def _unproven(self, site: Site) -> Fault | None:
        """Why a server that stood aside is not asked again; None where it is."""
        found = health.look(site.root)
        if found.kind in ("dead", "refused", "mute"):
            return Fault(found.why, lost=True, dead=found.kind == "dead")

        def fetch(path: str) -> Any:
            line = Connections(site.url, timeout=health.ANSWER)
            try:
                status, _, data = line.ask("GET", path, None, _headers())
                if status in PASSING:
                    raise OSError(f"{status} {said(data)}".rstrip())
                return decode(data) if status == 200 else None
            finally:
                line.close()

        try:
            why = "" if self._fit is None else self._fit(site, fetch)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Fault(str(error) or type(error).__name__, lost=True)
        return Fault(why, unfit=True) if why else None

    def _watch(self) -> None:
        """Looks after each server in a thread of its own, until this is closed."""
        if self._unwatched.acquire(blocking=False):  # and never given back
            for site in self.fleet.sites:
                threading.Thread(target=self._look_after, args=(site,), daemon=True).start()

    def _look_after(self, site: Site) -> None:
        mute = 0
        while not self._closed.wait(PROBE):
            if site.trouble and self.fleet.several:
                fault = self._unproven(site)
                mute = mute + 1 if fault is not None and fault.lost else 0
                if fault is None:
                    self.fleet.readmit(site)
                    continue
                self._mark(site, fault)
                if fault.dead or (site.shows_health and mute >= MUTE):
                    self._lines[site].close()
            elif site.in_flight and site.shows_health is not False:
                found = health.look(site.root)
                mute = mute + 1 if found.kind == "mute" else 0
                if found.kind == "up" and site.in_flight:
                    site.shows_health = True
                elif found.kind == "without":
                    site.shows_health = False
                elif found.kind in ("dead", "refused") or (site.shows_health and mute >= MUTE):
                    self._break_off(site, Fault(found.why, lost=True, dead=found.kind == "dead"))

    def _break_off(self, site: Site, fault: Fault) -> None:
        """Gives what the server was asked back to those who asked."""
        if self._closed.is_set():
            return
        news = self._mark(site, fault)
        if self.fleet.has_other({site}):
            self._passed_on(site, fault, news)
        self._lines[site].close()

    def _mark(self, site: Site, fault: Fault) -> bool:
        """Sets the server aside where it is not to be asked. Whether that is news."""
        if fault.lost or fault.dead or fault.unfit:
            return self.fleet.set_aside(site, fault.why, dead=fault.dead, unfit=fault.unfit)
        if fault.busy:
            return False
        too_often = self.fleet.stumbled(site) and self.fleet.several and not site.trouble
        return too_often and self.fleet.set_aside(site, fault.why)

    def _hopeless(self, site: Site, fault: Fault) -> R1Error:
        if fault.unfit:
            return Unfit(f"{site.url}: {fault.why}. Run again with --resume")
        rest = f" ({self.fleet.named}: none can be asked)" if self.fleet.several else ""
        error = Dead(f"{site.url}: {fault.why}; start the server anew{rest}")
        error.why = f"{site.url}: {fault.why}"
        return error

    def _passed_on(self, site: Site, fault: Fault, news: bool) -> None:
        if site not in self._in_trouble or (news and fault.dead):
            self._in_trouble.add(site)
            aside = fault.lost or fault.dead or fault.unfit
            what = "its requests go" if aside else "the request goes"
            self.told.put(f"{site.url}: {fault.why}; {what} to the other servers")

    def _stumbled(self, site: Site, why: str) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + TELL
            self._in_trouble.add(site)
            alone = "; no server answers" if self.fleet.several else ""
            self.told.put(f"{site.url}: {why}{alone}; trying again for up to {self.patience:g} s")

    def _recovered(self, site: Site) -> None:
        self._answered = time.monotonic()
        self.fleet.works(site)
        if site in self._in_trouble:
            self._in_trouble.discard(site)
            self.told.put(f"{site.url} answers again")


def _lost(site: Site, before: str, error: Exception) -> Fault:
    """What ended a request to `site`, whose trouble was `before` it: a new trouble, or else `error`."""
    if site.trouble and site.trouble != before:
        return Fault(site.trouble, lost=True, dead=site.dead)
    return Fault(str(error) or type(error).__name__, lost=True)


def _headers() -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if key := _key():
        headers["Authorization"] = f"Bearer {key}"
    return headers


def _read_reply(answer: Any) -> Reply | Refused:
    found = reply_of(answer)
    return Refused(found) if isinstance(found, str) else found


def _key() -> str:
    """The bearer token. Raises UsageError, which does not repeat it, where no header can hold it."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(
            "OPENAI_API_KEY holds a line end, a blank or another character that no key has; set "
            "it to the key alone"
        )
    return key
