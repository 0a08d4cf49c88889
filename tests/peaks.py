"""Peak memory of each rank of a run of training, while it loads, trains and saves: what the kernel counted.

The program runs as it is. A file planted beside it sets the kernel's peak (VmHWM) back as a phase begins.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages.records import jsonl

GIB = 2**30
PHASES = {"begins": "start", "loads": "load", "learns": "train", "saves": "state", "writes": "save"}
PLANTED = """
import atexit, json, os, sys
if "RANK" in os.environ or os.environ.get("R1_PEAKS_RANKS") == "1":
    from stages.training.parallel.world import World
    from stages.training.policy import Policy
    PHASES = {phases!r}
    found, now = {{}}, ["start"]
    def peak():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    def enter(phase):
        if phase != now[0]:
            found[now[0]] = max(found.get(now[0], 0), peak())
            now[0] = phase
            with open("/proc/self/clear_refs", "w") as refs:
                refs.write("5")
    def end():
        found[now[0]] = max(found.get(now[0], 0), peak())
        with open(os.path.join({folder!r}, os.environ.get("RANK", "0") + ".json"), "w") as out:
            json.dump(found, out)
    does, made = World.does, Policy.__init__
    def told(self, what):
        if what.split()[0] in PHASES:
            enter(PHASES[what.split()[0]])
        does(self, what)
    def begun(self, *given, **named):
        if now[0] == "start":
            enter("load")
            atexit.register(end)
        made(self, *given, **named)
    World.does, Policy.__init__ = told, begun
"""


class Peaks(NamedTuple):
    """Bytes of each rank: `start` of the libraries alone, then `load`, `train`, `state` and `save`."""

    ranks: list[dict[str, int]]
    seconds: float

    @property
    def most(self) -> int:
        """What a rank had at most from loading on."""
        return max(size for rank in self.ranks for phase, size in rank.items() if phase != "start")


def learned(folder: Path) -> Path:
    """A few short records."""
    path = folder / "sums.jsonl"
    jsonl.write(path, [{"prompt": f"{i} + {i} =", "completion": f" {2 * i}"} for i in range(4)])
    return path


def line(model: Path, records: Path, *flags: Any) -> list[Any]:
    """Two updates of sft on a CPU, of rows that weigh next to nothing."""
    return [
        *("sft", "-m", model, "--template", "none", "--device", "cpu", "--threads", 1, "--batch", 2),
        *("--epochs", 1, "--row-tokens", 32, "--lr", "1e-4", *flags, records),
    ]


def planned(line: Sequence[Any]) -> float:
    """Bytes that `--dry-run` says a process takes."""
    done = subprocess.run(
        [sys.executable, "-m", "r1cli", *map(str, line), "--dry-run"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = next(each for each in done.stderr.splitlines() if "dry run: " in each)
    return GIB * sum(float(each) for each in re.findall(r"([\d.]+) GiB", said))


def measured(line: Sequence[Any], folder: Path, ranks: int, timeout: float = 600) -> Peaks:
    """Runs a command line of a stage that trains, on `ranks` processes, and says what each of them took."""
    folder.mkdir(parents=True, exist_ok=True)
    planted = PLANTED.format(phases=PHASES, folder=str(folder))
    (folder / "sitecustomize.py").write_text(planted)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "r1cli", *map(str, line)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
        env={**os.environ, "PYTHONPATH": path, "R1_PEAKS_RANKS": str(ranks)},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]
    return Peaks(found, time.monotonic() - begun)
