"""The laws of import (docs/architecture.md), read from the source: each holds for every file there is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from conftest import environment

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob("r1cli/**/*.py"), *ROOT.glob("stages/**/*.py")])
TORCHLESS = {
    "r1cli", "stages", "runtime", "settings", "records", "formats", "language", "selection", "sandbox",
    "programs", "grading", "rewards", "scoring", "benchmarks", "evaluation", "world", "overview", "ratings",
    "planning", "page", "watch", "harness",
}  # fmt: skip
HEAVY = {
    "torch", "transformers", "tokenizers", "peft", "safetensors", "vllm", "deepspeed", "datasets", "numpy",
    "pandas", "pyarrow", "sympy", "math_verify", "matplotlib", "rich", "reasoning_gym", "zstandard",
    "lm_eval",
}  # fmt: skip


def of_each_file(law: Callable[[Path], None]) -> Callable[[], None]:
    """One test that names all files which break a law, each with what it says."""

    def test() -> None:
        broken = {}
        for file in FILES:
            try:
                law(file)
            except AssertionError as error:
                broken[str(file.relative_to(ROOT))] = str(error).partition("\n")[0]
        assert not broken

    test.__name__, test.__doc__ = law.__name__, law.__doc__
    return test


def room(path: Path) -> str:
    """The room a file stands in, as `grading` or `training/loop`; `stages` for those of stages/ itself."""
    folder = path.relative_to(ROOT).parent
    return "/".join(folder.parts[1:]) or folder.name


def room_of_module(name: str) -> str:
    path = ROOT.joinpath(*name.split("."))
    return room(path / "x.py" if path.is_dir() else path)


def may_import(here: str) -> set[str]:
    """The rooms that a room's `__init__` names after `May import:`; itself besides."""
    if here == "stages":
        return {room(file) for file in FILES} - {"r1cli"}
    if here == "r1cli":
        return {"r1cli", "stages", "checkpoints", "records", "settings", "runtime"}
    said = " ".join((ast.get_docstring(source(ROOT / "stages" / here / "__init__.py")) or "").split())
    rooms = said.partition("May import: ")[2].rstrip(".").partition(";")[0]
    return {here, *(() if rooms == "nothing of ours" else rooms.split(", "))}


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of all modules that a piece of source imports, deferred ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a line points"
            for alias in node.names:
                yield f"{node.module}.{alias.name}" if node.module == "stages" else str(node.module)


def parts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """All (module, name) that a piece of source imports from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when a file is imported, without those for type checkers."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in (
            "TYPE_CHECKING",
            "__name__ == '__main__'",
        ):
            continue
        yield node


@cache
def source(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@of_each_file
def test_imports_point_one_way(file: Path) -> None:
    here = room(file)
    for name in imported(source(file)):
        if name.split(".")[0] in ("stages", "r1cli") and name != "stages":
            assert room_of_module(name) in may_import(here), f"{here} imports {name}"


def circles(arrows: Mapping[str, set[str]]) -> list[str]:
    """The names from which a way of arrows leads back to themselves."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        ahead = [*arrows[start]]
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead.extend(arrows.get(name, ()))
        return found

    return [name for name in arrows if name in reached(name)]


def test_no_import_leads_back_to_where_it_began() -> None:
    """Neither among files, those that are deferred included, nor among rooms."""
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in FILES}
    arrows: dict[str, set[str]] = {}
    for module, file in modules.items():
        names = {f"{name}.{part}" for name, part in parts(source(file))}
        names |= {name for name, _ in parts(source(file))}
        arrows[module] = {name for name in names if name in modules}
    assert circles(arrows) == []
    houses: dict[str, set[str]] = {}
    for module, targets in arrows.items():
        here = room(modules[module]).partition("/")[0]
        there = {room(modules[target]).partition("/")[0] for target in targets}
        houses.setdefault(here, set()).update(there - {here})
    assert circles(houses) == []


def test_no_room_is_too_full_to_be_looked_over() -> None:
    """About a dozen files; rooms in which each file is one thing of a kind may have more."""
    alike = {"stages", "rewards", "benchmarks"}
    rooms = Counter(room(file) for file in FILES if file.stem != "__init__")
    assert {name: count for name, count in rooms.items() if count > 14 and name not in alike} == {}


@of_each_file
def test_stages_know_nothing_of_terminals_and_the_program_nothing_of_torch(file: Path) -> None:
    tree = source(file)
    tops = {name.split(".")[0] for name in imported(tree)}
    if room(file) == "r1cli":
        assert tops.isdisjoint(HEAVY - {"rich"})
        return
    assert tops.isdisjoint({"typer", "click", "rich", "textual"})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("stdout", "__stdout__"):
            assert ast.unparse(node.value) != "sys", f"line {node.lineno} touches sys.stdout"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
            assert any(word.arg == "file" for word in node.keywords), f"line {node.lineno} prints to stdout"


@of_each_file
def test_only_training_distributes_and_only_inference_says_vllm(file: Path) -> None:
    names = set(imported(source(file)))
    if room(file).partition("/")[0] != "training":
        assert not {name for name in names if name.startswith(("torch.distributed", "deepspeed"))}
    if room(file).partition("/")[0] != "inference":
        assert not {name for name in names if name.split(".")[0] == "vllm"}


@of_each_file
def test_rooms_without_torch_defer_every_heavy_import(file: Path) -> None:
    if room(file) in TORCHLESS:
        for node in at_import(source(file)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert {name.split(".")[0] for name in imported(node)}.isdisjoint(HEAVY), (
                    f"line {node.lineno}"
                )


@of_each_file
def test_nothing_happens_at_import(file: Path) -> None:
    """Definitions, imports and constants; no calls for their effect, loops, files or changed modules."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    allowed = ast.Import | ast.ImportFrom | functions | ast.ClassDef | ast.Assign | ast.AnnAssign
    for node in at_import(source(file)):
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"line {node.lineno}"
            continue
        assert isinstance(node, allowed), f"line {node.lineno}: {type(node).__name__}"
        targets = node.targets if isinstance(node, ast.Assign) else []
        assert all(isinstance(target, ast.Name | ast.Tuple) for target in targets), f"line {node.lineno}"
        value = getattr(node, "value", None)
        if value is not None:
            calls = {ast.unparse(call.func) for call in ast.walk(value) if isinstance(call, ast.Call)}
            assert calls.isdisjoint({"open", "os.getenv", "os.environ.get", "subprocess.run"}), node.lineno


@of_each_file
def test_no_function_takes_more_than_eight_arguments_or_sixty_lines(file: Path) -> None:
    for node in ast.walk(source(file)):
        if isinstance(node, ast.FunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([each for each in given if each.arg not in ("self", "cls")])
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert count <= 8, f"{node.name} takes {count} arguments: make what belongs together a dataclass"
            assert lines <= 60, f"{node.name} has {lines} lines"


@of_each_file
def test_no_line_is_longer_than_110_characters(file: Path) -> None:
    """Not even one without a space, which the linter passes over."""
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        assert len(line) <= 110, f"line {number}"


@of_each_file
def test_every_file_says_what_it_is_for_and_fits_in_one_sitting(file: Path) -> None:
    tree = source(file)
    assert ast.get_docstring(tree) or not tree.body
    assert file.stem not in ("utils", "helpers", "common", "base", "manager")


@of_each_file
def test_one_function_says_which_name_may_be_meant(file: Path) -> None:
    if file.stem != "errors":
        assert "difflib" not in set(imported(source(file)))


def loaded(*arguments: str, stdin: bytes = b"") -> set[str]:
    """The top names of all modules that a run of the program imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "r1cli", *arguments],
        input=stdin,
        capture_output=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    lines = done.stderr.decode().splitlines()
    return {line.rpartition("|")[2].strip().split(".")[0] for line in lines if "|" in line}


# Each help in a child of one process, which has the program loaded and no stage.
HELPS = """
import os, sys
from r1cli.main import main
report, *names = sys.argv[1:]
for name in names:
    if os.fork() == 0:
        sys.argv = ["r1", *name.split(), "--help"]
        try:
            main()
        finally:
            with open(report, "a") as file:
                print(name or "r1", *sys.modules, file=file)
            os._exit(0)
    os.wait()
"""


def test_no_two_files_of_tests_share_a_name() -> None:
    """pytest imports them by their names alone."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    names = [path.stem.replace("_", "-") for path in sorted(ROOT.glob("stages/[!_]*.py"))]
    line = [sys.executable, "-c", HELPS, str(tmp_path / "loaded"), "", *names]
    subprocess.run(line, env=environment(), capture_output=True, check=True)
    found = {name: set(modules) for name, *modules in map(str.split, (tmp_path / "loaded").open())}
    assert found.keys() == {"r1", *names}
    assert {
        name: heavy for name, modules in found.items() if (heavy := modules & (HEAVY | {"textual"}))
    } == {}
    assert all(f"stages.{name.replace('-', '_')}" in found[name] for name in names)


@pytest.mark.parametrize("name", ["score", "filter"])
def test_score_and_filter_load_no_torch(name: str) -> None:
    if not (ROOT / "stages" / f"{name}.py").exists():
        pytest.skip(f"there is no stage {name} yet")
    record = (
        b'{"id":"a#0","prompt":"1+1","answer":"2","completion":"2","rewards":{"accuracy":1},"reward":1}\n'
    )
    found = loaded(name, stdin=record)
    assert found.isdisjoint({"torch", "transformers", "typer.rich_utils"})
