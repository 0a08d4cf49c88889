"""Examples before a problem: the same problems without and with them, and what the difference comes to."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.eval import Settings, run
from stages.evaluation.benchmark import load
from stages.evaluation.comparison.shots import examples_of, part_of
from stages.formats.written_table import FORMS
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error
from stages.settings.groups import Endpoint, Engine
from tests.served import Served, says

GIVEN = Record(prompt="2+3=?", answer="5", solution="Two and three.")


def test_a_model_that_examples_mislead_is_found_out(tmp_path: Path) -> None:
    served = Served()

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        asked = body["messages"]
        total = sum(map(int, re.findall(r"\d+", asked[-1]["content"])))
        return says(f"It is {total + (len(asked) > 1 and total % 2)}.")

    served.reply = reply
    try:
        asked = Settings(
            model="m", benchmark=("sums",), limit=30, samples=1, compare_shots=2, workers=1, template="chat",
            engine=Engine(backend="openai"), endpoint=Endpoint(base_url=(served.url,)),
            save=tmp_path / "kept.jsonl", fail_under=1,
        )  # fmt: skip
        found = run((), asked)
    finally:
        served.stop()
    assert found.failure is None, "the row after examples is no part of the gate"
    bare, shown, line = found.records
    assert (bare["settings"].get("set"), shown["settings"]["set"]["shots"]) == ({"seed": 0}, 2)
    assert bare["digest"] == shown["digest"] == line["digest"]
    assert (bare["pass@1"], bare["problems"], shown["pass@1"]) == (1, 30, line["pass@1"])
    assert line["shots"] == 2
    assert line["difference"] == pytest.approx(shown["pass@1"] - 1)
    assert line["difference_high"] < 0
    assert line["p"] < 0.01
    assert found.further[0].rows[0][2] == "2"
    with_examples = [body["messages"] for body in served.asked if len(body["messages"]) > 1]
    assert [turn["role"] for turn in with_examples[0]] == ["user", "assistant"] * 2 + ["user"]
    shots = {json.dumps(messages[:4]) for messages in with_examples}
    assert len(shots) == 1
    a, b = map(int, re.findall(r"\d+", with_examples[0][0]["content"]))
    assert with_examples[0][1]["content"] == f"Answer: {a + b}"


def test_where_there_is_one_part_its_first_problems_are_the_examples(tmp_path: Path) -> None:
    assert part_of(load("gsm8k"), None) == "train"
    assert part_of(load("mmlu"), None) == "dev"
    assert part_of(load("aime24"), None) is None
    rows = [{"id": str(n), "prompt": f"{n}+1=?", "answer": str(n + 1)} for n in range(4)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = Settings(
        model="echo", benchmark=(str(tmp_path / "own.jsonl"),), samples=1, compare_shots=1, workers=1,
        template="none", engine=Engine(backend="echo"), save=tmp_path / "kept.jsonl",
    )  # fmt: skip
    assert [row["problems"] for row in run((), own).records] == [3, 3, 3]
    kept = [json.loads(line)["id"] for line in (tmp_path / "kept.jsonl").open()]
    assert kept == ["1#0", "2#0", "3#0"] * 2
    with pytest.raises(BadInput, match=r"own\.jsonl: no problems are left to measure on"):
        run((), replace(own, compare_shots=4))


def test_rows_and_lines_of_each_seed_tell_which_they_are(tmp_path: Path) -> None:
    own = Settings(
        model="echo", benchmark=("sums",), limit=2, samples=1, compare_shots=3, repeats=2, workers=1,
        template="none", engine=Engine(backend="echo"),
    )  # fmt: skip
    made = run((), own)
    at = [made.columns.index(name) for name in ("examples", "seed")]
    told = [("0", "0"), ("3", "0"), ("0", "1"), ("3", "1")]
    assert [tuple(row[place] for place in at) for row in made.rows] == told
    *_, bare, shown, line = made.records
    assert (bare.get("shots"), bare["seeds"], shown["shots"], shown["seeds"]) == (None, [0, 1], 3, [0, 1])
    assert (line["shots"], line["seeds"], line["comparisons"]) == (3, [0, 1], 0 if line["p"] is None else 1)
    assert [row[2] for row in made.further[1].rows] == ["3"]
    lines = list(csv.DictReader(FORMS[".csv"](made).splitlines()))
    assert [(line["shots"] or "0", line["seed"]) for line in lines[:4]] == told
    assert FORMS[".yaml"](made).count('"shots": 3') == 2


def test_an_example_has_the_form_that_the_template_asks_for() -> None:
    def worked(style: Any, **fields: Any) -> str:
        (found,) = examples_of([GIVEN.adding(**fields)], 1, style)
        return str(found["completion"])

    assert worked("plain") == "Two and three.\nAnswer: 5"
    assert worked("think") == "<think>\nTwo and three.\n</think>\n\\boxed{5}"
    assert worked("think-answer", solution=None) == "<answer>5</answer>"
    with pytest.raises(BadInput, match="no reference answer to show"):
        worked("plain", answer=None)
    with pytest.raises(BadInput, match="there are 1 problems to take examples from"):
        examples_of([GIVEN], 2, "plain")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "m"}, "asks a benchmark twice"),
        ({"model": "m", "benchmark": ("gsm8k",), "protocol": "official"}, "official says itself"),
        ({"model": "m", "benchmark": ("drop",), "set": ("shots=1",)}, "leave out --set shots"),
        ({"model": "m", "benchmark": ("sums",), "set": ("digits=9",)}, "digits=9"),
    ],
    ids=["no benchmark", "official", "twice", "a bad setting"],
)
def test_what_makes_no_sense_is_told_before_anything_is_sampled(options: dict[str, Any], says: str) -> None:
    with pytest.raises(R1Error, match=says):
        run((), Settings(compare_shots=1, template="none", engine=Engine(backend="echo"), **options))
