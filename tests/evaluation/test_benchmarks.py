"""Every benchmark gives records with unique ids, and says what it needs where it cannot."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import sums
from stages.evaluation.benchmark import load, names, open_problems, parse_settings, take
from stages.formats.rows import Reader
from stages.runtime.errors import BadInput, StreamError, Unavailable, UsageError
from stages.scoring import spec
from tests.isolation import isolated

SIZES = {"gsm8k": 1319, "math500": 500, "aime24": 30, "amc": 83, "svamp": 1000, "mawps": 2065}


def test_each_benchmark_says_what_it_is_and_names_rewards_there_are() -> None:
    for name in sorted({*names()} - {"lm_eval"}):  # which is an extra: test_lm_eval.py
        found = load(f"{name}:chain_sum" if name == "reasoning_gym" else name)
        assert found.summary.endswith(".")
        assert set(found.rewards) <= set(spec.names())
        assert found.samples >= 1
        assert found.split in found.splits


@pytest.mark.parametrize("name", sorted(SIZES))
def test_a_local_copy_holds_the_published_problems(name: str, data: Path) -> None:
    records = list(open_problems(load(name), data=data))
    assert len(records) == SIZES[name]
    assert len({record["id"] for record in records}) == SIZES[name]
    for record in records:
        assert isinstance(record["prompt"], str)
        assert isinstance(record["answer"], str)
        assert record["answer"]
        assert record["lang"] == "en"


LANGUAGES = 11
OTHERS = {
    ("humaneval", None): 164, ("mbpp", None): 500, ("mbpp", "prompt"): 10, ("mbpp", "validation"): 90,
    ("mbpp", "train"): 374, ("mgsm", None): 250 * LANGUAGES, ("mgsm:zh", None): 250,
    ("mmlu_stem", None): 3018, ("ifeval", None): 541,
}  # fmt: skip


@pytest.mark.parametrize(("name", "split"), OTHERS)
def test_what_is_no_sum_is_there_as_published_too(name: str, split: str | None, data: Path) -> None:
    records = list(open_problems(load(name), split=split, data=data))
    assert len(records) == len({record["id"] for record in records}) == OTHERS[name, split]
    assert all(isinstance(record["prompt"], str) and record["prompt"].strip() for record in records)
    if name.startswith("mgsm"):
        assert len({record["lang"] for record in records}) == (LANGUAGES if name == "mgsm" else 1)


def test_published_problems_are_judged_by_the_reward_that_they_name(data: Path) -> None:
    """The data sets' own solutions are right, and the answer beside the right one is wrong."""
    for name, said, other in (
        ("humaneval", lambda r: r["canonical_solution"], lambda r: "    pass"),
        ("mbpp", lambda r: f"```python\n{r['code']}\n```", lambda r: "```python\npass\n```"),
        ("mgsm:th", lambda r: f"\\boxed{{{r['answer']}}}", lambda r: f"\\boxed{{{r['answer']}1}}"),
        ("ifeval", lambda r: "*one* *two* *three*: " + "[word] " * 300, lambda r: "a, b"),
        ("mmlu_stem", lambda r: f"The answer is ({r['answer']}).",
         lambda r: f"The answer is ({'BCDA'['ABCD'.index(r['answer'])]})."),
    ):  # fmt: skip
        found = load(name)
        part = spec.part(found.rewards[0])
        if part.name == "code" and not isolated():
            continue
        for record in itertools.islice(open_problems(found, data=data), 3):
            assert part.function({**record, "completion": said(record)}).value == 1, record["id"]
            assert part.function({**record, "completion": other(record)}).value == 0, record["id"]


def test_the_languages_of_mgsm_are_known_and_rows_that_lack_something_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mgsm has no 'xx': it has bn, de"):
        open_problems(load("mgsm:xx"), data=tmp_path)
    for name, file, row, says in (
        ("humaneval", "HumanEval.jsonl.gz", {}, "field 'task_id' is missing"),
        ("mbpp", "mbpp.jsonl", {"task_id": 11, "text": "x"}, "field 'test_list' is missing"),
        ("ifeval", "ifeval.jsonl", {"key": 1, "prompt": "x", "kwargs": []}, "field 'instruction_id_list'"),
        ("mmlu_stem", "mmlu_stem.jsonl", {"question": "x", "choices": ["a"] * 4, "answer": 4}, "is 4"),
    ):
        text = json.dumps(row).encode()
        (tmp_path / file).write_bytes(gzip.compress(text) if file.endswith(".gz") else text)
        with pytest.raises(BadInput, match=says):
            list(open_problems(load(name), data=tmp_path))


@pytest.mark.parametrize(
    ("file", "row", "id", "prompt", "answer"),
    [
        ("aime24.json", {"aime_number": 2, "problem_number": 0, "problem": "What?", "answer": "073"},
         "aime24-II-15", "What?", "73"),
        ("aime24.json", {"url": "x/2024_AIME_I_Problems/Problem_4", "problem": "What?", "answer": "033"},
         "aime24-I-4", "What?", "33"),
        ("amc.json", {"url": "x/2022_AMC_12A_Problems/Problem_10", "problem": "What?", "answer": 3.0},
         "amc-2022-12A-10", "What?", "3"),
        ("gsm8k_test.jsonl", {"question": "What?", "answer": "1+2=<<1+2=3>>3\n#### 1,003"},
         "gsm8k-test-0", "What?", "1003"),
        ("math500.jsonl", {"unique_id": "a/1", "problem": "What?", "answer": "\\pi"},
         "a/1", "What?", "\\pi"),
        ("mawps.jsonl", {"id": "of the copy", "input": "What?", "target": "3"}, "mawps-0", "What?", "3"),
        ("svamp.jsonl", {"ID": "chal-1", "Body": "A and b ", "Question": "How many?", "Answer": 4.0},
         "svamp-chal-1", "A and b. How many?", "4"),
    ],
)  # fmt: skip
def test_a_row_of_each_copy_is_a_problem(
    file: str, row: dict[str, Any], id: str, prompt: str, answer: str, tmp_path: Path
) -> None:
    (tmp_path / file).write_text(json.dumps([row] if file.endswith(".json") else row))
    name = file.partition(".")[0].removesuffix("_test")
    (record,) = open_problems(load(name), data=tmp_path)
    found = (record["id"], record["prompt"], record["answer"], record["lang"])
    assert found == (id, prompt, answer, "en")


def test_answers_are_the_published_ones(data: Path) -> None:
    first = {name: next(open_problems(load(name), data=data)) for name in ("gsm8k", "aime24", "svamp")}
    assert first["gsm8k"]["answer"] == "18"
    assert "<<" not in first["gsm8k"]["solution"]
    assert (first["aime24"]["id"], first["aime24"]["answer"]) == ("aime24-I-1", "204")
    assert first["svamp"]["prompt"].endswith("groups. How big is each group of bananas?")


def test_a_copy_may_lie_in_the_folder_itself(data: Path, tmp_path: Path) -> None:
    (tmp_path / "amc.json").write_bytes((data / "math" / "amc.json").read_bytes())
    assert next(open_problems(load("amc"), data=tmp_path))["id"] == "amc-2022-12A-1"


def test_without_a_copy_and_without_the_hub_both_ways_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("cannot reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(Unavailable, match=r"openai/gsm8k.*cannot reach.*math/gsm8k_test.jsonl"):
        next(open_problems(load("gsm8k"), data=tmp_path))


def test_a_name_that_is_nothing_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean gsm8k"):
        load("gms8k")
    with pytest.raises(StreamError, match="no such file"):
        load(str(tmp_path / "none.jsonl"))
    with pytest.raises(UsageError, match="has no tasks"):
        load("gsm8k:easy")


def test_splits_and_settings_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split 'dev': it has test, train"):
        open_problems(load("gsm8k"), split="dev")
    with pytest.raises(UsageError, match=r"no setting 'digit'; did you mean digits\?"):
        parse_settings(load("sums"), ["digit=3"])
    with pytest.raises(UsageError, match="digits=x must be a whole number"):
        parse_settings(load("sums"), ["digits=x"])
    (tmp_path / "a.jsonl").write_text('{"prompt":"p"}\n')
    with pytest.raises(UsageError, match="has no splits"):
        open_problems(load(str(tmp_path / "a.jsonl")), split="test")


def test_a_file_goes_where_a_benchmark_goes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"q":"1+1?","a":2}\n{"q":"1+2?","a":3}\n')
    found = load(str(tmp_path / "a.jsonl"), reader=Reader({"prompt": "q", "answer": "a"}))
    records = list(take(found, limit=1, skip=1))
    assert [(each["id"], each["prompt"], each["answer"]) for each in records] == [("a-1", "1+2?", "3")]
    assert records[0]["meta"]["prompts"]["source"] == str(tmp_path / "a.jsonl")


def test_a_shuffle_keeps_all_and_is_named_by_its_seed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"id":"{i}","prompt":"p"}}\n' for i in range(50)))
    orders = [
        [each["id"] for each in take(load(str(tmp_path / "a.jsonl")), shuffle=True, seed=seed)]
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0], key=int) == [str(i) for i in range(50)]


def test_a_source_that_makes_its_problems_makes_no_more_than_are_taken() -> None:
    records = list(take(load("sums"), limit=5, skip=2, settings={"digits": 6}))
    assert len(records) == 5
    assert records[0]["meta"]["prompts"]["settings"]["limit"] == 7


def test_reasoning_gym_makes_the_same_puzzles_of_a_seed() -> None:
    pytest.importorskip("reasoning_gym")
    found = load("reasoning_gym:chain_sum")
    one, two = (
        [each["prompt"] for each in take(found, limit=4, seed=3, settings={"min_terms": 5})] for _ in range(2)
    )
    assert one == two
    assert all(prompt.count(" + ") + prompt.count(" - ") >= 4 for prompt in one)
    other = [each["prompt"] for each in take(found, limit=4, seed=3, split="test")]
    assert not set(one) & set(other)


def test_reasoning_gym_names_the_nearest_task_and_setting() -> None:
    pytest.importorskip("reasoning_gym")
    with pytest.raises(UsageError, match="did you mean chain_sum"):
        load("reasoning_gym:chain_sums")
    with pytest.raises(UsageError, match="did you mean min_terms"):
        parse_settings(load("reasoning_gym:chain_sum"), ["min_term=2"])
    with pytest.raises(UsageError, match="refuses these settings"):
        list(take(load("reasoning_gym:chain_sum"), limit=1, settings={"min_terms": -4}))


def test_a_stored_answer_of_a_puzzle_is_right() -> None:
    pytest.importorskip("reasoning_gym")
    from stages.rewards.reasoning_gym import reasoning_gym

    for record in itertools.islice(take(load("reasoning_gym:countdown"), limit=3), 3):
        verdict = reasoning_gym({**record, "completion": f"<answer>{record['answer']}</answer>"})
        assert verdict.value == 1


def test_a_sum_is_worked_from_the_right_in_the_languages_given() -> None:
    last = "</think><answer>125</answer>"
    assert sums.chain(57, 68, ["en"]) == f"<think>7 plus 8 is 15, 5 plus 6 plus 1 is 12{last}"
    assert sums.chain(57, 68, ["en", "zh"]) == f"<think>7 plus 8 is 15, 5加6加1得12{last}"


def test_a_noisy_corpus_is_the_same_of_a_seed_and_half_of_it_thinks() -> None:
    one, other = (
        [r["completion"] for r in sums.problems(split="train", worked="noisy", limit=200)] for _ in range(2)
    )
    assert one == other
    assert 60 < sum(text.startswith("<think>") for text in one) < 140
