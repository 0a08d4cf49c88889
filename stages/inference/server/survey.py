"""Which of the servers that an endpoint names are there, and what each of them is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from stages.inference.server import client, health
from stages.inference.server.client import Fetch, Servers
from stages.inference.server.faults import Dead, NoAnswer, no_answer
from stages.inference.server.fleet import Fleet, Site
from stages.inference.server.threads import map_unordered
from stages.runtime.errors import UsageError
from stages.runtime.report import Report
from stages.settings.groups import Endpoint, Engine, check

R = TypeVar("R")


def addresses(engine: Engine, endpoint: Endpoint) -> tuple[str, ...]:
    """Where the servers are. Raises UsageError where no server does what the options ask."""
    check(endpoint)
    if not endpoint.base_url:
        raise UsageError("--backend openai: where? Add --base-url http://HOST:PORT/v1")
    if engine.deterministic:
        raise UsageError("--deterministic: a server promises no fixed batch shapes")
    return endpoint.base_url


def at(fleet: Fleet, endpoint: Endpoint, fit: Callable[[Site, Fetch], str] | None = None) -> Servers:
    """The servers of `fleet`, with the patience that `endpoint` has."""
    return Servers(fleet, patience=endpoint.patience, timeout=endpoint.request_timeout, fit=fit)


def survey(fleet: Fleet, endpoint: Endpoint, ask: Callable[[Servers], R], report: Report) -> dict[Site, R]:
    """What `ask` makes of each server. Those that do not answer stand aside; one at least is waited for.

    Raises NoAnswer where none answers in time, Dead where no engine is alive, and what `ask` raises besides.
    """
    if not fleet.several:
        (only,) = fleet.sites
        with at(fleet, endpoint) as servers:
            made = servers.map(ask, [servers], 1, report)
            return {only: next(each for each in made if each is not None)}
    timeout = min(endpoint.request_timeout, health.ANSWER)

    def one(site: Site) -> tuple[Site, R | NoAnswer]:
        try:
            with Servers(Fleet([site.url]), patience=0, timeout=timeout) as servers:
                return site, ask(servers)
        except NoAnswer as error:
            return site, error

    pause, deadline = client.FIRST, time.monotonic() + endpoint.patience
    while True:
        found: dict[Site, R] = {}
        missing: dict[Site, NoAnswer] = {}
        for each in map_unordered(one, fleet.sites, len(fleet.sites)):
            if each is None:
                continue
            site, result = each
            if isinstance(result, NoAnswer):
                missing[site] = result
            else:
                found[site] = result
                fleet.works(site)
        for site, error in missing.items():
            fleet.set_aside(site, error.why, dead=isinstance(error, Dead))
            if found:
                report.note(f"{error.why}; the other servers are asked")
        if found:
            return found
        reasons = "; ".join(error.why for error in missing.values())
        if not fleet.may_answer():
            raise Dead(f"{reasons}; start the servers anew")
        if time.monotonic() + pause > deadline:
            raise no_answer(reasons, endpoint.patience)
        if pause == client.FIRST:
            report.note(f"{reasons}; trying again for up to {endpoint.patience:g} s")
        time.sleep(pause)
        pause = min(2 * pause, client.LONGEST)
