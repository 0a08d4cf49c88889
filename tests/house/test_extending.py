"""Each example of docs/extending.md, applied to a copy of the tree, does what the page shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
THINGS = (
    "A reward", "A benchmark", "A filter", "A loss", "An advantage", "A sampler", "A learning-rate schedule",
    "A backend", "A stage", "A tracker",
)  # fmt: skip


class Block(NamedTuple):
    """A fenced block: its language, and what stands in it."""

    kind: str
    text: str


def sections() -> dict[str, list[Block]]:
    """The blocks of each section by its title; those before the first under ""."""
    opening, *rest = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    named = [("", opening), *((text.partition("\n")[0], text) for text in rest)]
    return {title: [Block(*found) for found in FENCE.findall(text)] for title, text in named}


def edited(text: str, hunk: str) -> str:
    """`text` with a hunk applied at the one place where its old lines stand."""
    lines = hunk.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"stands {text.count(old)} times:\n{old}"
    return text.replace(old, new)


def shell(code: str, folder: Path, tree: Path) -> str:
    """What a block prints, with `tree` in the place of this one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if name != "R1_STAGES"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env={**kept, "PATH": path, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the page's first block makes."""
    folder = tmp_path_factory.mktemp("extending")
    for block in sections()[""]:
        shell(block.text, folder, ROOT)
    return folder


def test_the_page_has_an_example_of_each_thing() -> None:
    assert tuple(title for title in sections() if title) == THINGS


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("title", THINGS)
def test_an_example_does_what_the_page_shows(title: str, prepared: Path, tmp_path: Path) -> None:
    tree, folder = tmp_path / "tree", tmp_path / "folder"
    for name in ("stages", "r1cli"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(prepared, folder)
    printed, blocks = "", sections()[title]
    for block in blocks:
        first, _, rest = block.text.partition("\n")
        name = first.removeprefix("# ")
        target = (tree if name.startswith("stages/") else folder) / name
        if block.kind == "diff":
            target.write_text(edited(target.read_text("utf-8"), rest), "utf-8")
        elif block.kind == "python":
            target.parent.mkdir(exist_ok=True)
            target.write_text(rest, "utf-8")
        elif block.kind == "sh":
            if (folder / "trained").exists():  # each command makes its own
                shutil.rmtree(folder / "trained")
            printed = shell(block.text, folder, tree)
        else:
            assert printed == block.text
    assert any(block.kind == "sh" for block in blocks)


def test_the_reward_inside_passes_its_own_examples(tmp_path: Path) -> None:
    """As tests/rewards does with those of the tree."""
    code = next(b.text for b in sections()["A reward"] if b.text.startswith("# stages/rewards/"))
    space: dict[str, object] = {}
    exec(compile(code, "brevity.py", "exec"), space)
    brevity, examples = space["brevity"], space["EXAMPLES"]
    for record, options, wanted in examples:
        assert brevity(record, **options).value == wanted
