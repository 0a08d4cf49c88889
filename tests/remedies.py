"""What the program's messages tell people to do, found in the source: options, commands, pages and extras.

A message is a text of a function's body, or a constant that one uses. From each stage's `run` the calls are
followed through the rooms, so that it is known which stages can say it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OPTION = re.compile(r"(?<![\w-])(--[a-z](?:[a-z0-9-]*[a-z0-9])?|-[a-zA-Z])(?![\w-])")
WORDS = r"--?[a-z][\w-]*|[A-Z][A-Z,]*|…|[0-9]+|[a-z]+=[A-Z]*|-|\w+(?= *[|>`])"
COMMAND = re.compile(rf"(?<!that )(?<!the )\br1 ([a-z][a-z-]*)((?: +(?:{WORDS})(?![\w-]))*)")
PAGE = re.compile(r"docs/[\w/-]+\.md(?:#[\w-]+)?")
EXTRA = re.compile(r"\.\[([\w,-]+)\]")
# These choose a file of a room by its name, which no import shows.
CHOSEN = {
    ("stages.scoring.spec", "part"): "stages.rewards.",
    ("stages.evaluation.benchmark", "load"): "stages.benchmarks.",
}
# What these say of models is told in the words of a reward's own options (stages/runtime/reward_options.py).
TRANSLATED = ("stages.grading.judged.judges", "stages.rewards.reward_model")
TRANSLATED_ROOMS = ("stages.inference.", "stages.checkpoints.", "stages.settings.")
HELP = {"Doc", "Flag", "Alias", "compile"}  # calls whose texts are no messages

Name = tuple[str, str]  # a module, and what is called so at its top


class Remedy(NamedTuple):
    """`told` is an option, a command, a page or an extra; `blamed` if the message is about it."""

    module: str
    line: int
    text: str
    kind: str
    told: str
    stages: frozenset[str]
    blamed: bool = False


@cache
def remedies() -> list[Remedy]:
    """All of them, once each."""
    found = []
    for (module, top), node in tops().items():
        said_by = frozenset(stage for stage in stages() if (module, top) in reached(stage))
        for line, text in texts(node):
            blamed = set(OPTION.findall(text.partition(":")[0])) if text.startswith("-") else set()
            commands = list(COMMAND.finditer(text))
            inside = [range(*each.span()) for each in commands]
            for each in OPTION.finditer(text):
                if each.group() == text or any(each.start() in span for span in inside):
                    continue
                told = each.group()
                found.append(Remedy(module, line, text, "option", told, said_by, told in blamed))
            for each in commands:
                if each.group(1) not in stages() and text[each.start() - 1 : each.start()] != "`":
                    continue  # a sentence about r1
                found.append(Remedy(module, line, text, "command", each.group().strip(), said_by))
            for each in PAGE.finditer(text):
                found.append(Remedy(module, line, text, "page", each.group(), said_by))
            for each in EXTRA.finditer(text):
                found.append(Remedy(module, line, text, "extra", each.group(1), said_by))
    return list(dict.fromkeys(found))


def stages() -> list[str]:
    return sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))


@cache
def modules() -> dict[str, ast.Module]:
    files = sorted([*ROOT.glob("stages/**/*.py"), *ROOT.glob("r1cli/**/*.py")])
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): ast.parse(file.read_text("utf-8"))
        for file in files
        if file.stem != "__init__"
    }


@cache
def tops() -> dict[Name, ast.stmt]:
    """What each module has at its top, by name."""
    found: dict[Name, ast.stmt] = {}
    for module, tree in modules().items():
        for node in tree.body:
            for name in _names(node):
                found[module, name] = node
    return found


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(each, ast.Name) and each.id != "EXAMPLES":
                    yield each.id


@cache
def reached(stage: str) -> frozenset[Name]:
    """All that a stage's `run` calls, or might: what it names, and what that names."""
    found: set[Name] = set()
    ahead = [(f"stages.{stage}", "run")]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += used(name)
    return frozenset(found)


@cache
def used(name: Name) -> tuple[Name, ...]:
    module, _ = name
    node = tops()[name]
    known = imported_by(module)
    found: set[Name] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            target = known.get(each.id, (module, each.id))
            found.add(target)
        elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            room, part = known.get(each.value.id, ("", ""))
            found.add((f"{room}.{part}", each.attr))
    if module in TRANSLATED:
        found = {each for each in found if not each[0].startswith(TRANSLATED_ROOMS)}
    for prefix in [CHOSEN[name]] if name in CHOSEN else []:
        found |= {top for top in tops() if top[0].startswith(prefix)}
    return tuple(each for each in found if each in tops())


@cache
def imported_by(module: str) -> dict[str, Name]:
    """Local names of what a module imports: where that is from, and its own name."""
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Each whole text within, with its line; what is filled in stands as `…`. No docstrings, and no help."""
    if isinstance(node, ast.Call):
        called = node.func
        if getattr(called, "id", getattr(called, "attr", "")) in HELP:
            return
    whole = joined(node)
    if whole is not None:
        yield getattr(node, "lineno", 0), " ".join(whole.split())
        return
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
        docstring = body[0] if isinstance(body[0].value, ast.Constant) else None
    else:
        docstring = None
    for child in ast.iter_child_nodes(node):
        if child is not docstring:
            yield from texts(child)


def joined(node: ast.AST) -> str | None:
    """The text that an expression makes; None where it makes none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else _filled(part) for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [joined(node.left), joined(node.right)]
        return None if sides == [None, None] else "".join(side or "…" for side in sides)
    if isinstance(node, ast.IfExp):
        sides = [joined(node.body), joined(node.orelse)]
        return None if None in sides else " ".join(map(str, sides))
    return None


def _filled(part: ast.AST) -> str:
    """What stands for a value; where that is a choice of two texts, both."""
    inner = joined(part.value) if isinstance(part, ast.FormattedValue) else None
    return "…" if inner is None else inner
