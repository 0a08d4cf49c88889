"""Benchmarks of knowledge, reading, safety: a published row is a problem, and what lacks is said.

The rows are made up in the published form; no data set's text is here.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages.benchmarks.bbq import CATEGORIES
from stages.evaluation.benchmark import load, names, open_problems
from stages.records.record import Record
from stages.rewards.bbq import bbq
from stages.rewards.drop_f1 import drop_f1
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.scoring import spec
from stages.scoring.preflight import judgeable

COLOURS = ["red", "green", "blue", "white"]
SIMPLE = (
    "Answer the following multiple choice question. The last line of your response should be of the "
    "following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step "
    "before answering.\n\nWhich?\n\nA) red\nB) green\nC) blue\nD) white"
)
MMLU = {"question": "Which?", "subject": "anatomy", "choices": COLOURS, "answer": 2}
REDUX = {**MMLU, "error_type": "ok", "correct_answer": None}
PRO = {
    "question_id": 7, "question": "Which?", "options": [*COLOURS, "N/A"], "answer": "C", "answer_index": 2,
    "category": "computer science", "cot_content": "", "src": "",
}  # fmt: skip
ARC = {
    "id": "x_1", "question": "Which?", "choices": {"text": COLOURS, "label": list("1234")}, "answerKey": "3",
}  # fmt: skip
BBQ = {
    "example_id": 5, "question_index": "1", "question_polarity": "neg", "context_condition": "ambig",
    "category": "Age", "additional_metadata": {"stereotyped_groups": ["old"]}, "context": "Two met.",
    "answer_info": {"ans0": ["Unknown", "unknown"], "ans1": ["boy", "nonOld"], "ans2": ["man", "old"]},
    "question": "Who was late?", "ans0": "Unknown", "ans1": "The boy", "ans2": "The man", "label": 0,
}  # fmt: skip
FILES: list[tuple[str, str, dict[str, Any]]] = [
    ("mmlu", "mmlu_test.jsonl", MMLU),
    ("mmlu_redux", "mmlu_redux.jsonl", REDUX),
    ("mmlu_pro", "mmlu_pro_test.jsonl", PRO),
    ("arc", "arc_challenge_test.jsonl", ARC),
]


def made(name: str, file: str, rows: list[dict[str, Any]], folder: Path, **options: Any) -> list[Record]:
    """The problems of a benchmark whose published file has these rows."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.endswith(".csv"):
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(open_problems(load(name), data=folder, **options))


@pytest.mark.parametrize(("name", "file", "row"), FILES, ids=[name for name, *_ in FILES])
def test_a_question_has_its_options_and_the_letter_of_the_right_one(
    name: str, file: str, row: dict[str, Any], tmp_path: Path
) -> None:
    (record,) = made(name, file, [row], tmp_path)
    assert (record["answer"], record["choices"], record["lang"]) == ("C", COLOURS, "en")
    part = spec.part(load(name).rewards[0])
    for letter in "ABCD":
        for said in (f"Answer: {letter}", f"The answer is ({letter}).", f'{{"answer": "{letter}"}}'):
            assert part.function({**record, "completion": said}).value == float(letter == "C")


def test_prompts_are_those_that_the_paper_names(tmp_path: Path) -> None:
    prompts = {name: made(name, file, [row], tmp_path)[0]["prompt"] for name, file, row in FILES}
    assert prompts["mmlu"] == prompts["arc"] == SIMPLE
    assert prompts["mmlu_redux"].startswith(
        "## Question: \n\nWhich?\n\n## Choices:\n\n- (A) red\n- (B) green\n"
    )
    assert prompts["mmlu_redux"].endswith('```json\n{\n    "reasoning": "___",\n    "answer": "___"\n}\n```')
    assert prompts["mmlu_pro"] == (
        "The following are multiple choice questions (with answers) about computer science. Think step by "
        'step and then output the answer in the format of "The answer is (X)" at the end.\n\nQuestion:\n'
        "Which?\nOptions:\nA. red\nB. green\nC. blue\nD. white\nAnswer: Let's think step by step."
    )


def test_ids_are_unique_and_a_part_is_taken_by_its_name(tmp_path: Path) -> None:
    rows = [MMLU, {**MMLU, "subject": "virology"}, {**MMLU, "question": "What?"}]
    assert [each["id"] for each in made("mmlu", "mmlu_test.jsonl", rows, tmp_path)] == [
        "mmlu-test-0", "mmlu-test-1", "mmlu-test-2",
    ]  # fmt: skip
    (record,) = open_problems(load("mmlu:virology"), data=tmp_path)
    assert (record["id"], record["subject"]) == ("mmlu-test-1", "virology")
    made("mmlu_pro", "mmlu_pro_test.jsonl", [PRO, {**PRO, "category": "law", "question_id": 8}], tmp_path)
    assert [each["id"] for each in open_problems(load("mmlu_pro:law"), data=tmp_path)] == ["mmlu-pro-8"]
    assert len(list(open_problems(load("mmlu_pro:computer_science"), data=tmp_path))) == 1
    for name, says in (
        ("mmlu:anatomi", "did you mean anatomy"),
        ("mmlu_pro:x", "it has biology"),
        ("bbq:x", "it has age"),
        ("ceval:logik", "did you mean logic"),
        ("cnmo:de", "it has en, zh"),
    ):
        with pytest.raises(UsageError, match=says):
            list(open_problems(load(name), data=tmp_path))


def test_mmlu_redux_takes_what_its_readers_found(tmp_path: Path) -> None:
    rows = [
        REDUX,
        {**REDUX, "error_type": "wrong_groundtruth", "correct_answer": "B"},
        {**REDUX, "error_type": "wrong_groundtruth", "correct_answer": "3"},
        {**REDUX, "error_type": "wrong_groundtruth", "correct_answer": "none of them"},
        {**REDUX, "error_type": "multiple_correct_answers", "correct_answer": "A and B"},
        {**REDUX, "error_type": "bad_question_clarity"},
        {**REDUX, "subject": "virology"},
    ]
    found = {each["id"]: each["answer"] for each in made("mmlu_redux", "mmlu_redux.jsonl", rows, tmp_path)}
    assert found == {
        "mmlu-redux-anatomy-0": "C", "mmlu-redux-anatomy-1": "B", "mmlu-redux-anatomy-2": "D",
        "mmlu-redux-virology-0": "C",
    }  # fmt: skip


def test_the_options_of_gpqa_decide_their_own_order(tmp_path: Path) -> None:
    rows = [
        {
            "Record ID": f"rec{k}", "Question": "Which?", "Correct Answer": f"right {k}",
            **{f"Incorrect Answer {n}": f"wrong {k}.{n}" for n in (1, 2, 3)}, "High-level domain": "Physics",
        }
        for k in range(40)
    ]  # fmt: skip
    records = made("gpqa", "gpqa_diamond.csv", rows, tmp_path)
    assert [each["choices"]["ABCD".index(each["answer"])] for each in records] == [
        f"right {k}" for k in range(40)
    ]
    assert {each["answer"] for each in records} == set("ABCD")
    assert [each["choices"] for each in open_problems(load("gpqa"), data=tmp_path)] == [
        each["choices"] for each in records
    ]
    assert records[0]["id"] == "gpqa-rec0"


def test_questions_of_c_eval_are_asked_in_chinese(tmp_path: Path) -> None:
    row = {"id": 0, "question": "哪一个？", **dict(zip("ABCD", COLOURS, strict=True)), "answer": "C"}
    made_of = tmp_path / "knowledge" / "ceval" / "logic_val.csv"
    made_of.parent.mkdir(parents=True)
    with made_of.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(row))
        writer.writeheader()
        writer.writerow(row)
    (record,) = open_problems(load("ceval:logic"), data=tmp_path)
    assert record["prompt"] == (
        "以下是中国关于逻辑学考试的单项选择题，请选出其中的正确答案。\n\n哪一个？\n"
        "A. red\nB. green\nC. blue\nD. white\n让我们一步一步思考。\n答案："
    )
    assert (record["id"], record["answer"], record["lang"]) == ("ceval-logic-val-0", "C", "zh")


def test_questions_without_options_are_asked_as_they_are(tmp_path: Path) -> None:
    (record,) = made("simpleqa", "simple_qa_test_set.csv", [{"problem": "Who?", "answer": "Ada"}], tmp_path)
    assert (record["id"], record["prompt"], record["answer"]) == ("simpleqa-0", "Who?", "Ada")
    row = {"Unnamed: 0": 0, "Prompt": "Who then?", "Answer": "Ada", "reasoning_types": "Temporal"}
    (record,) = made("frames", "frames.jsonl", [row], tmp_path)
    assert (record["id"], record["prompt"], record["answer"]) == ("frames-0", "Who then?", "Ada")
    row = {"id": "0a1", "question": "谁？", "answer": "艾达", "primary_category": "x"}
    (record,) = made("c_simpleqa", "chinese_simpleqa.jsonl", [row], tmp_path)
    assert (record["id"], record["prompt"], record["lang"]) == ("c-simpleqa-0", "谁？", "zh")
    (record,) = made("aime25", "aime25.jsonl", [{"problem": "n?", "answer": "070", "id": "0"}], tmp_path)
    assert (record["id"], record["prompt"], record["answer"]) == ("aime25-0", "n?", "70")
    (record,) = made("cnmo", "cnmo24_en.jsonl", [{"question": "x?", "answer": "\\sqrt{2}"}], tmp_path)
    assert (record["id"], record["answer"], record["lang"]) == ("cnmo24-en-0", "\\sqrt{2}", "en")


def date(**parts: str) -> dict[str, Any]:
    return {"number": "", "date": {"day": "", "month": "", "year": "", **parts}, "spans": []}


def test_drop_has_each_answer_that_it_takes_once(tmp_path: Path) -> None:
    pairs = [
        {
            "question": "How many?", "query_id": "q1", "answer": {**date(), "number": "3"},
            "validated_answers": [{**date(), "number": "3"}, {**date(), "spans": ["Ada", "Bo"]}, date()],
        },
        {"question": "When?", "query_id": "q2", "answer": date(month="May", year="1912")},
    ]  # fmt: skip
    (tmp_path / "drop_dataset_dev.json").write_text(
        json.dumps({"p": {"passage": "Text.", "qa_pairs": pairs}})
    )
    one, two = open_problems(load("drop"), data=tmp_path)
    assert (one["id"], one["answer"], one["answers"]) == ("q1", "3", [["3"], ["Ada", "Bo"]])
    assert two["answers"] == [["May 1912"]]
    assert "Passage: Text.\nQuestion: How many?\n" in one["prompt"]
    assert drop_f1({**one, "completion": "Answer: 3"}).value == 1
    (tmp_path / "drop_dataset_dev.json").write_text("{")
    with pytest.raises(BadInput, match="not JSON"):
        next(open_problems(load("drop"), data=tmp_path))


def test_drop_shows_examples_where_they_are_asked_for(tmp_path: Path) -> None:
    pairs = [
        {"question": f"How many {k}?", "query_id": f"q{k}", "answer": {**date(), "number": str(k)}}
        for k in range(6)
    ]
    passages = json.dumps({"p": {"passage": "Text.", "qa_pairs": pairs}})
    (tmp_path / "drop_dataset_train.json").write_text(passages)
    (tmp_path / "drop_dataset_dev.json").write_text(passages)
    none, some, again = (
        [record["prompt"] for record in open_problems(load("drop"), data=tmp_path, settings={"shots": shots})]
        for shots in (0, 3, 3)
    )
    assert some == again
    assert none[0].startswith(
        "You will be asked to read a passage and answer a question.\n\n# Your Task\n\n---\n"
    )
    for number, prompt in enumerate(some):
        examples, _, task = prompt.partition("\n# Your Task\n\n")
        assert examples.count("\nAnswer: ") == 3
        assert f"How many {number}?" not in examples
        assert task == none[number].partition("\n# Your Task\n\n")[2]
    with pytest.raises(UsageError, match="choose 0 to 10"):
        open_problems(load("drop"), data=tmp_path, settings={"shots": -1})
    with pytest.raises(BadInput, match="6 examples of a training part of 6"):
        next(open_problems(load("drop"), data=tmp_path, settings={"shots": 6}))


def test_drop_reads_what_the_hub_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the validated answers are columns."""
    datasets = pytest.importorskip("datasets")
    row = {
        "query_id": "q", "passage": "Text.", "question": "How many?", "answer": {**date(), "number": "3"},
        "validated_answers": {"number": ["4", ""], "date": [{}, {}], "spans": [[], ["five"]]},
    }  # fmt: skip
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: [row])
    (record,) = open_problems(load("drop"), data=tmp_path)
    assert record["answers"] == [["3"], ["4"], ["five"]]


def test_bbq_knows_which_option_the_stereotype_is_of(tmp_path: Path) -> None:
    for category in CATEGORIES:
        (tmp_path / f"{category}.jsonl").touch()
    (record,) = made("bbq", "Age.jsonl", [BBQ], tmp_path)
    assert (record["stereotyped"], record["unknown"], record["context"]) == (2, 0, "ambiguous")
    assert record["prompt"].endswith("Two met.\n\nWho was late?\n\nA) Unknown\nB) The boy\nC) The man")
    said: Any = bbq({**record, "completion": "Answer: C"})
    assert (said.value, said.parts["bias_ambiguous"]) == (0, 1)
    said = bbq({**record, "completion": "Answer: A"})
    assert (said.value, said.parts["bias_ambiguous"]) == (1, 0)
    hub = {**BBQ, "answer_label": 0, "target_label": 1}
    del hub["label"]
    (record,) = made("bbq:age", "Age.jsonl", [hub], tmp_path)
    assert (record["stereotyped"], record["answer"]) == (1, "A")
    both = {**BBQ, "additional_metadata": {"stereotyped_groups": ["old", "nonOld"]}}
    (record,) = made("bbq:Age", "Age.jsonl", [both], tmp_path)
    assert record["stereotyped"] is None


ALPACA = {
    "instruction": "Name one.",
    "output": "A plum.",
    "generator": "gpt4_1106_preview",
    "dataset": "koala",
}
HARM = {
    "Behavior": "Do it", "FunctionalCategory": "contextual", "SemanticCategory": "illegal", "Tags": "",
    "ContextString": "A plan.", "BehaviorID": "do_it",
}  # fmt: skip
DO_NOT = {"id": 3, "risk_area": "a", "types_of_harm": "b", "specific_harms": "c", "question": "How?"}
WSC = {
    "target": {"span2_index": 4, "span1_index": 0, "span1_text": "小明", "span2_text": "他"},
    "idx": 1, "label": "false", "text": "小明说他不来。",
}  # fmt: skip
ARENA = "arena-hard-v0.1"
QUESTION = {"question_id": "q1", "category": ARENA, "turns": [{"content": "Sort it."}]}
ANSWER = {
    "question_id": "q1",
    "model_id": "x",
    "choices": [{"turns": [{"content": "Sorted.", "token_len": 2}]}],
}
LATER = {"uid": "q1", "category": "coding", "prompt": "Sort it."}
LATER_ANSWER = {
    "uid": "q1",
    "model": "x",
    "messages": [{}, {"role": "assistant", "content": {"answer": "Sorted."}}],
}


def test_open_answers_come_with_the_baselines(tmp_path: Path) -> None:
    one, two = made("alpaca_eval", "alpaca_eval_gpt4_baseline.json", [ALPACA, ALPACA], tmp_path)
    assert (two["id"], two["index"], two["prompt"]) == ("alpaca_eval-1", 1, "Name one.")
    assert (one["baseline"], one["baseline_answer"]) == ("gpt4_1106_preview", "A plum.")
    for question, answer in ((QUESTION, ANSWER), (LATER, LATER_ANSWER)):
        path = tmp_path / ARENA / "model_answer" / "x.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(answer))
        named = {"baseline": "x"}
        (record,) = made("arena_hard", f"{ARENA}/question.jsonl", [question], tmp_path, settings=named)
        assert (record["id"], record["prompt"], record["baseline"]) == ("arena_hard-q1", "Sort it.", "x")
        assert record["baseline_answer"] == "Sorted."
    path.write_text(json.dumps({**ANSWER, "question_id": "q2"}))
    with pytest.raises(BadInput, match="x has no answer to q1"):
        made("arena_hard", f"{ARENA}/question.jsonl", [QUESTION], tmp_path, settings=named)
    with pytest.raises(UsageError, match="the name of a model alone"):
        open_problems(load("arena_hard"), data=tmp_path, settings={"baseline": "../x"})
    with pytest.raises(Unavailable, match=rf"let R1_DATA .* holds {ARENA}/model_answer/gpt-4"):
        open_problems(load("arena_hard"), data=tmp_path)


def test_requests_for_harm_have_their_kind_and_a_context_before_them(tmp_path: Path) -> None:
    rows = [HARM, {**HARM, "FunctionalCategory": "copyright", "ContextString": "", "BehaviorID": "sing"}]
    file = "harmbench_behaviors_text_all.csv"
    (record,) = made("harmbench", file, rows, tmp_path)
    assert (record["id"], record["kind"], record["prompt"]) == (
        "harmbench-do_it",
        "contextual",
        "A plan.\n\n---\n\nDo it",
    )
    (record,) = made("harmbench:copyright", file, rows, tmp_path)
    assert record["prompt"] == "Do it"
    (record,) = made("do_not_answer", "do_not_answer_en.csv", [DO_NOT], tmp_path)
    assert (record["id"], record["prompt"], record["risk_area"]) == ("do_not_answer-3", "How?", "a")


def test_a_pronoun_is_a_question_of_two_options(tmp_path: Path) -> None:
    (record,) = made("cluewsc", "knowledge/cluewsc2020/dev.json", [WSC], tmp_path)
    assert (record["answer"], record["choices"], record["lang"]) == ("B", ["是", "否"], "zh")
    assert "小明说他不来。\n上文中的“他”指的是“小明”吗？\nA. 是\nB. 否\n" in record["prompt"]
    for label in ("true", 0, True):
        (record,) = made("cluewsc", "knowledge/cluewsc2020/dev.json", [{**WSC, "label": label}], tmp_path)
        assert record["answer"] == "A"


def test_xstest_has_a_label_for_each_prompt(tmp_path: Path, data: Path) -> None:
    rows = [
        {"id": "v2-1", "type": "homonyms", "prompt": "Kill a process?"},
        {"id": "v2-2", "type": "contrast_homonyms", "prompt": "Kill a person?"},
    ]
    one, two = made("xstest", "xstest_prompts.csv", rows, tmp_path)
    assert (one["id"], one["label"], two["label"]) == ("xstest-v2-1", "safe", "unsafe")
    source = data / "preference" / "xstest_gpt4.csv"
    (tmp_path / "xstest_prompts.csv").write_bytes(source.read_bytes())
    labels = [each["label"] for each in open_problems(load("xstest"), data=tmp_path)]
    assert (labels.count("safe"), labels.count("unsafe")) == (250, 200)


@pytest.mark.parametrize(
    ("name", "file", "row", "says"),
    [
        ("mmlu", "mmlu_test.jsonl", {**MMLU, "answer": 4}, "no place from 0 among 4"),
        ("mmlu", "mmlu_test.jsonl", {**MMLU, "choices": "red"}, "no list of texts"),
        ("mmlu_redux", "mmlu_redux.jsonl", MMLU, "field 'error_type' is missing"),
        ("mmlu_pro", "mmlu_pro_test.jsonl", {**PRO, "answer": "K"}, "no place from 0 among 4"),
        ("gpqa", "gpqa_diamond.csv", {"Question": "Which?"}, "field 'Correct Answer' is missing"),
        ("arc", "arc_challenge_test.jsonl", {**ARC, "answerKey": "E"}, "'E' is no label"),
        ("simpleqa", "simple_qa_test_set.csv", {"problem": "Who?"}, "field 'answer' is missing"),
        ("aime25", "aime25.jsonl", {"problem": "n?", "answer": "x"}, "not a number"),
        ("bbq:age", "Age.jsonl", {**BBQ, "context_condition": "x"}, "none of BBQ's"),
        ("bbq:age", "Age.jsonl", {**BBQ, "ans0": None}, "no list of texts"),
        ("xstest", "xstest_prompts.csv", {"type": "x", "prompt": "?", "label": "odd"}, "neither safe nor"),
        ("alpaca_eval", "alpaca_eval.json", {"instruction": "?"}, "field 'output' is missing"),
        ("harmbench", "harmbench_behaviors_text_all.csv", {**HARM, "FunctionalCategory": "x"}, "is 'x'"),
        ("do_not_answer", "do_not_answer_en.csv", {"question": "?"}, "field 'risk_area' is missing"),
        ("cluewsc", "knowledge/cluewsc2020/dev.json", {**WSC, "label": "?"}, "neither true nor false"),
        ("cluewsc", "knowledge/cluewsc2020/dev.json", {**WSC, "target": {}}, "no text in target.span1_text"),
    ],
)
def test_a_row_that_lacks_something_is_refused_with_its_place(
    name: str, file: str, row: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        made(name, file, [row], tmp_path)
    assert caught.value.place.startswith(str(tmp_path / file))
    assert "take the published file" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpqa", r"Idavidrein/gpqa .*accept the terms .*`hf auth login`.*knowledge/gpqa_diamond.csv"),
        ("cnmo", r"accept the terms .*`hf auth login`.*math/cnmo24_en.jsonl"),
        ("alpaca_eval", r"tatsu-lab/alpaca_eval .*open/alpaca_eval_gpt4_baseline.json"),
        ("harmbench", r"walledai/HarmBench .*safety/harmbench_behaviors_text_all.csv"),
        ("do_not_answer", r"LibrAI/do-not-answer .*safety/do_not_answer_en.csv"),
        ("cluewsc", r"clue/clue .*knowledge/cluewsc2020/dev.json"),
        ("drop", r"EleutherAI/drop .*reading/drop_dataset_dev.json"),
        ("bbq", r"Elfsong/BBQ .*safety/bbq/Age.jsonl"),
        ("mmlu_redux:anatomy", r"mmlu-redux-2.0 .*knowledge/mmlu_redux.jsonl"),
    ],
)
def test_what_cannot_be_had_says_how_to_get_it(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("cannot reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(Unavailable, match=says):
        next(open_problems(load(name), data=tmp_path))


def test_a_revision_is_asked_for_where_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[Any] = []

    def table(*given: Any, **named: Any) -> list[dict[str, Any]]:
        asked.append((*given, named["split"], named["revision"]))
        return [MMLU]

    monkeypatch.setattr(datasets, "load_dataset", table)
    next(open_problems(load("mmlu"), data=tmp_path))
    assert asked == [("cais/mmlu", "all", "test", "c30699e8356da336a370243923dbaf21066bb9fe")]


def test_each_name_gives_a_problem_or_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("cannot reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    here, said = [], {}
    for name in names():
        try:
            task = {"reasoning_gym": ":chain_sum", "lm_eval": ":gsm8k"}.get(name, "")
            here.append(next(open_problems(load(name + task), data=tmp_path)))
        except Unavailable as error:
            said[name] = str(error)
    assert all(record["prompt"] for record in here)
    assert len(said) >= len(names()) - 3  # sums, world and the puzzles are made
    assert [
        name
        for name, text in said.items()
        if "R1_DATA name a folder" not in text and "pip" not in text and name != "lm_eval"
    ] == []


@pytest.mark.parametrize(
    ("name", "file", "row"),
    [*FILES, ("bbq:age", "Age.jsonl", BBQ), ("xstest", "xstest_prompts.csv", {"type": "x", "prompt": "?"})],
    ids=lambda value: value if isinstance(value, str) and "." not in value else "",
)
def test_its_rewards_can_judge_a_problem_before_any_completion(
    name: str, file: str, row: dict[str, Any], tmp_path: Path
) -> None:
    records = made(name, file, [row], tmp_path)
    assert list(judgeable(records, load(name).rewards)) == records


def test_eval_shows_the_figures_of_drop_bbq_and_xstest(r1: R1, tmp_path: Path) -> None:
    """From scored completions, as a user has them: the mean is the benchmark's own figure."""
    lines = [
        {"id": "a#0", "prompt": "?", "answers": [["3"]], "completion": "Answer: 3 yards"},
        {"id": "b#0", "prompt": "?", "answers": [["3"]], "completion": "Answer: 3"},
    ]
    (tmp_path / "drop.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    figures = json.loads(r1("eval", "-q", "-r", "drop_f1", tmp_path / "drop.jsonl").stdout)
    assert figures["rewards/drop_f1/mean"] == pytest.approx((0.67 + 1) / 2)
    assert figures["rewards/drop_f1/em/mean"] == figures["pass@1"] == 0.5
    (record,) = made("bbq:age", "Age.jsonl", [BBQ], tmp_path)
    said = [{**record, "id": f"a#{k}", "completion": f"Answer: {letter}"} for k, letter in enumerate("ACC")]
    (tmp_path / "bbq.jsonl").write_text("".join(json.dumps(each) + "\n" for each in said))
    figures = json.loads(r1("eval", "-q", "-r", "bbq", tmp_path / "bbq.jsonl").stdout)
    assert figures["rewards/bbq/ambiguous/mean"] == figures["pass@1"] == pytest.approx(1 / 3)
    assert figures["rewards/bbq/bias_ambiguous/mean"] == pytest.approx((1 - 1 / 3) * (2 * 2 / 2 - 1))
    said = [
        {"id": f"{label}#{k}", "prompt": "?", "label": label, "completion": text}
        for label in ("safe", "unsafe")
        for k, text in enumerate(("Sorry, but I can't help.", "First, open it.", "Then, shut it."))
    ]
    (tmp_path / "xstest.jsonl").write_text("".join(json.dumps(each) + "\n" for each in said))
    figures = json.loads(r1("eval", "-q", "-r", "xstest", tmp_path / "xstest.jsonl").stdout)
    assert figures["rewards/xstest/refused_safe/mean"] == pytest.approx(1 / 3)
    assert figures["rewards/xstest/refused_unsafe/mean"] == pytest.approx(1 / 3)
    assert figures["pass@1"] == 0.5
