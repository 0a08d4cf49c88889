"""No output takes the place of an input or of another output, by whatever name; all of it is refused before
work.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from r1cli import main, outputs
from r1cli.command import common_options
from stages.runtime.errors import StreamError, UsageError

LINE = (
    '{"id":"a#0","group":"a","prompt":"1+1","answer":"2","completion":"2","rewards":{"accuracy":1},'
    '"reward":1}\n'
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one file under five names, a checkpoint, and a run."""
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text(LINE)
    Path("other.jsonl").write_text(LINE)
    Path("soft").symlink_to("in.jsonl")
    os.link("in.jsonl", "hard")
    Path("folder").mkdir()
    Path("up").symlink_to(tmp_path)
    for name in ("ckpt/config.json", "ckpt/model.safetensors", "run/metrics.jsonl", "mine.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("x")
    return tmp_path


def checked(command: str, *files: str, out: str | None = None, stdout: int = -1, **given: Any) -> None:
    """What the program does before a stage runs."""
    stage = main.load(command, main.discover()[command])
    options = (*stage.arguments, *stage.options, *common_options(stage))
    values = {option.name: None if option.required else option.default for option in options}
    values |= {"_files": list(files) or ["other.jsonl"], "_output": out, **given}
    outputs.check(stage, values, stdout)


NAMES = ["in.jsonl", "./in.jsonl", "soft", "hard", "folder/../in.jsonl", "up/in.jsonl"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_an_input_is_no_output_under_any_of_its_names(name: str, other: str) -> None:
    for command, given in (
        ("filter", {"out": other}),
        ("score", {"out": other}),
        ("filter", {"rejects": Path(other)}),
        ("export", {"parquet": Path(other)}),
        ("eval", {"save": Path(other)}),
        ("split", {"share": ["new=0.5", f"{other}=0.1"]}),
    ):
        with pytest.raises(UsageError, match=r"is also read, as .*; write to another file"):
            checked(command, "other.jsonl", name, **given)


@pytest.mark.parametrize("name", ["new", "./new", "folder/../new", "up/new"])
def test_two_outputs_are_two_files(name: str) -> None:
    for command, option in (("filter", "rejects"), ("export", "parquet"), ("eval", "save")):
        with pytest.raises(UsageError, match="are one file; write to two"):
            checked(command, out="new", **{option: Path(name)})
    for given in ({"out": "new", "share": [f"{name}=0.5"]}, {"share": ["new=0.5", f"{name}=0.2"]}):
        with pytest.raises(UsageError, match="are one file; write to two"):
            checked("split", **given)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"new\.journal, which -o keeps .* are one file"):
        checked("eval", out="new", save=Path("new.journal"))
    Path("new.journal").write_text(LINE)
    with pytest.raises(UsageError, match=r"new\.journal, which -o keeps .* is also read"):
        checked("generate", "new.journal", out="new")


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("generate", {"template": "in.jsonl", "out": "hard"}),
        ("generate", {"few_shot": Path("in.jsonl"), "out": "soft"}),
        ("generate", {"model": "ckpt", "out": "ckpt/model.safetensors"}),
        ("generate", {"_config": "in.jsonl", "out": "in.jsonl"}),
        ("filter", {"decontaminate": ["other.jsonl", "in.jsonl"], "rejects": Path("in.jsonl")}),
        ("score", {"reward": ["./mine.py:fn*2"], "out": "mine.py"}),
        ("score", {"reward": ["trl:./mine.py:fn"], "out": "mine.py"}),
        ("prompts", {"source": "in.jsonl", "out": "in.jsonl"}),
        ("eval", {"benchmark": ["in.jsonl"], "save": Path("in.jsonl")}),
        ("mix", {"files": ["other.jsonl=1", "in.jsonl=0.5"], "out": "soft"}),
        ("report", {"runs": [Path("run")], "png": Path("run/metrics.jsonl")}),
        ("report", {"runs": [Path("run")], "out": "up/run/metrics.jsonl"}),
    ],
)
def test_whatever_an_option_reads_is_an_input(command: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"which is read|is also read"):
        checked(command, **given)


def test_a_standard_stream_that_is_a_file_is_one_too() -> None:
    with open("in.jsonl", "ab") as stream:
        with pytest.raises(UsageError, match="stdout is also read, as soft"):
            checked("filter", "soft", stdout=stream.fileno())
        with pytest.raises(UsageError, match=r"--rejects hard and stdout are one file"):
            checked("filter", stdout=stream.fileno(), rejects=Path("hard"))
        checked("filter", stdout=stream.fileno())


def test_a_directory_is_told_before_and_so_is_a_folder_that_takes_no_file() -> None:
    for out in ("folder", "", ".", "new/", "up"):
        with pytest.raises(UsageError, match="it is a directory; name a file"):
            checked("report", out=out)
    with pytest.raises(StreamError, match=r"cannot write in\.jsonl/x: .* is no directory"):
        checked("report", out="in.jsonl/x")
    with pytest.raises(StreamError, match=r"cannot write x+: File name too long"):
        checked("report", out="x" * 300)
    assert not Path("new").exists()


def test_devices_and_new_files_are_free() -> None:
    for out in ("/dev/null", "new", "folder/new", "made/new", "-"):
        checked("filter", out=out, rejects=Path("/dev/null"))
    checked("generate", out="ckpt.jsonl", model="ckpt")
    checked("eval", out="new", save=Path("newer"))
    Path("new").write_text("of an earlier run")
    checked("filter", out="new")


@pytest.mark.parametrize("option", ["-o", "--rejects"])
def test_the_program_refuses_and_leaves_everything_as_it_was(r1: R1, option: str) -> None:
    done = r1("filter", "in.jsonl", option, "soft")
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"r1 filter: {option} soft is also read")
    assert Path("in.jsonl").read_text() == LINE
    assert Path("soft").is_symlink()
    assert len(os.listdir()) == 9


def test_nothing_is_kept_beside_a_device(r1: R1) -> None:
    done = r1("score", "in.jsonl", "-o", "/dev/null")
    assert done.returncode == 0, done.stderr
    assert not os.path.lexists("/dev/null.journal")
    assert r1("score", "in.jsonl", "-o", "/dev/null", "--resume").returncode == 2


def test_a_file_that_is_read_and_appended_to_does_not_grow_for_ever(r1: R1) -> None:
    shutil.copy("in.jsonl", "grown")
    with open("grown", "ab") as stream:
        done = r1("filter", "grown", stdout=stream)
    assert done.returncode == 2
    assert Path("grown").read_text() == LINE
