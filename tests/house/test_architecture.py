"""docs/architecture.md is true: its rooms are those there are, and each step of its ways calls the next."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from test_laws import FILES, may_import, room

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ROOMS = {room(file) for file in FILES}
WAYS = ("A record's way through `r1 score`", "A token's way through a step of `r1 grpo`")


class Step(NamedTuple):
    """A step of a way: the number of the step that calls it ("–" for none), and what is called."""

    caller: str
    file: str
    function: str


def way(title: str) -> dict[str, Step]:
    """The steps of a way by their number."""
    text = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (\d+) \| (\S+) \| `(\S+)` \| `(\S+)` \|", text, re.MULTILINE)
    return {number: Step(*step) for number, *step in found}


def definition(step: Step) -> ast.AST:
    """The function of a step in the source."""
    found: ast.AST = ast.parse((ROOT / step.file).read_text("utf-8"))
    for name in step.function.split("."):
        kinds = ast.FunctionDef | ast.ClassDef
        inside = ast.iter_child_nodes(found)
        found = next(node for node in inside if isinstance(node, kinds) and node.name == name)
    return found


def test_every_room_stands_in_the_table_with_the_arrows_of_its_init() -> None:
    rows = re.findall(r"^\| `([\w/]+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert {name for name, _ in rows} == ROOMS - {"stages", "r1cli"}
    assert len(rows) == len(dict(rows))
    for name, arrows in rows:
        rooms = arrows.partition(";")[0]
        assert {name, *(() if rooms == "nothing of ours" else rooms.split(", "))} == may_import(name), name


def test_the_drawing_has_every_room_and_its_imports_point_down() -> None:
    drawing = PAGE.partition("```\n")[2].partition("```")[0]
    rows = [re.split(r"\s{2,}", line) for line in drawing.splitlines()]
    level = {name: number for number, row in enumerate(rows) for name in row if name in ROOMS}
    level |= {"stages": next(number for number, row in enumerate(rows) if row[0] == "stages/*.py")}
    assert set(level) == ROOMS
    for here in ROOMS:
        for there in may_import(here):
            if here.partition("/")[0] != there.partition("/")[0]:
                assert level[here] <= level[there], f"{here} stands below {there}, which it may import"


def test_every_file_it_names_exists() -> None:
    for name in re.findall(r"`((?:stages|r1cli|tests)/[\w./]*)`", PAGE):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("title", WAYS)
def test_each_step_of_a_way_is_called_by_the_one_it_names(title: str) -> None:
    steps = way(title)
    assert len(steps) > 10
    for number, step in steps.items():
        definition(step)
        if step.caller == "–":
            continue
        name = step.function.rpartition(".")[2]
        body = list(ast.walk(definition(steps[step.caller])))
        used = {node.attr for node in body if isinstance(node, ast.Attribute)}
        used |= {node.id for node in body if isinstance(node, ast.Name)}
        assert int(step.caller) < int(number)
        assert name in used, f"{steps[step.caller].function} does not call {step.function}"
