"""What a run has left in its folder, finished or not: metrics, options, evaluations, completions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stages.checkpoints.checkpoint import MANIFEST, read_manifest
from stages.records import jsonl
from stages.records.record import Record


@dataclass(frozen=True)
class RunFolder:
    """A run: its name on the page, its folder, and what the folder's small files say."""

    name: str
    path: Path
    history: list[Record]
    manifest: dict[str, Any]
    evaluations: list[Record]

    @property
    def finished(self) -> bool:
        """Whether its own manifest is there, which stands at the end of a run."""
        return (self.path / MANIFEST).is_file()


def read(name: str, path: Path, history: list[Record]) -> RunFolder:
    """The run in `path`; `history` are its metrics. Raises BadInput for a file that is no JSON."""
    lines = path / "eval.jsonl"
    evaluations = list(jsonl.read_file(lines)) if lines.is_file() else []
    return RunFolder(name, path, history, manifest_of(path), evaluations)


def manifest_of(path: Path) -> dict[str, Any]:
    """What the run's `r1.json` says, or while it goes on that of a checkpoint which it has kept; {} before.

    Raises BadInput where it is there and says nothing that can be read.
    """
    made = read_manifest(path)
    return made or next((known for each in _checkpoints(path) if (known := read_manifest(each))), {})


def _checkpoints(path: Path) -> list[Path]:
    """Those that a run keeps beside its own."""
    return [path / "best", *sorted((path / "steps").glob("step_*"))]


def metrics(path: Path) -> Iterator[Record]:
    """The lines of a run's metrics.jsonl, which may be growing: a last one that is cut off is not there yet.

    Raises BadInput for a line that is no JSON object, StreamError where the file cannot be read.
    """
    with jsonl.open_input(path) as stream:
        lines = (line for line in jsonl.lines(stream) if line.endswith(b"\n") or _is_json(line))
        yield from jsonl.read_lines(lines, str(path))


def _is_json(line: bytes) -> bool:
    try:
        jsonl.decode(line)
    except ValueError:
        return False
    return True


class Source(NamedTuple):
    """Completions in a run's folder: their name, and their files in the order of steps."""

    name: str
    paths: list[Path]
    tokenizers: list[Path]  # folders that may hold the tokenizer of what they were drawn from
    measured: bool = False  # whether they are of problems that the run does not learn from


def completions(run: RunFolder) -> Iterator[Source]:
    """All that has completions in the folder."""
    own = [run.path, *_checkpoints(run.path)]
    rollouts = _files(run.path / "rollouts", "step_*.jsonl")
    if rollouts:
        yield Source(run.name, rollouts, own)
    traces = [run.path / "traces" / each for each in ("kept.jsonl", "rejected.jsonl")]
    if not all(map(os.path.isfile, traces)):  # not chosen from yet
        traces = [path for path in [run.path / "traces" / "completions.jsonl"] if path.is_file()]
    if traces:
        yield Source(f"{run.name}: traces", traces, [])  # a teacher's
    held: dict[str, list[Path]] = {}
    for path in _files(run.path / "eval", "step_*/*.jsonl"):
        held.setdefault(path.stem, []).append(path)
    for source, paths in held.items():
        yield Source(f"{run.name}: {source}", paths, own, measured=True)


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())
