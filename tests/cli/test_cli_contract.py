"""What every stage must offer, whichever stages there are: found by discovery, as the program finds them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import PROBES, R1

from r1cli.command import build, common_options
from r1cli.main import BUILT_IN, CLICK_USAGE_ERROR, discover, first_line, load
from r1cli.signature import Stage

PROBED = sorted(path.stem for path in PROBES.glob("*.py"))
STAGES = [*discover(), *PROBED]
# What starts another program's words in a shell line, and what ends them.
JOINTS = re.compile(r"\s*(?:\||&&|;|\n|\$\(|\)|>|<)\s*")


def path_of(name: str) -> Path:
    return PROBES / f"{name}.py" if name in PROBED else BUILT_IN / f"{name.replace('-', '_')}.py"


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> Stage:
    return load(request.param, path_of(request.param))


def parsed(stage: Stage, words: list[str]) -> dict[str, Any]:
    """The values that a command line gives, or the error that it is refused with."""
    taken: list[dict[str, Any]] = []

    def perform(values: dict[str, Any]) -> int:
        taken.append(values)
        return 0

    command = build(stage, stages=STAGES, perform=perform, show=print)
    command.main(words, prog_name="r1", standalone_mode=False)
    return taken[0]


@pytest.mark.parametrize("name", discover())
def test_help_is_there_and_narrow(r1: R1, name: str) -> None:
    done = r1(name, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith(f"Usage: r1 {name}")
    for line in done.stdout.decode().split("\nExamples\n")[0].splitlines():
        assert len(line) <= 100


def test_an_unknown_option_is_a_usage_error(stage: Stage) -> None:
    with pytest.raises(CLICK_USAGE_ERROR, match="No such option"):
        parsed(stage, ["--no-such-option"])


def test_every_option_says_what_it_is_for(stage: Stage) -> None:
    for option in (*stage.arguments, *stage.options):
        assert option.help, f"{stage.name}: {option.name} has no Doc"


def test_no_flag_of_a_stage_is_taken_by_the_program(stage: Stage) -> None:
    own = {flag for option in stage.options for flag in option.flags}
    given = {flag for option in common_options(stage) for flag in option.flags}
    assert own.isdisjoint(given | {"-h", "--help"})


def test_the_first_line_is_found_without_an_import(stage: Stage) -> None:
    line = first_line(path_of(stage.name))
    assert line
    assert line == stage.text.partition("\n")[0].removesuffix(".")


def test_examples_are_two_lines_whose_options_exist(stage: Stage) -> None:
    assert len(stage.examples) >= 2
    assert all(f"r1 {stage.name}" in example for example in stage.examples)
    for example in stage.examples:
        for part in JOINTS.split(example.replace('"', "").replace("\\\n", " ")):
            words = shlex.split(part)
            if words[:1] == ["r1"] and words[1:]:
                called = load(words[1], path_of(words[1]))
                known = {
                    flag for option in (*called.options, *common_options(called)) for flag in option.flags
                }
                known |= {f"--no-{flag[2:]}" for flag in known if flag.startswith("--")}
                flags = [word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)]
                assert set(flags) <= known, part


def test_recipes_set_options_that_exist_to_values_that_fit(stage: Stage) -> None:
    for name, values in stage.recipes.items():
        options = {option.name: option for option in stage.options}
        assert set(values) <= set(options) - {"recipe"}, name
        words = ["x"] * len(stage.arguments)
        words += [word for option in options.values() if option.required for word in (option.flags[-1], "1")]
        found = parsed(stage, [*words, "--recipe", name])
        for key, value in values.items():
            wanted = list(value) if isinstance(value, tuple) else value
            assert found[key] == wanted, (name, key)


def test_summaries_do_not_shout(stage: Stage) -> None:
    line = stage.text.partition("\n")[0]
    assert line.endswith(".")
    assert line[0].isupper()
    assert not line.isupper()


def test_the_stage_in_the_docs_works_as_printed(r1: R1, tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text("utf-8")
    code = page.partition("```python\n# own/thin.py\n")[2].partition("```")[0]
    (tmp_path / "thin.py").write_text(code, "utf-8")
    done = r1("thin", "-n", "2", input=b'{"id":1}\n{"id":2}\n{"id":3}\n', env={"R1_STAGES": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, b'{"id":1}\n{"id":3}\n')
    assert done.stderr.decode() == "thin: kept 2\n"
