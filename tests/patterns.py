"""All regular expressions of the program, found in its source, with the methods that each is used with."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*ROOT.glob("r1cli/**/*.py"), *ROOT.glob("stages/**/*.py")])
ANCHORED = ("match", "fullmatch")
METHODS = ("search", "sub", "subn", "split", "findall", "finditer", *ANCHORED)


class Site(NamedTuple):
    """A call of `re`: where it stands, and the name that its pattern is given, "" for none."""

    file: Path
    first: int
    last: int
    call: ast.Call
    name: str

    @property
    def place(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.first}"


class Used(NamedTuple):
    """A pattern, and how it is used: "scan" for what tries each place of a text."""

    place: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]


def sites() -> list[Site]:
    """Each call of `re` that makes a pattern. AssertionError for one under another name, which would hide."""
    found = []
    for file in FILES:
        tree = ast.parse(file.read_text("utf-8"))
        given = {
            node.value: ast.unparse(node.targets[0])
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("re", "regex"), f"{file}: say `import re`"
            if isinstance(node, ast.Import):
                for alias in node.names:
                    assert (alias.name, alias.asname is None) in (("re", True),) or alias.name not in (
                        "re",
                        "regex",
                    )
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == "re"
                and node.func.attr in ("compile", *METHODS)
            ):
                end = node.end_lineno or node.lineno
                found.append(Site(file, node.lineno, end, node, given.get(node, "")))
    return found


def used(reach: Callable[[], None]) -> list[Used]:
    """All patterns. `reach` runs the code that makes those which only a call makes."""
    calls = _calls()
    found = []
    later = []
    for site in sites():
        module = importlib.import_module(_module(site.file))
        method = site.call.func.attr
        try:
            source, *flags = [_value(each, module) for each in (site.call.args[0], *_flags(site))]
        except NameError:
            later.append(site)
            continue
        ways = calls.get((_module(site.file), site.name), set()) if method == "compile" else {method}
        found.append(Used(site.place, re.compile(source, *flags), _ways(ways)))
    with _recorded() as made:
        reach()
    for site in later:
        seen = {
            pattern
            for file, line, pattern in made
            if file == str(site.file) and site.first <= line <= site.last
        }
        assert seen, f"{site.place}: no test makes this pattern, so none can judge it"
        found += [Used(site.place, pattern, _ways(set())) for pattern in seen]
    return found


def _ways(methods: set[str]) -> frozenset[str]:
    return frozenset(each if each in ANCHORED else "scan" for each in methods or METHODS)


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _value(node: ast.expr, module: Any) -> Any:
    return eval(compile(ast.Expression(node), "pattern", "eval"), dict(vars(module)))


def _flags(site: Site) -> list[ast.expr]:
    named = [each.value for each in site.call.keywords if each.arg == "flags"]
    place = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(site.call.func.attr, 2)
    return named or site.call.args[place : place + 1]


def _calls() -> dict[tuple[str, str], set[str]]:
    """(module, name) of a pattern -> the methods that are called of it, in any file."""
    found: dict[tuple[str, str], set[str]] = {}
    for file in FILES:
        tree = ast.parse(file.read_text("utf-8"))
        imported = {
            alias.asname or alias.name: (str(node.module), alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree):
            # Also one that is handed on, as a method or as itself: `map(WORD.findall, lines)`.
            if not isinstance(node, ast.Attribute) or node.attr not in METHODS:
                continue
            match node.value:
                case ast.Name(id=name):
                    key = imported.get(name, (_module(file), name))
                case ast.Attribute(value=ast.Name(id=owner), attr=name):
                    key = (".".join(imported.get(owner, ("", owner))), name)
                case _:
                    continue
            found.setdefault(key, set()).add(node.attr)
    return found


@contextmanager
def _recorded() -> Iterator[list[tuple[str, int, re.Pattern[Any]]]]:
    """What `re` compiles meanwhile, with the file and line that asked for it."""
    made: list[tuple[str, int, re.Pattern[Any]]] = []
    real = re._compile

    def compiled(pattern: Any, flags: int) -> Any:
        made_of = real(pattern, flags)
        caller = sys._getframe(2)
        made.append((caller.f_code.co_filename, caller.f_lineno, made_of))
        return made_of

    for name, module in list(sys.modules.items()):
        for each in vars(module).values() if name.startswith("stages.") else ():
            if hasattr(each, "cache_clear"):
                each.cache_clear()
    re._compile = compiled
    try:
        yield made
    finally:
        re._compile = real
