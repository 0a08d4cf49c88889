"""A run as others see it: the files it writes are read and nothing of it is touched, its lock included."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stages.checkpoints.checkpoint import MANIFEST, partial_of
from stages.page import run_folder
from stages.records import jsonl
from stages.records.record import Record, object_of
from stages.runtime.errors import BadInput
from stages.runtime.lock import held

State = Literal["running", "finished", "stopped"]
TAIL = 1 << 20  # bytes of a file of rollouts whose last record is shown


@dataclass
class Watched:
    """A run by its OUT or OUT.partial; `look` brings the rest up to date. `name` is what it was called by.

    `total` is the number of steps where the run has said it, 0 before. Raises BadInput where there is no run.
    """

    given: Path
    state: State = "running"
    history: list[Record] = field(default_factory=list)
    total: int = 0
    last: Record | None = None
    _end: int = 0  # of what is read of the metrics
    _file: int = 0  # their inode
    _newest: Path | None = None

    def __post_init__(self) -> None:
        plain = self.given.name not in ("", "..")  # of `.` there is no name to add .partial to
        given = self.given if plain else Path(os.path.abspath(self.given))
        self.name = given.name or str(given)
        self.out = given.parent / given.name.removesuffix(".partial")
        self.work = partial_of(self.out) if self.out.name else self.out
        if not (self.work.is_dir() or self._is_whole()):
            self.work = given  # a run's folder under another name
        if not (self.work.is_dir() or self._is_whole()):
            raise BadInput("no metrics.jsonl", place=str(self.given), remedy="start the run first")

    @property
    def folder(self) -> Path:
        """Where its files are now."""
        return self.out if self._is_whole() else self.work

    def look(self) -> None:
        """Reads what is new. Raises BadInput for a line of metrics that is whole and no JSON."""
        alive = held(self.work / "lock")
        whole = self._is_whole()  # asked after the lock: a run that ends makes OUT first
        self.state = "finished" if whole else "running" if alive else "stopped"
        folder = self.out if whole else self.work
        self._read(folder / "metrics.jsonl")
        self.total = self.total or _steps(folder)
        self._read_last(folder / "rollouts")

    def _is_whole(self) -> bool:
        return (self.out / MANIFEST).is_file()

    def _read(self, path: Path) -> None:
        try:
            with open(path, "rb") as stream:
                found = os.fstat(stream.fileno())
                if found.st_ino != self._file or found.st_size < self._end:  # resumed: written anew
                    self.history, self._end, self._file = [], 0, found.st_ino
                stream.seek(self._end)
                new = stream.read()
        except OSError:  # not there yet, or it moves to OUT just now
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._end += len(whole)
        self.history += jsonl.read_lines(whole.splitlines(keepends=True), str(path))

    def _read_last(self, folder: Path) -> None:
        """The last completion of the newest step."""
        newest = max(folder.glob("step_*.jsonl"), default=None)
        if newest is None or newest == self._newest:
            return
        try:
            with open(newest, "rb") as stream:
                stream.seek(max(os.fstat(stream.fileno()).st_size - TAIL, 0))
                line = stream.read().rstrip(b"\n").rpartition(b"\n")[2]
            found = jsonl.decode(line)
        except (OSError, ValueError):  # it moves just now, or is longer than the tail
            return
        self._newest = newest
        self.last = Record(object_of(found), place=str(newest))


def _steps(folder: Path) -> int:
    """How many there will be, where a manifest says it."""
    steps = object_of(run_folder.manifest_of(folder).get("options")).get("steps")
    return steps if isinstance(steps, int) and steps > 0 else 0
