"""Servers that stand for each other: which of them is asked next, and which stands aside.

A server stands aside while it cannot be reached, its engine is dead, or it is not what it should be. The
others are asked meanwhile, the one with the fewest requests first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

FAULTS = 3  # answers in a row that are none, after which a server stands aside


@dataclass(eq=False)
class Site:
    """One server: where it is, how many requests it has, and why it is not asked, where it is not."""

    url: str
    in_flight: int = 0
    trouble: str = ""
    dead: bool = False  # its engine is: nothing but a new start helps
    unfit: bool = False  # it is not what it should be, such as a server with other weights
    shows_health: bool | None = None  # whether it answers /health beside other work; None: not known
    faults: int = 0
    asked: float = field(default=float("-inf"))  # when, by the monotonic clock

    @property
    def root(self) -> str:
        """The address without the version of the protocol."""
        return self.url.removesuffix("/v1")


class Fleet:
    """The servers at `urls`, shared by threads, from one use of them to the next."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.sites = [Site(url.rstrip("/")) for url in urls]
        self._lock = threading.Lock()

    @property
    def several(self) -> bool:
        """Whether there are others where one fails."""
        return len(self.sites) > 1

    @property
    def named(self) -> str:
        """All addresses, for a message."""
        return ", ".join(site.url for site in self.sites)

    def take(self, tried: Collection[Site]) -> Site:
        """The server to ask next, rather one that was not `tried`; `give_back` it when it has answered."""
        with self._lock:
            site = min(
                self.sites,
                key=lambda each: (
                    bool(each.trouble),
                    each.dead or each.unfit,
                    each in tried,
                    0 if each.trouble else each.in_flight,
                    each.asked,
                ),
            )
            site.in_flight += 1
            site.asked = time.monotonic()
            return site

    def engage(self, site: Site) -> None:
        """Notes a request to this very server; `give_back` it when it has answered."""
        with self._lock:
            site.in_flight += 1

    def give_back(self, site: Site) -> None:
        """See `take`."""
        with self._lock:
            site.in_flight -= 1

    def has_other(self, tried: Collection[Site]) -> bool:
        """Whether a server answers that was not `tried`."""
        return any(not site.trouble and site not in tried for site in self.sites)

    def may_answer(self) -> bool:
        """Whether one of the servers may answer later by itself."""
        return any(not site.dead and not site.unfit for site in self.sites)

    def set_aside(self, site: Site, why: str, *, dead: bool = False, unfit: bool = False) -> bool:
        """Notes that `site` is not to be asked. Whether that is news."""
        with self._lock:
            news = not site.trouble or (dead and not site.dead)
            site.trouble, site.dead, site.unfit = why, dead, unfit
            return news

    def ask_anew(self) -> None:
        """What was not as it should be may be so from now on; it is looked at before it is asked."""
        with self._lock:
            for site in self.sites:
                site.unfit = False

    def stumbled(self, site: Site) -> bool:
        """Notes an answer that is none. Whether there were too many in a row."""
        with self._lock:
            site.faults += 1
            return site.faults >= FAULTS

    def readmit(self, site: Site) -> None:
        """Notes that `site` may be asked again; the first answer that is none sets it aside again."""
        with self._lock:
            site.trouble, site.dead, site.unfit, site.faults = "", False, False, FAULTS - 1

    def works(self, site: Site) -> None:
        """Notes that `site` answers."""
        with self._lock:
            site.trouble, site.dead, site.unfit, site.faults = "", False, False, 0
