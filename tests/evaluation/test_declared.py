"""Benchmarks of a user's own: a TOML file that declares one, a Python file that makes one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages.eval import Settings, run
from stages.evaluation.benchmark import load, parse_settings, take
from stages.evaluation.held_out import held_out, identity
from stages.evaluation.measure import SAMPLING
from stages.inference.complete import Sampling
from stages.runtime.errors import R1Error, StreamError, UsageError
from stages.settings.evaluation import Evaluation
from stages.settings.groups import Engine

ECHO = Engine(backend="echo")
CAPITALS = """
source = "capitals.csv"
template = "ask.txt"
rewards = ["format", "accuracy"]
metric = "accuracy"
samples = 3
map = {prompt = "Capital of {country}", answer = "capital"}
sampling = {temperature = 0.0, max_tokens = 32, stop = "END"}
"""


@pytest.fixture
def capitals(tmp_path: Path) -> Path:
    """The file, in a folder with what it names."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "capitals.csv").write_text("country,capital\nFrance,Paris\nPeru,Lima\n")
    (folder / "ask.txt").write_text("{prompt}: it is Lima")
    (folder / "capitals.toml").write_text(CAPITALS)
    return folder / "capitals.toml"


def measured(path: Path, given: tuple[str, ...] = (), **settings: Any) -> dict[str, Any]:
    chosen = Settings(model="echo", benchmark=(str(path),), engine=ECHO, **settings)
    (row,) = run(settings=chosen, given=given).records
    return row


def test_all_that_the_file_says_holds_from_any_folder(capitals: Path) -> None:
    row = measured(capitals)
    said = row["settings"]
    assert (row["pass@1"], row["problems"], row["k"], row["decides"]) == (0.5, 2, 3, "accuracy")
    assert (said["temperature"], said["max_tokens"], said["stop"], said["top_p"]) == (0, 32, ["END"], 0.95)
    assert (said["rewards"], said["template"]) == (
        ["format", "accuracy"],
        str(capitals.with_name("ask.txt")),
    )
    (first, _) = take(load(str(capitals)))
    assert (first["prompt"], first["answer"]) == ("Capital of France", "Paris")
    assert first["meta"]["prompts"]["file"] == "capitals.csv"


def test_an_option_wins_over_the_file_also_with_its_default(capitals: Path) -> None:
    row = measured(capitals, sampling=Sampling(temperature=0.2, top_p=0.95), template="none", samples=1)
    said = row["settings"]
    assert (said["temperature"], said["max_tokens"], said["template"], row["k"]) == (0.2, 32, "none", 1)
    assert measured(capitals, given=("temperature",))["settings"]["temperature"] == SAMPLING.temperature
    assert measured(capitals, reward=("format",))["decides"] == "format"


def test_the_program_knows_which_options_were_given(r1: R1, capitals: Path) -> None:
    words = ("eval", "-q", "-m", "echo", "--backend", "echo", "-b", capitals)
    asked = [json.loads(r1(*words, *more).stdout)["settings"]["temperature"]
             for more in ((), ("--temperature", "0.6"))]  # fmt: skip
    assert asked == [0, 0.6]


def test_a_benchmark_of_ours_can_be_asked_in_another_way(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text('source = "sums"\nsplit = "train"\nsamples = 1\nrewards = "accuracy*2"\n')
    found = load(str(path))
    assert (found.split, found.samples, found.rewards) == ("train", 1, ("accuracy*2",))
    assert [each["meta"]["prompts"]["split"] for each in take(found, limit=2)] == ["train", "train"]


def test_a_function_beside_the_file_can_judge(capitals: Path) -> None:
    capitals.with_name("mine.py").write_text(
        "def ends(record):\n    return float('Lima' in record['answer'])\n"
    )
    capitals.write_text(
        CAPITALS.replace('["format", "accuracy"]', '"mine.py:ends"').replace("accuracy", "ends")
    )
    assert measured(capitals)["rewards/ends/mean"] == 0.5


def test_a_run_of_training_is_measured_on_it(capitals: Path) -> None:
    (source,) = held_out(Evaluation(eval=(str(capitals),)))
    assert (source.rewards, source.decide, source.samples) == (("format", "accuracy"), ("accuracy",), 3)
    assert [each["answer"] for each in source.problems] == ["Paris", "Lima"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", 'no key source; write source = "problems.jsonl"'),
        ("source = [", "not TOML: Invalid value"),
        ("sorce = 'x'", "unknown key sorce; did you mean source?"),
        ("zork = 1", "unknown key zork; it may have source, revision"),
        ("source = 3", "source is 3, but must be a text"),
        ("source = '-'", "source is '-', but must be problems"),
        ("source = 'x.toml'", "source is 'x.toml', but must be problems"),
        ("source = 'a.csv'\nsplit = 'test'", "split is of a data set on the hub or a benchmark"),
        ("source = 'a.csv'\nrevision = 'main'", "revision is of a data set on the hub; leave it out"),
        ("source = 'sums'\nsplit = 'zork'", "split: sums has no 'zork': it has"),
        ("source = 'sums'\nmap = {prompt = 'x'}", "map and columns are of a file or data set; sums"),
        ("source = 'a.csv'\nmap = {prompt = 3}", "map is {'prompt': 3}, but must be a table of texts"),
        ("source = 'a.csv'\ncolumns = []", "columns is [], but must be an array of texts"),
        ("source = 'a.csv'\nsamples = true", "samples is True, but must be a whole number"),
        ("source = 'a.csv'\ntemplate = 'zork'", "template: no template"),
        ("source = 'a.csv'\nrewards = 'acuracy'", "rewards acuracy: no reward 'acuracy'; did you mean"),
        ("source = 'a.csv'\nmetric = 'format'", "metric format: the rewards are accuracy; name one of them"),
        ("source = 'a.csv'\nsampling = {temprature = 1}", "unknown key sampling.temprature; did you mean"),
        ("source = 'a.csv'\nsampling = {temperature = -1}", "sampling.temperature is -1, but must be"),
        ("source = 'a.csv'\nsampling = {max_tokens = 1.5}", "sampling.max_tokens is 1.5, but must be"),
        ("source = 'a.csv'\nsampling = {stop = ['']}", "sampling.stop is [''], but must be a text, or"),
        ("source = 'a.csv'\nsampling = {top-p = 1, top_p = 1}", "sampling.top_p is given twice"),
    ],
    ids=lambda value: value if value.isidentifier() else "",
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_key_and_remedy(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    (tmp_path / "a.csv").write_text("prompt,answer\n1+1,2\n")
    with pytest.raises(UsageError) as caught:
        load(str(path))
    assert str(caught.value).startswith(f"{path}: {says}")


def test_a_file_that_is_not_there_is_named(r1: R1, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    with pytest.raises(StreamError, match="cannot read"):
        load(str(path))
    path.write_text("source = 'no.csv'")
    save = tmp_path / "kept.jsonl"
    done = r1("eval", "-m", "echo", "--backend", "echo", "-b", path, "--save", save)
    assert done.returncode == 74
    assert f"cannot read {tmp_path}/no.csv: no such file; the source of {path} counts" in done.stderr.decode()
    assert not save.exists()


def test_options_that_say_how_rows_are_read_are_the_files_own(r1: R1, capitals: Path) -> None:
    done = r1("prompts", capitals, "--map", "prompt=country")
    assert done.returncode == 2
    assert b"says itself how its rows are read; leave it out" in done.stderr


def test_a_revision_on_the_hub_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[Any] = []

    def rows(*words: Any, **options: Any) -> list[dict[str, str]]:
        asked.extend([*words, options])
        return [{"question": "1+1?", "answer": "2"}]

    monkeypatch.setattr(datasets, "load_dataset", rows)
    path = tmp_path / "hub.toml"
    path.write_text("source = 'owner/name:main'\nrevision = 'abc'\nsplit = 'test'\n")
    (record,) = take(load(str(path)))
    assert asked == ["owner/name", "main", {"split": "test", "revision": "abc"}]
    assert record["meta"]["prompts"]["revision"] == "abc"


CUBES = '''"""Cubes."""


def problems(*, split=None, data=None, largest: int = 3):
    for n in range(1, largest + 1):
        yield {"id": n, "prompt": f"{n} cubed is {n ** 3}", "answer": str(n ** 3)}
'''


def test_a_python_file_makes_problems(tmp_path: Path) -> None:
    path = tmp_path / "cubes.py"
    path.write_text(CUBES)
    assert measured(path, set=("largest=2",))["problems"] == 2
    path.write_text(CUBES + "REWARDS = ('format',)\nSAMPLES = 2\n")
    assert measured(path)["decides"] == "format"
    assert measured(path)["k"] == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "no function problems; write `def problems"),
        ("def problems(:", "fails: SyntaxError"),
        ("raise SystemExit(3)", "fails: SystemExit: 3"),
        ("def problems(*, data=None): pass", "problems has no split=None"),
        ("def problems(*, split, data=None): pass", "problems has no split=None"),
        ("def problems(*, split=None, data: zork = None): pass", "NameError: name 'zork' is not defined"),
        ("def problems(*, split=None, data=None):\n    yield 3", "problem 0 is int; give dictionaries"),
        ("def problems(*, split=None, data=None):\n    1 / 0\n    yield {}", "fails: ZeroDivisionError"),
        (CUBES + "SAMPLES = 'x'", "SAMPLES is 'x', but must be a whole number of at least 1"),
        (CUBES + "REWARDS = 3", "REWARDS is 3, but must be texts"),
        (CUBES + "REWARDS = ('zork',)", "REWARDS zork: no reward 'zork'"),
    ],
    ids=lambda value: "",
)  # fmt: skip
def test_what_is_wrong_with_a_python_file_is_told(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(R1Error) as caught:
        list(take(load(str(path))))
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


@pytest.mark.parametrize("named", ["capitals.csv", "ask.txt", "own.py"])
def test_no_output_replaces_what_the_file_names(r1: R1, capitals: Path, named: str) -> None:
    program = capitals.with_name("own.py")
    program.write_text("def brief(record):\n    return 1.0\n")
    capitals.write_text(CAPITALS.replace('"format"', '"own.py:brief"'))
    before = capitals.with_name(named).read_text()
    for command in (
        ["prompts", capitals, "-o", capitals.with_name(named)],
        ["eval", "-m", "echo", "--backend", "echo", "-b", capitals, "--save", capitals.with_name(named)],
    ):
        done = r1(*command)
        assert done.returncode == 2, done.stderr
        assert b"is also read" in done.stderr
    assert capitals.with_name(named).read_text() == before


def test_a_programs_settings_have_any_name_and_the_types_of_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "cubes.py"
    path.write_text(
        "def problems(*, split=None, data=None, path='x', problems=2):\n"
        "    for k in range(problems):\n"
        "        yield {'prompt': f'{path}{k}', 'answer': str(k)}\n"
    )
    made = load(str(path))
    settings = parse_settings(made, ["path=y", "problems=3"])
    found = list(take(made, settings=settings))
    assert [(each["id"], each["prompt"]) for each in found] == [(f"cubes-{k}", f"y{k}") for k in range(3)]


def test_how_rows_are_read_is_refused_for_a_program(r1: R1, tmp_path: Path) -> None:
    path = tmp_path / "cubes.py"
    path.write_text(
        "SPLITS = ('a', 'b')\ndef problems(*, split=None, data=None):\n    yield {'prompt': split}\n"
    )
    done = r1("prompts", path, "--map", "prompt=nope")
    assert (done.returncode, b"--map" in done.stderr) == (2, True)
    declared = tmp_path / "own.toml"
    declared.write_text('source = "cubes.py"\nsplit = "b"\n')
    assert [each["prompt"] for each in take(load(str(declared)))] == ["b"]
    declared.write_text('source = "cubes.py"\nmap = {prompt = "nope"}\n')
    with pytest.raises(UsageError, match="map and columns are of a file or data set"):
        load(str(declared))


def test_another_reward_or_number_of_samples_is_another_evaluation(capitals: Path) -> None:
    def known() -> dict[str, str]:
        options = Evaluation(eval=(str(capitals),))
        return identity(held_out(options))

    first = known()
    assert known() == first
    for text in (
        CAPITALS.replace("samples = 3", "samples = 4"),
        CAPITALS.replace('"accuracy"]', '"length"]'),
    ):
        capitals.write_text(text.replace('metric = "accuracy"', ""))
        assert known() != first
