"""Signs of life: each rank says in the store what it does, and where one falls silent all others end.

Rank 0 watches every rank; the others watch rank 0, and read what it has found. Time is measured by the one
that watches, and only while it watches: neither clocks that differ nor a run that is suspended as a whole
makes a rank silent.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from stages.runtime import shown

PERIOD = 2.0  # seconds between two signs, where the time-out allows it
MARGIN = timedelta(minutes=1)  # the time-out of a collective is this longer: what is silent is named before
GRACE = 1.0  # seconds in which a run that has ended by itself may leave
LEAVE = 10.0  # seconds in which a thread ends that asks the store
TURN = 3.0  # seconds later than rank 0 does another rank speak
VERDICT = "verdict"


class Peers:
    """The signs of all ranks of a run, in a `store` of torch that takes several connections.

    `does` says what this rank is about. Where a rank is silent for `minutes` this process ends, with code 1.
    """

    def __init__(self, store: Any, rank: int, size: int, host: str, minutes: float) -> None:
        self.rank, self.size, self.host = rank, size, host
        # Each thread has a connection of its own, from the start: one to a store that is gone would be waited
        # for.
        self.store, self._own = store.clone(), store.clone()
        self.limit = minutes * 60
        self.period = min(PERIOD, self.limit / 4)
        self.lost = ""  # why the run ends
        self.doing, self._since = "begins", time.monotonic()
        self._rounds = self._count = 0
        self._seen: dict[int, dict[str, Any]] = {}
        self._silent = dict.fromkeys(range(size), 0.0)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._say()
        if rank == 0:
            self.store.set(VERDICT, b"")

    def begin(self) -> None:
        """Starts to give signs and to watch; all ranks have made theirs by now."""
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._signs, self._watch)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """No more signs, and no more watching: a thread within torch when Python ends would abort the
        process.
        """
        self._stop.set()
        for thread in self._threads:
            thread.join(LEAVE)

    def does(self, what: str) -> str:
        """From here on this rank does `what`; returns what it did before."""
        before, self.doing, self._since = self.doing, what, time.monotonic()
        return before

    def missing(self) -> str:
        """Who is gone, where a connection has broken: those that give no signs any more; else what all do."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        try:
            first = self._told(self._own, others)
            time.sleep(2.5 * self.period)
            second = self._told(self._own, others)
        except RuntimeError:  # rank 0 keeps the store, or its machine
            return self.named(0)
        self._seen |= second
        alike = [rank for rank in others if first[rank]["count"] == second[rank]["count"]]
        return "; ".join(map(self.named, (alike or others)[:3]))

    @staticmethod
    def _told(store: Any, ranks: Sequence[int]) -> dict[int, dict[str, Any]]:
        """The last sign of each rank."""
        texts = store.multi_get([f"sign/{rank}" for rank in ranks])
        return dict(zip(ranks, map(json.loads, texts), strict=True))

    def named(self, rank: int) -> str:
        """A rank with its machine, and what it last said of itself."""
        sign = self._seen.get(rank)
        if sign is None:
            return f"rank {rank}"
        spent = sign["spent"] + self._silent[rank]
        return f"rank {rank} on {sign['host']}, last seen as it {sign['does']} (for {_lasting(spent)})"

    def _say(self) -> None:
        """One sign of this rank."""
        self._count += 1
        sign = {
            "count": self._count,
            "host": self.host,
            "does": self.doing,
            "spent": time.monotonic() - self._since,
        }
        self.store.set(f"sign/{self.rank}", json.dumps(sign))

    def _signs(self) -> None:
        """Gives this rank's signs and reads the others', until the run ends or the store is gone."""
        last = time.monotonic()
        while not self._stop.wait(self.period):
            now = time.monotonic()
            try:
                self._say()
                verdict = self._read(min(now - last, 2 * self.period))
                if verdict and not self.rank:
                    self.store.set(VERDICT, verdict)
            except RuntimeError:  # `_watch` notices that no round is made any more
                return
            if verdict:
                self._give_up(verdict)
                return
            self._rounds += 1
            last = now

    def _read(self, passed: float) -> str:
        """Reads the signs of those this rank watches, `passed` seconds after the last time; what has been
        found, or nothing.
        """
        watched = range(1, self.size) if self.rank == 0 else range(1)
        for rank, sign in self._told(self.store, watched).items():
            same = sign["count"] == self._seen.get(rank, {}).get("count")
            self._silent[rank] = self._silent[rank] + passed if same else 0.0
            self._seen[rank] = sign
        silent = [self._found(rank) for rank in watched if self._silent[rank] > self.limit]
        found: str = self.store.get(VERDICT).decode()
        return found or "; ".join(silent[:3])

    def _found(self, rank: int) -> str:
        return (
            f"{self.named(rank)}, has given no sign of life for {_lasting(self._silent[rank])} "
            "(--peer-timeout): it hangs, is stopped, or its machine cannot be reached"
        )

    def _watch(self) -> None:
        """Notices that this rank's own signs reach nobody: the store, which is by rank 0, does not answer."""
        rounds, stuck = -1, 0.0
        last = time.monotonic()
        while not self._stop.wait(self.period / 2):
            now = time.monotonic()
            stuck = stuck + min(now - last, self.period) if rounds == self._rounds else 0.0
            rounds, last = self._rounds, now
            if stuck > self.limit and not self.lost:
                self._silent[0] += stuck
                self._give_up(self._found(0))

    def _give_up(self, why: str) -> None:
        """Ends this process from here, as it may wait where no error reaches it, and by its exit too. Rank 0
        speaks first, and leaves when the others have had the time to read why.
        """
        time.sleep(2 * self.period + (TURN if self.rank else 0))
        self.lost = f"{why}; the run ended, and --resume goes on from its last saved state"
        if not self._stop.wait(GRACE):
            mine = f"rank {self.rank}: " if self.rank else ""
            sys.stderr.write(f"r1: {mine}{shown.line(self.lost)}\n")
            sys.stderr.flush()
            os._exit(1)


def _lasting(seconds: float) -> str:
    """A duration in words."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
