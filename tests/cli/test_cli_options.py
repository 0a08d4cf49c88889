"""An option is declared once, in a stage's signature; flags, TOML and recipes set it in a known order."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from conftest import R1

from r1cli.command import spellings
from r1cli.main import discover, load
from r1cli.signature import Option, Stage, arguments_of, describe
from stages.runtime.errors import UsageError
from stages.settings.options import FINITE, Doc, Flag, Range

LINE = b'{"id":1}\n'


def options(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refusal(done: subprocess.CompletedProcess[bytes]) -> str:
    assert (done.returncode, done.stdout) == (2, b"")
    text = done.stderr.decode()
    assert text.count("\n") == 1
    return text


def test_defaults_are_those_of_the_signature_and_its_dataclass_instance(r1: R1) -> None:
    found = options(r1("relay", "--shape", "options", input=LINE))
    sampling = found.pop("sampling")
    assert found == {"tag": [], "limit": None, "folder": "here", "keep": True}
    assert (sampling["temperature"], sampling["top_p"], sampling["stop"]) == (0.5, 1.0, [])


def test_flags_set_options_of_every_type(r1: R1) -> None:
    line = "--shape options -t a --tag b --limit 7 --folder x/y --no-keep --top-k 5 --stop s --stop t"
    found = options(r1("relay", *line.split(), "--think-budget", "9", input=LINE))
    sampling = found.pop("sampling")
    assert found == {"tag": ["a", "b"], "limit": 7, "folder": "x/y", "keep": False}
    assert (sampling["top_k"], sampling["stop"], sampling["think_budget"]) == (5, ["s", "t"], 9)
    assert sampling["temperature"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["relay", "--kep"], "r1 relay: No such option: --kep (Possible options: "),
        (["relay", "--limit", "x"], "'--limit': 'x' is not a valid int"),
        (["relay", "--shape", "round"], "'--shape': 'round' is not one of 'plain', 'options'"),
        (["trains"], "Missing option '-o' / '--out'"),
        (["measures"], "Missing argument 'NAME'"),
        (["relya"], "r1: no command 'relya'; did you mean relay? (see r1 --help)\n"),
    ],
)
def test_a_wrong_line_is_refused_in_one_line(r1: R1, arguments: list[str], message: str) -> None:
    assert message in refusal(r1(*arguments))


def test_configuration_is_under_the_flags_and_its_table_over_its_top(r1: R1, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'limit = 3\nshape = "options"\ntop-k = 4\n'
        '[relay]\nlimit = 5\ntag = "a"\ntop_p = 1\nkeep = false\n[generate]\nsamples = 2\n'
    )
    found = options(r1("relay", "--config", file, "--top-k", "6", input=LINE))
    assert (found["limit"], found["tag"], found["keep"]) == (5, ["a"], False)
    assert (found["sampling"]["top_k"], found["sampling"]["top_p"]) == (6, 1.0)


def test_a_required_option_may_come_from_the_configuration(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(f'out = "{tmp_path}/ckpt"\n')
    assert r1("trains", "--config", tmp_path / "run.toml").returncode == 0
    assert (tmp_path / "ckpt" / "r1.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("temprature = 1.0", "unknown key temprature of r1 relay; did you mean temperature?"),
        ("[relay]\nlimits = 1", "unknown key relay.limits of r1 relay; did you mean limit?"),
        ("[rely]\nlimit = 1", "unknown table [rely]; did you mean relay?"),
        ("limit = 2.0", "limit is 2.0, but must be a whole number"),
        ("limit = true", "limit is True, but must be a whole number"),
        ('temperature = "hot"', "temperature is 'hot', but must be a number"),
        ("keep = 1", "keep is 1, but must be true or false"),
        ("tag = 1", "tag is 1, but must be a string, or an array of them"),
        ('shape = "round"', "shape is 'round', but must be one of plain, options"),
        ("top-k = 1\ntop_k = 1", "top_k is given twice"),
        ("limit = ", "not TOML: Invalid value"),
    ],
)
def test_what_does_not_fit_in_a_configuration_is_refused_by_name(
    r1: R1, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    assert f"r1 relay: {file}: {message}" in refusal(r1("relay", "--config", file, input=LINE))


def test_a_missing_configuration_is_a_read_error(r1: R1, tmp_path: Path) -> None:
    assert r1("relay", "--config", tmp_path / "none.toml").returncode == 74


@pytest.mark.parametrize(
    ("flags", "text", "expected"),
    [
        ("", "", (None, 1, 0.125)),
        ("--recipe bold", "", ("bold", 9, 0.5)),
        ("--recipe shy", "", ("shy", 1, 0.25)),
        ("--recipe bold", "epochs = 4", ("bold", 4, 0.5)),
        ("--recipe bold --epochs 3", "epochs = 4", ("bold", 3, 0.5)),
        ("", 'recipe = "bold"', ("bold", 9, 0.5)),
        ("--recipe shy", 'recipe = "bold"', ("shy", 1, 0.25)),
    ],
)
def test_a_recipe_sets_defaults_only(
    r1: R1, tmp_path: Path, flags: str, text: str, expected: tuple[Any, ...]
) -> None:
    (tmp_path / "run.toml").write_text(text)
    config = ["--config", tmp_path / "run.toml", "-o", tmp_path / "ckpt", "--json"]
    found = options(r1("trains", *flags.split(), *config))["options"]
    assert (found["recipe"], found["epochs"], found["lr"]) == expected


def test_an_unknown_recipe_is_refused_with_those_there_are(r1: R1, tmp_path: Path) -> None:
    text = refusal(r1("trains", "--recipe", "bald", "-o", tmp_path / "x"))
    assert "no recipe 'bald'; did you mean bold?; there are bold, shy" in text


def test_help_shows_panels_defaults_and_examples(r1: R1) -> None:
    done = r1("relay", "--help")
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert text.startswith("Usage: r1 relay [OPTIONS] [FILE]...\n\nPass records on")
    assert "Sampling: How the next token is drawn.\n" in text
    assert re.search(r"--temperature X +Divides the logits; 0 is greedy. \[default: 0.5\]", text)
    assert "--[no-]keep" in text
    assert re.search(r"\n  -t, --tag TEXT +A tag. Repeatable.\n", text)
    assert text.endswith("  r1 relay records.jsonl\n  r1 relay --tag a --tag b < records.jsonl\n")


def test_help_needs_neither_input_nor_required_options(r1: R1) -> None:
    assert r1("trains", "--help", "--config", "missing.toml").returncode == 0


def test_the_list_of_commands_has_each_stage_and_its_first_line(r1: R1) -> None:
    done = r1("--help")
    assert done.returncode == 0
    assert "  relay                 Pass records on, as a stage that does nothing would\n" in (
        done.stdout.decode()
    )
    empty = r1()
    assert (empty.returncode, empty.stdout) == (2, b"")
    assert empty.stderr.decode() == done.stdout.decode()


def test_the_version_is_on_stdout(r1: R1) -> None:
    assert r1("--version").stdout.startswith(b"r1 0.")


def test_the_shell_completes_commands_options_and_choices(r1: R1) -> None:
    def completed(words: str, count: int) -> list[str]:
        env = {"_R1_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
        return r1(env=env).stdout.decode().split()

    assert completed("r1 rel", 1) == ["relay"]
    assert completed("r1 relay --top", 2) == ["--top-p", "--top-k"]
    assert completed("r1 relay --shape o", 3) == ["options"]


def test_folders_of_stages_that_clash_or_are_missing_are_refused(r1: R1, tmp_path: Path) -> None:
    assert "which is no folder" in refusal(r1("relay", env={"R1_STAGES": "/nowhere"}))
    (tmp_path / "generate.py").touch()
    text = refusal(r1("relay", env={"R1_STAGES": str(tmp_path)}))
    assert "are both called generate" in text


def test_a_stage_that_cannot_be_imported_is_a_bug_with_its_place(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text('"""Break."""\n1 / 0\n')
    done = r1("broken", env={"R1_STAGES": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.decode() == "r1 broken: bug: ZeroDivisionError: division by zero at broken.py:2\n"
    assert "Break" in r1("--help", env={"R1_STAGES": str(tmp_path)}).stdout.decode()


@dataclass(frozen=True)
class Pair:
    """Two numbers."""

    a: Annotated[int, Doc("One.")] = 1
    b: Annotated[int, Doc("Two.")] = 2


def stage_of(run: Any) -> Any:
    return describe("made", SimpleNamespace(run=run, __doc__="Made.", EXAMPLES=()))


def test_dataclasses_are_taken_apart_and_put_together_again() -> None:
    def run(*, pair: Pair = Pair(b=5), c: Annotated[tuple[str, ...], Doc("C.")] = ("x",)) -> None: ...

    stage = stage_of(run)
    assert [(option.name, option.panel, option.default) for option in stage.options] == [
        ("a", "Pair", 1),
        ("b", "Pair", 5),
        ("c", "Options", ("x",)),
    ]
    assert arguments_of(stage, {"a": 7, "b": 5, "c": ["y"]}) == {"pair": Pair(7, 5), "c": ("y",)}


def test_a_switch_can_be_turned_off_where_it_is_not_off_already() -> None:
    def run(
        *,
        on: Annotated[bool, Doc("On."), Flag("-x", "--on")] = True,
        off: Annotated[bool, Doc("Off.")] = False,
        unset: Annotated[bool | None, Doc("Unset.")] = None,
    ) -> None: ...

    flags = [spellings(option) for option in stage_of(run).options]
    assert flags == [["-x", "--on/--no-on"], ["--off"], ["--unset/--no-unset"]]


def test_a_signature_that_breaks_the_contract_is_a_type_error() -> None:
    def clashing(*, pair: Pair = Pair(), a: Annotated[int, Doc("A.")] = 1) -> None: ...

    def untyped(*, a: Annotated[dict[str, int], Doc("A.")]) -> None: ...

    def returning() -> int: ...

    with pytest.raises(TypeError, match="has a twice, in Pair and Options"):
        stage_of(clashing)
    with pytest.raises(TypeError, match="not a type that a flag can have"):
        stage_of(untyped)
    with pytest.raises(TypeError, match="records, Checkpoint, Results or None"):
        stage_of(returning)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "words"),
    [
        (Range(low=1), [1, 2**62], [0, -1, 2**63], "at least 1"),
        (Range(0, 1), [0, 0.5, 1], [-0.1, 1.1, math.nan], "from 0 to 1"),
        (Range(above=0, high=1), [1e-9, 1], [0, 2], "above 0 and at most 1"),
        (Range(low=0, below=1), [0, 0.999], [1.0], "at least 0 and below 1"),
        (Range(), [-5, 1e300], [math.inf, -math.inf, math.nan, 10**400], ""),
    ],
)
def test_a_range_says_in_words_what_it_holds(
    bounds: Range, inside: list[float], outside: list[float], words: str
) -> None:
    assert [value in bounds for value in inside] == [True] * len(inside)
    assert [value in bounds for value in outside] == [False] * len(outside)
    assert str(bounds) == words


NUMBERS = [
    pytest.param(stage, option, id=f"{name}-{option.flags[-1]}")
    for name, path in discover().items()
    for stage in [load(name, path)]
    for option in stage.options
    if option.base in (int, float)
]


def defaults(stage: Stage) -> dict[str, Any]:
    options = (*stage.arguments, *stage.options)
    return {each.name: None if each.required else each.default for each in options}


@pytest.mark.parametrize(("stage", "option"), NUMBERS)
def test_every_number_refuses_nonsense_and_names_its_flag(stage: Stage, option: Option) -> None:
    wrong: list[float] = [math.nan, math.inf, -math.inf] if option.base is float else [2**63]
    if option.bounds != FINITE:
        low, above = option.bounds.low, option.bounds.above
        wrong += [-1, above if low is None else low - 1]
    values = defaults(stage)
    for value in wrong:
        with pytest.raises(UsageError, match=f"^{option.flags[-1]} .*: must be "):
            arguments_of(stage, {**values, option.name: [value] if option.repeatable else value})


def test_every_default_and_recipe_is_in_its_range() -> None:
    for name, path in discover().items():
        stage = load(name, path)
        for recipe in ({}, *stage.recipes.values()):
            arguments_of(stage, {**defaults(stage), **recipe})


def test_a_number_out_of_range_is_refused_before_anything_happens(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("top-p = 0\n")
    assert refusal(r1("relay", "--top-p", "nan", input=LINE)) == (
        "r1 relay: --top-p nan: must be above 0 and at most 1\n"
    )
    assert "top-p is 0, but must be a number above 0 and at most 1" in refusal(
        r1("relay", "--config", tmp_path / "run.toml", input=LINE)
    )


@pytest.mark.parametrize("given", ["--learning-rate 0.5", "learning_rate = 0.5", "learning-rate = 0.5"])
def test_an_option_goes_by_its_names_in_other_libraries_too(r1: R1, tmp_path: Path, given: str) -> None:
    (tmp_path / "run.toml").write_text("" if given.startswith("--") else given)
    words = given.split() if given.startswith("--") else []
    done = r1("trains", *words, "--config", tmp_path / "run.toml", "-o", tmp_path / "ckpt", "--json")
    assert options(done)["options"]["lr"] == 0.5
    assert b"called" not in done.stderr


@pytest.mark.parametrize("given", ["--passes 7", "--passes=7", "passes = 7"])
def test_an_old_name_works_with_a_note(r1: R1, tmp_path: Path, given: str) -> None:
    (tmp_path / "run.toml").write_text("" if given.startswith("--") else given)
    words = given.split() if given.startswith("--") else []
    done = r1("trains", *words, "--config", tmp_path / "run.toml", "-o", tmp_path / "ckpt", "--json")
    assert options(done)["options"]["epochs"] == 7
    assert b"--passes is called --epochs now" in done.stderr


def test_the_help_names_what_an_option_is_called_elsewhere_and_not_what_it_was_called(r1: R1) -> None:
    shown = r1("trains", "--help", env={"COLUMNS": "100"}).stdout
    assert b"[also --learning-rate]" in shown
    assert b"--passes" not in shown


def test_a_configuration_may_be_a_pipe(r1: R1, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("passes = 7",), daemon=True)
    writer.start()
    done = r1("trains", "--config", pipe, "-o", tmp_path / "ckpt", "--json")
    assert options(done)["options"]["epochs"] == 7
    assert b"--passes is called --epochs now" in done.stderr
