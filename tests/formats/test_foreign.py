"""What others' data means: one problem is equal prompts, references and options are found, and it is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.filter import run as filter_run
from stages.formats.export import exported
from stages.formats.foreign import as_records
from stages.formats.mapping import parse_mapping
from stages.formats.rows import Reader, records_of
from stages.records.record import Record, group_of
from stages.records.references import advice, reference_in
from stages.rewards.accuracy import accuracy
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import Silent
from stages.settings.criteria import Selection


class Said(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def read(
    *rows: dict[str, Any], base: int | None = None, pairs: tuple[str, ...] = ()
) -> tuple[Any, list[str]]:
    """The records of some rows, and what is said of them."""
    reader, said = Reader(parse_mapping(pairs), base), Said()
    placed = [Record(row, place=f"f:{n}") for n, row in enumerate(rows, 1)]
    records = list(records_of(placed, stem="f", reader=reader))
    reader.notes.tell(said)
    return records, said.notes


def sharegpt(question: str, answer: str, **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"conversations": turns, **more}


def test_equal_prompts_without_ids_are_one_problem_and_it_is_said_once() -> None:
    records, said = read(*[sharegpt("1+1?", "2")] * 3, sharegpt("1+2?", "3"))
    assert [group_of(record) for record in records] == ["f-0", "f-0", "f-0", "f-3"]
    assert len(said) == 1
    assert said[0].startswith("2 records, first f:2: has the prompt of an earlier one")
    kept = list(filter_run(records, selection=Selection(dedup="exact", max_per_group=1)))
    assert [record["id"] for record in kept] == ["f-0", "f-3"]


def test_prompts_in_turns_are_compared_as_a_whole() -> None:
    system = [sharegpt("1+1?", "2", system="Be brief."), sharegpt("1+1?", "two", system="Be brief.")]
    records, _ = read(*system, sharegpt("1+1?", "2"))
    assert [group_of(record) for record in records] == ["f-0", "f-0", "f-2"]


def test_ids_and_groups_of_the_record_stand_and_equal_prompts_are_said() -> None:
    records, said = read(sharegpt("1+1?", "2", id="a"), sharegpt("1+1?", "2", id="b"))
    assert [group_of(record) for record in records] == ["a", "b"]
    assert "--map id=` makes them one" in said[0]
    records, said = read(sharegpt("1+1?", "2", id="a"), sharegpt("1+1?", "2", id="b"), pairs=("id=",))
    assert [group_of(record) for record in records] == ["f-0", "f-0"]
    records, said = read(sharegpt("1+1?", "2", group="x"), sharegpt("1+1?", "2", group="y"))
    assert [group_of(record) for record in records] == ["x", "y"]
    assert said == []


def test_problems_are_no_completions_and_keep_their_own_ids() -> None:
    records, said = read({"question": "1+1?"}, {"question": "1+1?"})
    assert [group_of(record) for record in records] == ["f-0", "f-1"]
    assert said == []


@pytest.mark.parametrize(
    "source", ["prompt", "conversations.0.value", "conversations[-2].value", "topic", "{topic}"]
)
def test_a_mapping_makes_groups_and_leaves_what_they_are_made_of(source: str) -> None:
    records, _ = read(*[sharegpt("sum", "2", topic="sum")] * 2, pairs=(f"group={source}",))
    assert [record["group"] for record in records] == ["sum", "sum"]
    assert records[0]["topic"] == "sum"
    assert records[0]["prompt"] == "sum"


def test_a_mapping_takes_paths_into_lists() -> None:
    row = {"turns": [{"text": "1+1?"}, {"text": "2"}], "gold": ["2", "two"]}
    (record,), _ = read(row, pairs=("prompt=turns.0.text", "answer=gold[-1]"))
    assert (record["prompt"], record["answer"]) == ("1+1?", "two")
    with pytest.raises(BadInput, match=r"no field 'turns\.2\.text'; it has turns, gold"):
        read(row, pairs=("prompt=turns.2.text",))


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"solution": "48/2=24\n48+24=72\n#### 72"}, "72"),
        ({"solution": r"so \boxed{\frac{1}{2}}"}, r"\frac{1}{2}"),
        ({"solution": "<think>x</think><answer>7</answer>"}, "7"),
        ({"solution": "1,234.5"}, "1,234.5"),
        ({"solution": r"\frac{1}{3}"}, r"\frac{1}{3}"),
        ({"solution": r"$\frac{1}{4}$"}, r"\frac{1}{4}"),
        ({"target": 43.0}, 43.0),
        ({"target": "43"}, "43"),
        ({"ground_truth": "x=2"}, "x=2"),
        ({"expected_answer": "2", "solution": "#### 3"}, "2"),
        ({"reward_model": {"ground_truth": "9"}}, "9"),
        ({"target": "Add them.\n#### 72"}, "72"),
    ],
)
def test_references_are_found_where_their_form_says_so(fields: dict[str, Any], answer: Any) -> None:
    found = reference_in(fields)
    assert found is not None
    assert found.answer == answer


@pytest.mark.parametrize(
    "solution",
    [
        "Add 48 and 24.",
        "def f(x):\n    #### doubles\n    return 2 * x",
        "$a$ and $b$",
        "#### \n",
        "x = 3, so 4",
    ],
)
def test_a_solution_that_does_not_say_where_its_answer_is_gives_none(solution: str) -> None:
    assert reference_in({"solution": solution}) is None


def test_what_was_taken_and_what_was_not_is_said_once_with_the_count() -> None:
    found = {"prompt": "1+1?", "solution": "#### 2"}
    records, said = read(found, found, {"prompt": "1+1?", "solution": "Count."}, {"prompt": "1+1?"})
    assert [record.get("answer") for record in records] == ["2", "2", None, None]
    assert said == [
        "2 records, first f:1: the reference answer is what follows #### in 'solution'",
        "1 record, first f:3: no reference answer: 'solution' does not say which part of it is the answer; "
        "`r1 prompts FILE --map answer=solution` takes it whole",
    ]
    assert "--map answer=solution" in advice(records[2])
    assert "--map solution=worked" in advice({"id": "a", "prompt": "?", "worked": "So\n#### 2"})


LETTERED = {"A": "4", "B": "6", "C": "7", "D": "9"}
STEM, TEXTS = "Which is a prime?", ["4", "6", "7", "9"]
LISTED = "Which is a prime?\nA. 4\nB. 6\nC. 7\nD. 9"
LABELLED = {"text": TEXTS, "label": list("ABCD")}


@pytest.mark.parametrize(
    "row",
    [
        {"question": STEM, "choices": TEXTS, "answer": 2},  # MMLU
        {"question": STEM, "choices": TEXTS, "answer": "C"},
        {"question": STEM, "options": TEXTS, "answer": "C", "answer_index": 2},  # MMLU-Pro
        {"question": STEM, "choices": LABELLED, "answerKey": "C"},  # ARC, CommonsenseQA
        {"question": STEM, "choices": {**LABELLED, "label": list("1234")}, "answerKey": "3"},  # ARC
        {"question": {"stem": STEM, "choices": [
            {"label": label, "text": text} for label, text in LETTERED.items()
        ]}, "answerKey": "C"},
        {"question_stem": STEM, "choices": LABELLED, "answerKey": "C"},  # OpenBookQA
        {"question": STEM, "options": LETTERED, "answer": "7", "answer_idx": "C"},  # MedQA
        {"question": STEM, "options": ["A)4", "B)6", "C)7", "D)9"], "correct": "C"},  # AQuA
        {"ctx": STEM, "endings": TEXTS, "label": 2},  # HellaSwag
    ],
)  # fmt: skip
def test_options_are_in_the_prompt_and_a_right_letter_scores_one(row: dict[str, Any]) -> None:
    (record,), _ = read(row)
    assert (record["prompt"], record["answer"]) == (LISTED, "C")
    for letter, value in (("C", 1), ("B", 0)):
        assert accuracy({**record, "completion": f"The answer is {letter}."}).value == value


def test_gpqa_puts_the_right_answer_among_the_others_in_an_order_of_its_own() -> None:
    wrong = {f"Incorrect Answer {k}": text for k, text in enumerate(("4", "6", "9"), 1)}
    (record,), _ = read({"Question": STEM, "Correct Answer": "7", **wrong, "Record ID": "rec1"})
    (again,), _ = read({"Question": STEM, "Correct Answer": "7", **wrong, "Record ID": "rec1"})
    assert record == again
    assert record["id"] == "rec1"
    assert f"{record['answer']}. 7" in record["prompt"]
    places = {
        read({"Question": STEM, "Correct Answer": str(k), **wrong})[0][0]["answer"] for k in range(50, 90)
    }
    assert places == set("ABCD")


def test_options_that_the_prompt_lists_are_not_listed_again() -> None:
    listed = "Which is a prime?\n(A) 4\n(B) 6\n(C) 7\n(D) 9"
    for prompt in (LISTED, listed, [{"role": "user", "content": listed}]):
        (record,), _ = read({"prompt": prompt, "choices": TEXTS, "answer": "C"})
        assert record["prompt"] == prompt


def test_a_completion_keeps_the_prompt_it_was_made_for() -> None:
    (record,), _ = read({"prompt": STEM, "choices": TEXTS, "answer": 2, "completion": "C"})
    assert (record["prompt"], record["answer"]) == (STEM, "C")


def test_what_a_place_counts_from_is_said_or_refused() -> None:
    _, said = read({"question": STEM, "choices": TEXTS, "answer": 2})
    assert said == ["1 record, first f:1: 'answer' is a place among the options, counted from 0"]
    digits = {"question": STEM, "choices": ["four", "six", "seven", "nine"], "answer": "2"}
    with pytest.raises(BadInput, match=r"f:1: answer '2' is a place among 4 .*--index-base 0` or 1"):
        read(digits)
    assert read(digits, base=0)[0][0]["answer"] == "C"
    assert read(digits, base=1)[0][0]["answer"] == "B"
    with pytest.raises(BadInput, match="answer 4 is no place among 4 options counted from 0"):
        read({"question": STEM, "choices": TEXTS, "answer": 4})
    assert read({"question": STEM, "choices": TEXTS, "answer": 4}, base=1)[0][0]["answer"] == "D"


def test_a_reference_that_is_none_of_the_options_is_counted() -> None:
    (record,), said = read({"question": STEM, "choices": TEXTS, "answer": "eleven"})
    assert record["answer"] == "eleven"
    assert said == ["1 record, first f:1: 'answer' is none of the options"]


def test_stages_pass_records_on_and_read_the_forms_of_others() -> None:
    made = Record(id="a#0", prompt="1+1?", completion="2", question="kept", target="x", rewards={})
    scored = Record(id="b", problem="kept", completion="2")
    assert list(as_records([made, scored])) == [made, scored]
    said = Said()
    rows = [
        Record({"question": "1+1?", "answer": "#### 2"}, place="d/set.jsonl:1"),
        Record({"problem": "1+2?", "solution": "#### 3"}, place="d/set.jsonl:2"),
        Record({"id": "p", "prompt": "1+3?", "solution": "#### 4"}, place="d/set.jsonl:3"),
    ]
    found = list(as_records(rows, said))
    assert [(r["id"], r["prompt"], r["answer"]) for r in found] == [
        ("set-0", "1+1?", "2"), ("set-1", "1+2?", "3"), ("p", "1+3?", "4"),
    ]  # fmt: skip
    assert said.notes == [
        "2 records, first d/set.jsonl:2: the reference answer is what follows #### in 'solution'"
    ]


def answered(body: dict[str, Any], **line: Any) -> tuple[list[Record], list[str]]:
    """The completions in a batch's line with this body, and what is said."""
    problem = Record(id="a", prompt="1+1?", answer="2", meta={"prompts": {"source": "own"}})
    reader, said = Reader(requests={"a": problem}), Said()
    response = {"status_code": 200, "body": body}
    row = Record({"id": "b", "custom_id": "a", "response": response, "error": None, **line}, place="o:1")
    records = list(records_of([row], stem="o", reader=reader))
    reader.notes.tell(said)
    return records, said.notes


def test_a_batch_of_any_endpoint_is_joined_with_its_problem() -> None:
    old = {
        "model": "m",
        "choices": [{"text": "2", "finish_reason": "length"}],
        "usage": {"completion_tokens": 5},
    }
    part = {"type": "output_text", "text": "2"}
    items = [{"type": "reasoning", "summary": []}, {"type": "message", "content": [part]}]
    new = {"model": "m", "output": items, "status": "completed", "usage": {"output_tokens": 5}}
    for body, finish in ((old, "length"), (new, "stop")):
        (record,), _ = answered(body)
        assert (record["id"], record["group"], record["answer"]) == ("a#0", "a", "2")
        assert (record["completion"], record["finish"], record.place) == ("2", finish, "o:1")
        assert record["meta"] == {"prompts": {"source": "own"}, "generate": {"model": "m", "tokens": 5}}


@pytest.mark.parametrize(
    "line",
    [
        {"error": {"code": "batch_expired", "message": "late"}, "response": None},
        {"response": {"status_code": 429, "body": {"error": {"message": "slow down"}}}},
    ],
)
def test_requests_that_failed_are_counted_and_give_no_record(line: dict[str, Any]) -> None:
    assert answered({}, **line) == ([], ["1 record, first o:1: the request failed and has no completion"])


def test_a_batch_without_its_requests_names_the_option() -> None:
    row = Record({"custom_id": "a", "response": {"body": {}}}, place="o:1")
    with pytest.raises(BadInput, match=r"o:1: .*\('a'\); `r1 prompts FILE --requests INPUT` joins it"):
        list(as_records([row]))
    with pytest.raises(BadInput, match="the request 'a' is not in the file of requests"):
        list(records_of([row], stem="o", reader=Reader(requests={})))


def test_llama_factorys_calls_and_pairs_are_turns() -> None:
    call = {"name": "add", "arguments": {"a": 1, "b": 1}}
    turns = [
        {"from": "human", "value": "1+1?"},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1, "b": 1}}'},
        {"from": "observation", "value": "2"},
        {"from": "gpt", "value": "It is 2."},
    ]
    (record,), _ = read({"conversations": turns, "tools": "[]"})
    assert [turn["role"] for turn in record["prompt"]] == ["user", "assistant", "tool"]
    assert record["prompt"][1]["tool_calls"] == [{"type": "function", "function": call}]
    assert record["completion"] == "It is 2."
    pair = {"conversations": turns[:1], "chosen": turns[3], "rejected": {"from": "gpt", "value": "No."}}
    (record,), _ = read(pair)
    assert (record["prompt"], record["rejected"]) == ("1+1?", [{"role": "assistant", "content": "No."}])


def test_details_of_an_older_lighteval_are_read() -> None:
    row = {"full_prompt": "1+1?", "predictions": ["2"], "gold": ["2"], "metrics": {"em": 1.0}}
    (record,), _ = read(row)
    assert (record["id"], record["prompt"], record["answer"], record["completion"]) == (
        "f-0#0",
        "1+1?",
        "2",
        "2",
    )


def test_segments_that_are_learned_in_turns_are_refused() -> None:
    parts = [{"label": k % 2 == 1, "text": "x"} for k in range(4)]
    with pytest.raises(BadInput, match="segments are learned in turns"):
        read({"segments": parts})


def test_a_batch_needs_the_name_of_a_model_and_alpaca_a_question_last() -> None:
    with pytest.raises(UsageError, match="--to openai-batch needs --model NAME"):
        list(exported([Record(id="a", prompt="?")], "openai-batch"))
    turns = [{"role": "user", "content": "?"}, {"role": "tool", "content": "2"}]
    with pytest.raises(BadInput, match=r"with turns of user, tool; .*--to messages"):
        list(exported([Record(id="a", prompt=turns, completion="2")], "alpaca"))


def test_mmlu_as_it_is_scores_its_own_answers(data: Path) -> None:
    """Each letter of 3,018 questions, and each text of an option, is right where the data set says so."""
    rows = [json.loads(line) for line in (data / "knowledge/mmlu_stem.jsonl").read_text("utf-8").splitlines()]
    records, said = read(*rows)
    assert said[-1].startswith(f"{len(rows)} records, first f:1: 'answer' is a place among the options")
    for row, record in list(zip(rows, records, strict=True))[::100]:
        assert all(option.strip() in record["prompt"] for option in map(str, row["choices"]))
        for place, letter in enumerate("ABCD"):
            verdict = accuracy({**record, "completion": f"The answer is {letter}."})
            assert verdict.value == float(place == row["answer"])


def test_a_text_of_digits_is_a_place_where_the_base_is_said() -> None:
    row = {"question": "Half of 6?", "choices": ["1", "2", "3", "4"], "answer": "2"}
    assert read(row, base=0)[0][0]["answer"] == "C"
    assert read(row, base=1)[0][0]["answer"] == "B"
    assert read({**row, "answer": "4"}, base=0)[0][0]["answer"] == "D"  # no place from 0, but an option


def test_options_that_a_table_fills_up_with_null_are_none() -> None:
    (record,), _ = read({"question": "A prime?", "options": {"A": "4", "B": "7", "C": None}, "answer": "B"})
    assert record["prompt"] == "A prime?\nA. 4\nB. 7"
    assert record["choices"] == ["4", "7"]


def test_true_and_false_are_options_and_no_places() -> None:
    (record,), said = read({"question": "Is 7 prime?", "choices": ["false", "true"], "answer": True})
    assert (record["answer"], said) == ("B", [])


def test_a_mapping_wins_over_what_the_form_says() -> None:
    (talk,), _ = read(sharegpt("1+1?", "2"), pairs=("prompt=conversations.0.value",))
    assert talk["prompt"] == "1+1?"
    assert "completion" not in talk
    verl = {"prompt": "1+1?", "reward_model": {"ground_truth": "3"}, "extra_info": {"answer": "2", "id": "a"}}
    (row,), _ = read(verl, pairs=("answer=extra_info.answer", "id="))
    assert (row["answer"], row["id"]) == ("2", "f-0")


def test_ids_left_out_are_made_also_where_another_field_is_one() -> None:
    row = {"uuid": "u", "problem": "1+1?", "generation": "2"}
    records, _ = read(row, row, pairs=("id=",))
    assert [record["id"] for record in records] == ["f-0", "f-1"]
    assert [group_of(record) for record in records] == ["f-0", "f-0"]


def test_an_instruction_with_a_null_for_its_output_is_a_problem() -> None:
    (record,), _ = read({"instruction": "1+1?", "input": "", "output": None})
    assert record == {"id": "f-0", "prompt": "1+1?"}


def test_files_of_one_name_in_two_folders_have_other_ids() -> None:
    rows = [Record(sharegpt(f"1+{n}?", "2"), place=f"{n}/train.jsonl:1") for n in (1, 2)]
    assert [group_of(record) for record in as_records(rows)] == ["train-0", "train-1"]


def test_a_reference_is_looked_for_where_the_answer_is_null() -> None:
    row = Record({"id": "a", "prompt": "1+1?", "answer": None, "solution": "\\boxed{2}"}, place="f:1")
    assert [record["answer"] for record in as_records([row])] == ["2"]


def test_each_file_of_lm_eval_has_filters_of_its_own() -> None:
    def line(file: str, kept: str) -> Record:
        said: dict[str, Any] = {"doc_id": 0, "doc": {}, "target": "2", "resps": [["2"]], "filter": kept}
        return Record({**said, "arguments": [["1+1?", {}]]}, place=f"{file}.jsonl:1")

    lines = [line("gsm", "strict"), line("gsm", "flexible"), line("math", "none")]
    assert [record["id"] for record in as_records(lines)] == ["gsm-0#0", "math-0#0"]


def test_problems_whose_completions_stand_apart_are_not_written_twice() -> None:
    names = ("a#0", "b#0", "a#1")
    records = [Record({"id": name, "prompt": "1+1?", "completion": "2", "answer": "2"}) for name in names]
    for form in ("prompt", "verl", "openai-batch", "open-r1"):
        with pytest.raises(BadInput, match="r1 sort --by group"):
            list(exported(records, form, "m"))


def test_forms_of_one_text_refuse_a_completion_of_several_turns() -> None:
    said = [{"role": "assistant", "content": "Wait."}, {"role": "assistant", "content": "2"}]
    for form in ("alpaca", "open-r1"):
        with pytest.raises(BadInput, match="a completion of 2 turns"):
            list(exported([Record({"id": "a", "prompt": "1+1?", "completion": said})], form))


def test_options_stand_in_the_question_and_not_in_an_answer_that_is_begun() -> None:
    turns = [{"role": "user", "content": "A prime?"}, {"role": "assistant", "content": "It is"}]
    (record,), _ = read({"prompt": turns, "choices": ["4", "7"], "answer": 1})
    assert [turn["content"] for turn in record["prompt"]] == ["A prime?\nA. 4\nB. 7", "It is"]
