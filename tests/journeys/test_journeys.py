"""Six roles, each a script of what one types who has nothing but the docs, on files made there.

`fails CODE WORDS command...` is a first try that goes wrong: it must end with that code and say those words.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROLES = sorted(path.stem for path in HERE.glob("*.sh"))
TOOLS = """
fails() {
  local code=$1 words=$2 got=0
  shift 2
  "$@" > said.txt 2>&1 || got=$?
  if test "$got" != "$code" || ! grep -q -- "$words" said.txt; then
    echo "wanted $code and '$words', got $got and:"; cat said.txt; return 1
  fi
}
"""


def test_there_is_a_journey_for_each_role() -> None:
    assert ROLES == ["data_engineer", "evaluator", "from_trl", "researcher", "sceptic", "teacher"]


@pytest.mark.full
@pytest.mark.parametrize("role", ROLES)
def test_a_journey_ends_at_its_goal(role: str, tiny: Path, tmp_path: Path) -> None:
    if not shutil.which("jq"):
        pytest.skip("the journeys look at records with jq")
    shutil.copytree(tiny, tmp_path / "base")
    code = TOOLS + (HERE / f"{role}.sh").read_text("utf-8")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "RECIPES": str(HERE.parents[1] / "docs" / "recipes"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
