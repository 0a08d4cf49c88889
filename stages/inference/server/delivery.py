"""New weights for servers of vLLM, from the trainer.

Each server is stopped, told where its workers fetch the weights, over TCP or in a directory, and set going
again. What it draws from then on has their name. The other side is `receiver.py`.
"""

from __future__ import annotations

import contextlib
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from stages.checkpoints.versions.writer import Writer, Written
from stages.inference.fingerprint import fingerprint
from stages.inference.server import guard, health, transfer
from stages.inference.server.client import FIRST, LONGEST, Fetch, Servers
from stages.inference.server.faults import Refused, no_answer
from stages.inference.server.fleet import Fleet, Site
from stages.inference.server.survey import at, survey
from stages.inference.server.threads import map_unordered
from stages.runtime.errors import R1Error, Unavailable
from stages.runtime.report import Report
from stages.settings.groups import Endpoint

START = (
    "start it as VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --enable-scale-out "
    """--middleware stages.inference.server.guard.Guard --weight-transfer-config '{"backend": "r1"}', """
    f"with {guard.NAME} as here"
)
DRAW = "/inference/v1/generate"
IN_TRANSIT = "r1: in transit"  # the name of weights of which only some have come
LARGEST = 2**63 - 1


class Delivery:
    """The servers of `fleet`, which will sample at `temperature`.

    A server that does not take weights stands aside until the next; what it has against them is raised where
    it is the only one.
    """

    def __init__(
        self,
        fleet: Fleet,
        endpoint: Endpoint,
        temperature: float,
        report: Report,
        fit: Callable[[Site, Fetch], str],
    ) -> None:
        self.fleet, self.endpoint, self.temperature, self.report = fleet, endpoint, temperature, report
        self.limit = LARGEST
        self._servers = at(fleet, endpoint, fit)
        self._workers: dict[Site, int] = {}
        self._paused: set[Site] = set()
        self._holds: dict[Site, str] = {}  # the name of the weights that each server took last
        self._key = b""  # of who gives no weights
        self._addresses: dict[Site, str] = {}  # of this machine, as each server sees it
        self._files: Writer | None = None

    def write_to(self, directory: Path, dtype: str, model: str) -> None:
        """From now on the weights go through `directory`, in that type, beside what else `model` has.

        Raises what `Writer` raises.
        """
        self._files = Writer(directory, dtype)
        self._files.describe(model)

    def join(self, *, begin: bool) -> int:
        """The longest sequence that all have room for. With `begin` they are asked whether they would take
        weights. Raises UsageError where this process has no secret, Unavailable where a server is there and
        does not, or would take them from anybody, or none is there.
        """
        if begin:
            self._key = guard.secret()
        sizes = survey(self.fleet, self.endpoint, _size, self.report)
        self.limit = min(limit for limit, _ in sizes.values())
        for site, (_, workers) in sizes.items():
            site.shows_health = True
            self._workers[site] = workers
            if begin:
                self._begin(site)
        return self.limit

    def close(self) -> None:
        """Drops what the servers have not answered."""
        self._servers.close()
        if self._files is not None:
            self._files.close()

    def give(self, weights: Iterator[tuple[str, Any]]) -> int:
        """Returns the fingerprint of `weights`, which the servers that are not set aside have then.

        Raises R1Error where no server takes them, NoAnswer where none is there for as long as is waited.
        """
        written = None if self._files is None else _written(self._files, weights)  # while they still sample
        pause, deadline = FIRST, time.monotonic() + self.endpoint.patience
        away = [site for site in self.fleet.sites if site.trouble]
        while not (ready := self._each(self.fleet.sites, self._prepare)):
            if time.monotonic() + pause > deadline:
                raise no_answer(f"no server takes the weights ({self.fleet.named})", self.endpoint.patience)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)
        held, took = self._send(weights, ready) if written is None else self._refer(*written, ready)

        def finish(site: Site) -> None:
            self._tell(site, "/finish_weight_update", weight_version=version_of(held))
            self._holds[site] = version_of(held)
            self._tell(site, "/resume")
            self._paused.discard(site)

        holding = self._each(took, finish)
        self._servers.tell_user(self.report)
        if not holding:
            raise R1Error(f"no server took the weights ({self.fleet.named}). Run again with --resume")
        for site in holding:
            self.fleet.works(site)
            if site in away:
                self.report.note(f"{site.url} is there again and has the weights")
        return held

    def _each(self, sites: Sequence[Site], do: Callable[[Site], None]) -> list[Site]:
        """Those of `sites` for which `do` did well, in order. The others stand aside until the next weights;
        what it raised for an only server goes on.
        """

        def one(site: Site) -> tuple[Site, R1Error | None]:
            try:
                do(site)
            except R1Error as error:
                self._let_go(site)
                return site, error
            return site, None

        failed = {}
        for done in map_unordered(one, sites, max(len(sites), 1)):
            if done is not None and done[1] is not None:
                failed[done[0]] = done[1]
        for site, error in failed.items():
            self._aside(site, error)
        return [site for site in sites if site not in failed]

    def _aside(self, site: Site, error: R1Error) -> None:
        if not self.fleet.several:
            raise error
        if self.fleet.set_aside(site, f"it did not take the weights: {error}", unfit=True):
            self.report.note(f"{error}; the other servers go on without it")

    def _let_go(self, site: Site) -> None:
        """Sets a stopped server going again, where it can be, since other processes would wait for it. They
        drop what it draws: the name of its weights is not the one they want.
        """
        if self.fleet.several and site in self._paused:
            self._paused.discard(site)
            with _alone(site) as alone:
                alone.tell(alone.fleet.sites[0], "/resume", {}, self._key)

    def _prepare(self, site: Site) -> None:
        """Stops what `site` does, for new weights; one that was away or started anew is looked at first."""
        if site.trouble or site not in self._workers or self._is_new(site):
            with _alone(site) as alone:
                limit, self._workers[site] = _size(alone)
            if limit < self.limit:
                raise R1Error(f"{site.url} has room for {limit} tokens, and the others for {self.limit}")
            self._begin(site)
            site.shows_health = True
        self._paused.add(site)
        self._tell(site, "/pause?mode=wait")
        if self._files is None:
            self._addresses[site] = _address_seen_by(site)
        self._tell(site, "/update_weight_version", new_version=IN_TRANSIT)
        if self._servers.tell(site, "/start_weight_update", {}, self._key) is not None:
            # An update that another trainer broke off is in the way: one without a source fails, and ends it.
            self._servers.tell(site, "/update_weights", {"update_info": {}}, self._key)
            self._tell(site, "/start_weight_update")

    def _is_new(self, site: Site) -> bool:
        """Whether it holds other weights than it took last, as after a new start that nobody saw."""
        if site not in self._holds:
            return False
        try:
            with _alone(site) as alone:
                return alone.ask("/weight_info", None, _version) != self._holds[site]
        except Unavailable:  # what it is told next meets that too, and says it
            return False

    def _send(self, weights: Iterator[tuple[str, Any]], sites: Sequence[Site]) -> tuple[int, list[Site]]:
        """Returns the fingerprint of the weights, and who took them."""
        timeout = self.endpoint.request_timeout
        lost: dict[int, str] = {}
        sender = transfer.Sender(timeout=timeout, servers=len(sites))
        with ThreadPoolExecutor(len(sites)) as beside, contextlib.closing(sender):
            told: list[Future[None]] = []
            try:
                for site, once in zip(sites, sender.secrets, strict=True):
                    host = self._addresses[site]
                    where = guard.source_of(host, sender.port, once)
                    source = {
                        "host": host,
                        "port": sender.port,
                        "secret": once,
                        "timeout": timeout,
                        "proof": guard.signature(self._key, where, b""),
                    }
                    told.append(beside.submit(self._tell, site, "/update_weights", update_info=source))
                workers = [self._workers[site] for site in sites]
                sent = sender.send(weights, workers, lambda server: told[server].done())
                lost = sent.lost
            except OSError as error:
                sender.close()  # who still wants to come in fails, and the server answers
                self._end(sites, told)
                for one in told:
                    one.result()  # its reason, where it has one
                raise R1Error(
                    f"{self.fleet.named}: the weights did not go over ({error}). Run again with --resume, "
                    "and where that fails too, start the server anew"
                ) from error
            except BaseException:
                self.close()  # or its answer would be waited for
                raise
            behind = [sites[server] for server in lost]
            self._end(behind, [told[server] for server in lost])
            answers = dict(zip(sites, told, strict=True))
            took = self._each(sites, lambda site: answers[site].result())
        return sent.fingerprint, took

    def _refer(self, held: int, made: Written, sites: Sequence[Site]) -> tuple[int, list[Site]]:
        """Has the servers read the version that was `made`. Returns `held`, and who read it."""
        source = {
            "version": made.version,
            "digest": made.digest,
            "timeout": self.endpoint.patience,
            "proof": guard.signature(self._key, guard.stored(made.version, made.digest), b""),
        }
        return held, self._each(sites, lambda site: self._tell(site, "/update_weights", update_info=source))

    def _end(self, sites: Sequence[Site], told: Sequence[Future[None]]) -> None:
        """Waits for the answers of servers whose workers lost their lines, but not for long."""
        wait(told, timeout=health.ANSWER)
        for site, one in zip(sites, told, strict=True):
            if not one.done():
                self._servers.drop(site)

    def _begin(self, site: Site) -> None:
        unsigned = self._servers.tell(site, "/init_weight_transfer_engine", {})
        status = "200" if unsigned is None else unsigned.why[:3]
        if status.isdigit() and status != "401":
            raise Unavailable(f"{site.url} takes weights from anybody who reaches its port; {START}")
        try:
            wanted: dict[str, Any] = {"temperature": self.temperature}
            if self._files is not None:
                wanted["files"] = self._files.dtype
            self._tell(site, "/init_weight_transfer_engine", init_info=wanted)
        except R1Error as error:
            raise Unavailable(f"{error}; {START}") from error

    def _tell(self, site: Site, path: str, **body: Any) -> None:
        """Raises R1Error with what the server has against it; nothing is told twice."""
        refused = self._servers.tell(site, path, body, self._key)
        if refused is not None:
            raise R1Error(f"{site.url}{path}: {refused.why}")


def _written(files: Writer, weights: Iterator[tuple[str, Any]]) -> tuple[int, Written]:
    """The fingerprint of `weights`, and the version that they are in `files`."""
    total = 0

    def counted() -> Iterator[tuple[str, Any]]:
        nonlocal total
        for name, weight in weights:
            total += fingerprint([weight.cpu()])
            yield name, weight

    made = files.write(counted())
    return total % 2**64, made


def _alone(site: Site) -> Servers:
    """This one server, asked once, and not for long."""
    return Servers(Fleet([site.url]), patience=0, timeout=health.ANSWER)


def _address_seen_by(site: Site) -> str:
    """This machine's address, as the server sees it. Raises R1Error where the server cannot be reached."""
    parts = urllib.parse.urlsplit(site.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        return transfer.local_address(parts.hostname or "", port)
    except OSError as error:
        raise R1Error(f"{site.url}: {error}") from error


def _size(servers: Servers) -> tuple[int, int]:
    """The longest sequence the server has room for, and how many workers it has."""
    url = servers.fleet.named
    cards = servers.ask("/v1/models", None, lambda page: page["data"])
    if isinstance(servers.ask("/weight_info", None, _version), Refused):
        raise Unavailable(f"{url} takes no weights; {START}")
    size = servers.ask("/get_world_size", None, lambda page: int(page["world_size"]))
    servers.ask(DRAW, {}, lambda page: page)  # refused as it says nothing, or, with 403, for ever
    if isinstance(cards, Refused) or isinstance(size, Refused):
        raise Unavailable(f"{url} does not say what it is; {START}")
    return int(cards[0].get("max_model_len") or LARGEST), size


def version_of(held: int) -> str:
    """What weights of that fingerprint are called."""
    return f"r1:{held:016x}"


def _version(page: Any) -> str:
    return str(page["weight_version"])
