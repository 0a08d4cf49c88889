"""docs/from-trl.md has every option of the TRL that is installed, and the options of ours that it names."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from test_docs import known_flags

from r1cli.main import BUILT_IN, load
from stages.grpo import RATE

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "from-trl.md").read_text("utf-8")
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z0-9-]*")


def declared(package: str, file: str, kind: str) -> dict[str, Any]:
    """The fields that a class of an installed package declares, and their defaults where they are literals.

    Read from its source: importing it costs seconds.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    tree = ast.parse((Path(found.origin).parent / file).read_text("utf-8"))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind]
    fields: dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            value: Any = node.value
            if isinstance(value, ast.Call):
                value = next((word.value for word in value.keywords if word.arg == "default"), None)
            with contextlib.suppress(ValueError):
                fields[node.target.id] = None if value is None else ast.literal_eval(value)
            fields.setdefault(node.target.id, None)
    return {name: value for name, value in fields.items() if not name.startswith("_")}


@pytest.fixture(scope="module")
def configurations() -> dict[str, dict[str, Any]]:
    """The options of each of TRL's configurations, and those that both inherit, with their defaults."""
    shared = declared("transformers", "training_args.py", "TrainingArguments")
    shared |= declared("trl", "trainer/base_config.py", "_BaseConfig")
    found = {"TrainingArguments": shared}
    for name, file in (("GRPOConfig", "grpo_config.py"), ("SFTConfig", "sft_config.py")):
        fields = declared("trl", f"trainer/{file}", name)
        found[name] = {each: value for each, value in fields.items() if each not in shared}
        found[f"defaults of {name}"] = {**shared, **fields}
    return found


def rows(section: str) -> list[list[str]]:
    """The cells of the rows of a section's table."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("name", ["GRPOConfig", "SFTConfig", "TrainingArguments"])
def test_each_option_of_trl_has_one_row(name: str, configurations: dict[str, Any]) -> None:
    named = [option for row in rows(name) for option in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(configurations[name])
    assert all(len(row) == 2 and row[1] for row in rows(name))


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("GRPOConfig", ("grpo",)),
        ("SFTConfig", ("sft",)),
        ("TrainingArguments", ("sft", "grpo")),
    ],
)
def test_the_options_that_a_row_names_are_options_of_ours(name: str, stages: tuple[str, ...]) -> None:
    known = set.union(*map(known_flags, stages))
    for _, ours in rows(name):
        for quoted in re.findall(r"`([^`]+)`", ours):
            other = re.match(r"r1 (\w+)", quoted)
            allowed = known_flags(other[1]) if other else known
            assert set(FLAG.findall(quoted)) <= allowed, quoted


def test_the_defaults_are_those_of_both(configurations: dict[str, Any]) -> None:
    defaults = configurations["defaults of GRPOConfig"]
    options = {flag: o.default for o in load("grpo", BUILT_IN / "grpo.py").options for flag in o.flags}
    options["--lr"] = RATE  # it depends on the recipe and on --lora
    compared = 0
    for theirs, ours, _ in rows("Defaults that differ"):
        option, _, value = theirs.strip("`").partition("=")
        assert repr(defaults[option]).replace("'", '"') == value, theirs
        if match := re.fullmatch(r"`(--[\w-]+) (\S+)`", ours):
            assert str(options[match[1]]) == match[2], ours
            compared += 1
    assert compared >= 8
