"""The GPU kit: at its smallest size it holds on a CPU, and a part that fails ends no other."""

from __future__ import annotations

import importlib
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from conftest import environment

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.full


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("kit")


def test_a_part_that_fails_is_a_row_and_the_others_go_on(kit: Any, tmp_path: Path) -> None:
    given = Namespace(size="smallest", work=tmp_path)
    rows = kit.run(["nowhere/at all"], given, "cpu") + kit.run(["machine/facts"], given, "cpu")
    failed = [row for row in rows if not row.get("ok", True)]
    assert [(row["part"], row["note"]) for row in failed] == [("nowhere/at all", "KeyError: 'nowhere'")]
    assert {row["part"] for row in rows if "seconds" in row} == {"nowhere/at all", "machine/facts"}
    assert "| nowhere/at all |" not in kit.page(rows, "smallest")
    assert "1 of them failed" in kit.page(rows, "smallest")


def test_the_smallest_size_holds_on_a_cpu(tmp_path: Path) -> None:
    made = tmp_path / "page.md"
    made.write_text("# Ours\n\n## What was found\n\nold\n")
    line = [
        sys.executable,
        HERE / "kit.py",
        "--size",
        "smallest",
        "--work",
        tmp_path / "work",
        "--page",
        made,
    ]
    line += ["--device", "cpu"]
    done = subprocess.run(
        list(map(str, line)), capture_output=True, text=True, env=environment(), timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = made.read_text()
    assert page.startswith("# Ours\n\n## What was found\n\nSize smallest: ")
    assert "FAILED" not in page
    for title in ("Equality with the CPU", "Kills and guards", "Long sequences", "Speed and memory"):
        assert f"### {title}" in page
    begun = subprocess.run([*map(str, line), "--minutes", "0"], capture_output=True, text=True, check=False)
    assert (begun.returncode, begun.stdout.count("\n")) == (0, 1)  # all of it is done already
