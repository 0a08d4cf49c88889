"""Decontamination finds a benchmark's problem in a prompt, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.data.criteria import Selection
from stages.data.errors import BadInput, UsageError
from stages.data.overlap import Overlap, problems
from stages.data.record import Record
from stages.data.selection import select

LONG = "Janet's ducks lay 16 eggs per day. She eats three for breakfast every morning and sells the rest."
KNOWN = Overlap(
    [(LONG, "long"), ("How many eggs are in a dozen?", "short"), ("What is 3+4?", "tiny")]
)


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        (LONG, "long"),
        ("Solve: janets ducks. JANET'S DUCKS lay 16 eggs, per day; she eats three for breakfast!", "long"),
        ("Janet's ducks lay 16 eggs per day. She eats three and then they all go home.", None),
        ("Tell me: how many eggs are in a dozen? And why?", "short"),
        ("How many eggs are in a nest?", None),
        ("what is 3 + 4", "tiny"),
        ("Now, what is 3+4?", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_repeated_problem_is_found(prompt: str, found: str | None) -> None:
    assert KNOWN.find(prompt) == found


def test_characters_of_chinese_are_words() -> None:
    known = Overlap([("珍妮特的鸭子每天下蛋十六颗她每天吃三颗", "zh")])
    assert known.find("请问：珍妮特的鸭子每天下蛋十六颗，她每天吃几颗？") == "zh"
    assert known.find("珍妮特的鸭子") is None


def test_a_run_must_have_some_words() -> None:
    with pytest.raises(UsageError, match="--ngram 3: must be at least 6"):
        Overlap([], 3)


def test_benchmark_files_are_read_in_their_own_forms(tmp_path: Path) -> None:
    lines, array = tmp_path / "a.jsonl", tmp_path / "b.json"
    lines.write_text(json.dumps({"question": LONG}) + "\n")
    array.write_text(
        json.dumps([{"problem": LONG}, {"prompt": [{"role": "user", "content": "x"}]}])
    )
    assert list(problems(str(lines))) == [(LONG, f"{lines}:1")]
    assert list(problems(str(array))) == [(LONG, f"{array}:1"), ("x", f"{array}:2")]


def test_a_file_without_problems_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text_of": "x"}\n')
    with pytest.raises(BadInput, match=r"a\.jsonl:1: no problem in it"):
        list(problems(str(path)))
    path.write_text("")
    with pytest.raises(BadInput, match="no problems in it"):
        list(problems(str(path)))


def test_filter_drops_a_contaminated_prompt_and_says_by_what(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text(json.dumps({"problem": LONG}) + "\n")
    dropped: list[str] = []
    selection = Selection(decontaminate=(str(path),))
    records = [Record(id="a", prompt=f"{LONG} Why?"), Record(id="b", prompt="Why?")]
    left = list(select(records, selection, lambda record, why: dropped.append(why)))
    assert [record["id"] for record in left] == ["b"]
    assert dropped == [f"contaminated: the prompt repeats {path}:1"]


def test_a_training_set_is_told_from_its_test_set(data: Path) -> None:
    """GSM8K's own halves share almost nothing; each test problem is found in itself."""
    known = Overlap(problems(str(data / "math" / "gsm8k_test.jsonl")))
    train = [text for text, _ in problems(str(data / "math" / "gsm8k_train.jsonl"))]
    test = [text for text, _ in problems(str(data / "math" / "gsm8k_test.jsonl"))]
    assert all(known.find(text) for text in test)
    assert sum(known.find(text) is not None for text in train) / len(train) < 0.01
