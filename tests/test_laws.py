"""The laws of import (docs/adding-a-stage.md), read from the source: each holds for every file there is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import environment

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*ROOT.glob("r1cli/**/*.py"), *ROOT.glob("stages/**/*.py")])
FLOOR = {"data"}
MIDDLE = {"inference", "objectives", "benchmarks", "rewards"}
MAY_IMPORT = {
    "data": FLOOR,
    "sandbox": {"sandbox", *FLOOR},
    **{room: {room, "sandbox", *FLOOR} for room in MIDDLE},
    "rewards": {"rewards", "inference", "sandbox", *FLOOR},  # a judge generates
    "inference": {
        "inference",
        "objectives",
        "sandbox",
        *FLOOR,
    },  # a model's layers are its products
    "training": {"training", "sandbox", *MIDDLE, *FLOOR},
    "stage": {"training", "sandbox", *MIDDLE, *FLOOR},
    "r1cli": {"r1cli", *FLOOR},
}
TORCHLESS = {"r1cli", "data", "sandbox", "rewards", "benchmarks", "stage"}
HEAVY = {
    "torch", "transformers", "tokenizers", "peft", "safetensors", "vllm", "deepspeed", "datasets", "numpy",
    "pandas", "pyarrow", "sympy", "math_verify", "matplotlib", "rich", "reasoning_gym", "zstandard",
}  # fmt: skip
NAMES = [str(path.relative_to(ROOT)) for path in FILES]


@pytest.fixture(params=FILES, ids=NAMES)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def room(path: Path) -> str:
    """The room a file stands in; `stage` for the files of stages/ itself."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "r1cli":
        return "r1cli"
    return parts[1] if len(parts) > 2 else "stage"


def room_of_module(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "r1cli":
        return "r1cli"
    path = ROOT.joinpath(*parts[:2])
    return parts[1] if path.is_dir() else "stage"


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of all modules that a piece of source imports, deferred ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a line points"
            for alias in node.names:
                yield f"{node.module}.{alias.name}" if node.module == "stages" else str(node.module)


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when a file is imported, without those for type checkers."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in (
            "TYPE_CHECKING",
            "__name__ == '__main__'",
        ):
            continue
        yield node


def source(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_imports_point_one_way(file: Path) -> None:
    here = room(file)
    for name in imported(source(file)):
        if name.split(".")[0] in ("stages", "r1cli") and name != "stages":
            assert room_of_module(name) in MAY_IMPORT[here], f"{here} imports {name}"


def test_stages_know_nothing_of_terminals_and_the_program_nothing_of_torch(file: Path) -> None:
    tree = source(file)
    tops = {name.split(".")[0] for name in imported(tree)}
    if room(file) == "r1cli":
        assert tops.isdisjoint(HEAVY - {"rich"})
        return
    assert tops.isdisjoint({"typer", "click", "rich"})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("stdout", "__stdout__"):
            assert ast.unparse(node.value) != "sys", f"line {node.lineno} touches sys.stdout"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
            assert any(word.arg == "file" for word in node.keywords), (
                f"line {node.lineno} prints to stdout"
            )


def test_only_training_distributes_and_only_inference_says_vllm(file: Path) -> None:
    names = set(imported(source(file)))
    if room(file) != "training":
        assert not {name for name in names if name.startswith(("torch.distributed", "deepspeed"))}
    if room(file) != "inference":
        assert not {name for name in names if name.split(".")[0] == "vllm"}


def test_rooms_without_torch_defer_every_heavy_import(file: Path) -> None:
    if room(file) in TORCHLESS:
        for node in at_import(source(file)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert {name.split(".")[0] for name in imported(node)}.isdisjoint(HEAVY), (
                    f"line {node.lineno}"
                )


def test_nothing_happens_at_import(file: Path) -> None:
    """Definitions, imports and constants; no calls for their effect, loops, files or changed modules."""
    allowed = (
        ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
    )
    for node in at_import(source(file)):
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"line {node.lineno}"
            continue
        assert isinstance(node, allowed), f"line {node.lineno}: {type(node).__name__}"
        targets = node.targets if isinstance(node, ast.Assign) else []
        assert all(isinstance(target, ast.Name | ast.Tuple) for target in targets), (
            f"line {node.lineno}"
        )
        value = getattr(node, "value", None)
        if value is not None:
            calls = {
                ast.unparse(call.func) for call in ast.walk(value) if isinstance(call, ast.Call)
            }
            assert calls.isdisjoint({"open", "os.getenv", "os.environ.get", "subprocess.run"}), (
                node.lineno
            )


def test_every_file_says_what_it_is_for_and_fits_in_one_sitting(file: Path) -> None:
    tree = source(file)
    assert ast.get_docstring(tree) or not tree.body
    assert file.stem not in ("utils", "helpers", "common", "base", "manager")


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


def stage_names() -> list[str]:
    return [path.stem.replace("_", "-") for path in sorted(ROOT.glob("stages/[!_]*.py"))]


@pytest.mark.parametrize("name", ["", *stage_names()])
def test_help_loads_nothing_heavy(name: str) -> None:
    assert loaded(*filter(None, [name]), "--help").isdisjoint(HEAVY)


@pytest.mark.parametrize("name", ["score", "filter"])
def test_score_and_filter_load_no_torch(name: str) -> None:
    if not (ROOT / "stages" / f"{name}.py").exists():
        pytest.skip(f"there is no stage {name} yet")
    record = b'{"id":"a#0","prompt":"1+1","answer":"2","completion":"2","rewards":{"accuracy":1},"reward":1}\n'
    found = loaded(name, stdin=record)
    assert found.isdisjoint({"torch", "transformers", "typer.rich_utils"})
