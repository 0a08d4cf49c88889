"""Decontamination finds a benchmark's problem in a prompt, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.selection import rules
from stages.selection.decontamination import Overlap, problems
from stages.selection.rules import select
from stages.settings.criteria import Selection

LONG = "Janet's ducks lay 16 eggs per day. She eats three for breakfast every morning and sells the rest."
KNOWN = Overlap([(LONG, "long"), ("How many eggs are in a dozen?", "short"), ("What is 3+4?", "tiny")])


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


# What many problems say, one that is like none of the others, and prompts with their labels.
COMMON = (
    "can be written in the form $m/n$ where $m$ and $n$ are relatively prime positive integers. Find $m+n$."
)
BENCHMARK = [
    f"A coin is tossed until two heads come up in a row. The chance of an even number of tosses {COMMON}",
    f"Three knights are chosen of those at a round table. The chance that two are neighbours {COMMON}",
    f"The length of the longest chord through the common points of two circles of radius 3 and 4 {COMMON}",
    "Tom has 3 boxes of 12 pens each and gives his sister a quarter of them. How many pens has he left?",
]
LABELLED = [
    (
        f"A die is cast nine times. Let $p$ be the probability that no two equal faces follow; it {COMMON}",
        None,
    ),
    (f"The ratio of the areas of a square and the triangle that its diagonal cuts off {COMMON}", None),
    ("Tom has 7 apples and gives his sister two of them. How many apples does he have to buy for ten?", None),
    (f"Problem 7. {BENCHMARK[1]} Think step by step, and put the result into a box.", "1"),
    (BENCHMARK[0].replace("two heads", "three heads").replace("even", "odd"), "0"),
    (BENCHMARK[3].replace("12", "16").replace("3", "5"), "3"),
]


@pytest.mark.parametrize(("prompt", "found"), LABELLED)
def test_a_phrase_that_many_problems_have_is_no_repetition(prompt: str, found: str | None) -> None:
    problems = [(text, str(number)) for number, text in enumerate(BENCHMARK)]
    assert Overlap(problems).find(prompt) == found
    assert COMMON not in prompt or Overlap(problems, 13).find(prompt) is not None


def test_a_form_that_all_problems_are_filled_into_tells_nothing() -> None:
    """Else a training half made by the same generator would be dropped as a whole."""
    form = "A train leaves at {} and goes {} km to the next town; it waits for {} minutes. When is it back?"
    known = Overlap([(form.format(n, 3 * n, 7 * n), str(n)) for n in range(1, 30)])
    assert known.find(form.format(5, 15, 35)) == "5"
    assert known.find(form.format(31, 2, 1000)) is None


def test_the_words_that_are_shared_are_shown_as_the_prompt_has_them() -> None:
    said = (
        "Janet's ducks lay 18 eggs per day. She eats three for breakfast every morning, and sells the rest!"
    )
    found = KNOWN.repetition(said)
    assert found is not None
    assert found.words == (
        "Janet's ducks lay … eggs per day. She eats three for breakfast every morning, and sells the rest"
    )
    assert found.share == pytest.approx(18 / 19)
    assert KNOWN.repetition("Tell me: How many  EGGS are in a dozen?") == (
        "short",
        1.0,
        "How many EGGS are in a dozen",
    )


def test_one_rule_says_what_is_a_repetition() -> None:
    with pytest.raises(UsageError, match="--overlap weighs what is shared"):
        list(select([], Selection(ngram=8, overlap=0.5), lambda record, why: None))


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
    array.write_text(json.dumps([{"problem": LONG}, {"prompt": [{"role": "user", "content": "x"}]}]))
    assert list(problems(str(lines))) == [(LONG, f"{lines}:1")]
    assert list(problems(str(array))) == [(LONG, f"{array}[1]"), ("x", f"{array}[2]")]


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
    assert dropped == [f"contaminated: the prompt repeats {path}:1, 1.00 of it: {LONG.rstrip('.')}"]


def test_a_training_set_is_told_from_its_test_set(data: Path) -> None:
    """GSM8K's own halves share almost nothing; each test problem is found in itself."""
    known = Overlap(problems(str(data / "math" / "gsm8k_test.jsonl")))
    train = [text for text, _ in problems(str(data / "math" / "gsm8k_train.jsonl"))]
    test = [text for text, _ in problems(str(data / "math" / "gsm8k_test.jsonl"))]
    assert all(known.find(text) for text in test)
    assert sum(known.find(text) is not None for text in train) / len(train) < 0.01


def test_a_phrase_of_contests_drops_no_other_problem(data: Path) -> None:
    """Problems of MATH's training part that ask for m+n, none of which is in MATH-500."""
    benchmark = list(problems(str(data / "math" / "math500.jsonl")))
    asked = [
        text
        for text, _ in problems(str(data / "math" / "math_train.json"))
        if "relatively prime positive integers" in text
    ]
    by_words, by_rarity = Overlap(benchmark, 13), Overlap(benchmark)
    assert sum(by_words.find(text) is not None for text in asked) > 30
    assert [text for text in asked if by_rarity.find(text) is not None] == []


def test_what_is_wrong_with_a_file_shows_before_its_index_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[tuple[str, str]]] = []

    class Counted(Overlap):
        def __init__(self, problems: Iterable[tuple[str, str]], *options: Any) -> None:
            made.append(list(problems))
            super().__init__(made[-1], *options)

    monkeypatch.setattr(rules, "Overlap", Counted)
    path = tmp_path / "bench.jsonl"
    path.write_text('{"problem": "How many eggs are left in the basket?"}\n{"id": 2}\n')
    selection = Selection(decontaminate=(str(path),))
    with pytest.raises(BadInput, match=r"bench\.jsonl:2: no problem in it"):
        rules.check_rules(selection)
    path.write_text('{"problem": "How many eggs are left in the basket?"}\n')
    rules.check_rules(selection)
    assert not any(made)
    asked = Record(id="a", prompt="How many eggs are left in the basket?", completion="2")
    assert list(rules.select([asked], selection, lambda record, why: None)) == []
    assert len(list(filter(None, made))) == 1
