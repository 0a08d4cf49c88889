"""Aider polyglot: exercises in the layout of the authors' repository, asked twice, judged by their own tests.

The exercises are made up; no data set's text is here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stages.eval import Settings, run
from stages.evaluation.benchmark import load, open_problems
from stages.programs.edits import Form, NoEdit, edited
from stages.records import jsonl
from stages.records.jsonl import Journal
from stages.records.record import Record
from stages.rewards.aider import again, aider
from stages.runtime.errors import BadInput, R1Error, Unavailable, UsageError
from stages.settings.groups import Endpoint, Engine
from tests.isolation import isolated
from tests.served import Served, says

STUB = "def leap_year(year):\n    pass\n"
TEST = """import unittest

from leap import leap_year


class LeapTest(unittest.TestCase):
    def test_fours(self):
        self.assertIs(leap_year(2024), True)

    def test_hundreds(self):
        for year in (1900, 2100):
            with self.subTest(year=year):
                self.assertIs(leap_year(year), False)


def test_plain():
    assert leap_year(2000)
"""
RIGHT = "return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)"
WRONG = "return year % 4 == 0"


def repository(folder: Path) -> Path:
    """A folder that holds two exercises, one in Python and one in Rust."""
    for language, solution, test, stub in (
        ("python", "leap.py", "leap_test.py", STUB),
        ("rust", "src/lib.rs", "tests/leap.rs", "pub fn leap() {}\n"),
    ):
        room = folder / "polyglot-benchmark" / language / "exercises" / "practice" / "leap"
        files = {
            solution: stub,
            test: TEST,
            ".docs/instructions.md": "# Instructions\n\nSay whether a year is a leap year.\n",
            ".docs/instructions.append.md": "Take {whole} numbers.\n",
            ".meta/config.json": json.dumps(
                {"files": {"solution": [solution, *["Cargo.toml"] * (language == "rust")], "test": [test]}}
            ),
        }
        for name, text in files.items():
            (room / name).parent.mkdir(parents=True, exist_ok=True)
            (room / name).write_text(text)
    return folder


def problem(folder: Path, **settings: Any) -> Record:
    (found,) = open_problems(load("aider:python"), data=repository(folder), settings=settings)
    return found


def listing(line: str) -> str:
    return f"Here it is.\n\n**leap.py**\n```python\ndef leap_year(year):\n    {line}\n```\n"


def block(old: str, new: str) -> str:
    return f"leap.py\n```\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```\n"


def test_an_exercise_is_asked_with_its_files_and_judged_by_its_tests(tmp_path: Path) -> None:
    found = problem(tmp_path)
    assert (found["id"], found["files"], found["tries"]) == ("aider-python-leap", {"leap.py": STUB}, 2)
    assert "leap year.\n\nTake {whole} numbers.\n\nleap.py\n```\ndef leap_year(year):" in found["prompt"]
    assert "SEARCH" in problem(tmp_path, edit_format="diff")["prompt"]
    (rust,) = open_problems(load("aider:rust"), data=tmp_path)
    assert (rust["id"], list(rust["files"])) == ("aider-rust-leap", ["src/lib.rs"])
    value, why = aider({**rust, "completion": "x"})[:2]
    assert value is None
    assert why.startswith("rust is not judged here")
    if not isolated():
        return
    assert aider({**found, "completion": listing(RIGHT)})[:2] == (1.0, "3 tests pass")
    value, why, parts = aider({**found, "completion": listing(WRONG)})
    assert (value, parts) == (0.0, {"first": 0.0})
    assert why == "1 of 3 tests fail: AssertionError: True is not False", "two subtests are of one test"
    caught = (
        "import sys; frame = sys._getframe()\n    while 'asked' not in frame.f_locals: frame = frame.f_back\n"
    )
    for cheat in (
        "import unittest; raise unittest.SkipTest",
        f"{caught}    os.write(1, (frame.f_locals['asked']['token'] + '{{').encode()); os._exit(0)",
        "import os; os._exit(0)", "print('9' * 40); raise SystemExit(0)", "while True: pass",
    ):  # fmt: skip
        judged = aider({**found, "completion": listing(RIGHT) + listing(cheat)}, seconds=1)
        assert judged[0] == 0, cheat
    shadowed = listing(WRONG) + "leap_test.py\n```\npass\n```\n"
    assert aider({**found, "completion": shadowed})[0] == 0


def test_the_second_try_sees_what_the_tests_said(tmp_path: Path) -> None:
    if not isolated():
        pytest.skip("needs the sandbox")
    found = problem(tmp_path)
    wrong = found.adding(completion=f"<think>hm</think>{listing(WRONG)}", rewards={"aider": 0.0})
    told = again(wrong)
    assert told is not None
    assert told == again(wrong)
    fields, turns = told
    assert fields == {"tries_before": [wrong["completion"]]}
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == listing(WRONG).strip()
    assert "0x" not in turns[2]["content"]
    assert "test_hundreds" in turns[2]["content"]
    assert "True is not False" in turns[2]["content"]
    assert "/tmp" not in turns[2]["content"]
    assert again(wrong.adding(**fields)) is None
    assert again(wrong.adding(rewards={"aider": 1.0})) is None
    # Nothing that no request may hold, and the order of a set is the same each time.
    odd = wrong.adding(completion=listing("raise ValueError('\\ud800', {'a', 'b', 'c', 'd'})"))
    said = again(odd)
    assert said is not None
    said[1][2]["content"].encode()
    assert said == again(odd)
    # Once it was asked again, the first try was wrong, whether or not the second can be judged.
    unjudged = {**found, "test_files": {"leap_test.py": ""}, "tries_before": [wrong["completion"]]}
    assert aider({**unjudged, "completion": listing(RIGHT)}) == (
        None,
        "its files have no tests",
        {"first": 0.0},
    )
    # What the first try changed stands, and the second changes that.
    diff = found.adding(edit_format="diff", tries_before=[block("    pass", f"    {WRONG}")])
    value, _, parts = aider(diff.adding(completion=block(WRONG, RIGHT)))
    assert (value, parts) == (1.0, {"first": 0.0})


def test_what_cannot_be_judged_is_left_out_and_counted(tmp_path: Path) -> None:
    benchmark = load("aider")
    found = list(open_problems(benchmark, data=repository(tmp_path)))
    assert [each["id"] for each in found] == ["aider-python-leap"]
    ((what, (count, first)),) = benchmark.notes.found.items()
    assert (what[:8], count) == ("left out", 1)
    assert first.endswith("rust/exercises/practice/leap")
    one = load("aider:rust")
    assert len(list(open_problems(one, data=tmp_path))) == 1
    assert not one.notes.found


def test_right_at_once_and_right_at_last_are_of_one_row(tmp_path: Path) -> None:
    if not isolated():
        pytest.skip("needs the sandbox")
    served = Served()
    served.reply = lambda body: says(
        listing(RIGHT if len(body["messages"]) > 1 or body["seed"] % 2 else WRONG)
    )
    asked = Settings(
        model="m", benchmark=("aider",), data=repository(tmp_path), samples=8, workers=1, template="chat",
        engine=Engine(backend="openai"), endpoint=Endpoint(base_url=(served.url,)),
    )  # fmt: skip
    try:
        (row,) = run((), asked).records
    finally:
        served.stop()
    twice = sum(len(body["messages"]) > 1 for body in served.asked)
    assert 0 < twice < 8
    assert (row["pass@1"], row["rewards/aider/first/mean"]) == (1, 1 - twice / 8)
    assert row["tokens_out"] == 3 * (8 + twice), "tokens of all tries"


def test_a_model_is_asked_twice_and_each_problem_counts_once(tmp_path: Path) -> None:
    if not isolated():
        pytest.skip("needs the sandbox")
    served = Served()
    asked = Settings(
        model="m", benchmark=("aider:python",), data=repository(tmp_path), samples=2, workers=1,
        template="chat", save=tmp_path / "kept.jsonl", engine=Engine(backend="openai"),
        endpoint=Endpoint(base_url=(served.url,)),
    )  # fmt: skip
    journal = Journal(tmp_path / "journal", resume=False)
    try:
        served.reply = lambda body: (
            (400, {"error": "no more"}) if len(body["messages"]) > 1 else says(listing(WRONG))
        )
        with pytest.raises(R1Error):  # killed between the tries
            run((), asked, journal=journal)
        served.reply = lambda body: says(listing(RIGHT if len(body["messages"]) > 1 else WRONG))
        served.asked.clear()
        (row,) = run((), asked, journal=journal).records
    finally:
        served.stop()
        journal.close()
    assert {len(body["messages"]) for body in served.asked} == {3}, "the first try was asked again"
    assert (row["pass@1"], row["rewards/aider/first/mean"], row["completions"]) == (1.0, 0.0, 2)
    kept = list(jsonl.read_file(str(tmp_path / "kept.jsonl")))
    assert [(each["id"], each["sample"]) for each in kept] == [
        ("aider-python-leap#0", 0), ("aider-python-leap#1", 1)]  # fmt: skip
    assert isinstance(kept[0]["prompt"], str)
    assert len(kept[0]["last_prompt"]) == 3
    (again_judged,) = run(kept, Settings(reward=("aider",), workers=1)).records
    assert again_judged["pass@1"] == 1
    assert again_judged["digest"] == row["digest"]


FILES = {"a.py": "x = 1\nif x:\n    y = 2\n"}


@pytest.mark.parametrize(
    ("form", "answer", "made"),
    [
        ("whole", "a.py\n```\nx = 3\n```", "x = 3\n"),
        ("whole", "It is this:\n```py\nx = 3\n```", "x = 3\n"),
        ("whole", "src/a.py:\n```\nx = 3\n", "x = 3\n"),
        ("whole", "a.py\n```\nx = 3\n```\nSo:\n```\nimport a\n```", "x = 3\n"),
        ("whole", "```\nx = 3\n```\nNow `a.py` says:\n```\n>>> a.x\n```", "x = 3\n"),
        ("whole", "a.py\n```\nx = 2\n```\nNo:\na.py\n```\nx = 3\n```", "x = 3\n"),
        ("diff", block("x = 1", "x = 3").replace("leap", "a"), "x = 3\nif x:\n    y = 2\n"),
        ("diff", block("y = 2", "y = 3\nz = 4").replace("leap", "a"), "x = 1\nif x:\n    y = 3\n    z = 4\n"),
        ("diff", block("", "z = 4").replace("leap", "a"), "x = 1\nif x:\n    y = 2\nz = 4\n"),
    ],
    ids=["named", "the only file", "cut off", "then a call", "then its output", "the last", "exact",
         "indented", "appended"],
)  # fmt: skip
def test_edits_are_read_in_both_forms(form: Form, answer: str, made: str) -> None:
    assert edited(answer, FILES, form)["a.py"] == made


def test_of_several_files_words_may_quote_the_one() -> None:
    made = edited("First `b.py`, as asked:\n```\ny = 3\n```", {**FILES, "b.py": "y = 1\n"}, "whole")
    assert made == {**FILES, "b.py": "y = 3\n"}


@pytest.mark.parametrize(
    ("form", "answer", "why"),
    [
        ("whole", "x = 3", "no listing of a file"),
        ("diff", block("y = 9", "").replace("leap", "a"), "matches no lines of a.py: 'y = 9'"),
        ("diff", "<<<<<<< SEARCH\nx = 1\n", "without its line ======="),
        ("diff", "a.py\n```\nx = 3\n```", "no SEARCH/REPLACE block"),
    ],
    ids=["no listing", "no match", "no divider", "no block"],
)
def test_what_is_no_edit_says_why(form: Form, answer: str, why: str) -> None:
    with pytest.raises(NoEdit, match=re.escape(why)):
        edited(answer, FILES, form)


def test_bad_settings_and_missing_exercises_are_told(tmp_path: Path) -> None:
    folder = repository(tmp_path)
    for settings in ({"edit_format": "udiff"}, {"tries": 0}, {"tries": 11}):
        with pytest.raises(UsageError, match=next(iter(settings))):
            problem(tmp_path, **settings)
    with pytest.raises(UsageError, match="has no 'pyhton'; did you mean python"):
        list(open_problems(load("aider:pyhton"), data=folder))
    with pytest.raises(BadInput, match="no exercises in go"):
        list(open_problems(load("aider:go"), data=folder))
    with pytest.raises(Unavailable, match="git clone"):
        list(open_problems(load("aider"), data=tmp_path / "none"))
    config = next(folder.rglob("python/**/config.json"))
    for text in (
        "{",
        '{"files": {}}',
        '{"files": {"solution": ["../x.py"]}}',
        '{"files": {"solution": [1]}}',
    ):
        config.write_text(text)
        with pytest.raises(BadInput, match="does not name the exercise's files"):
            list(open_problems(load("aider:python"), data=folder))
