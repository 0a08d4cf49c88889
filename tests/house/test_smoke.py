"""All seven stages work together, from a fresh model to a bar that the last one must reach."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "recipes" / "smoke.sh"


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_smoke_run_reaches_its_bar_and_leaves_nothing_behind(tmp_path: Path, path: str) -> None:
    environment = {**os.environ, "PATH": path, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"benchmark":"sums"') == 1
    assert not list(tmp_path.iterdir())
