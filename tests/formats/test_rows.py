"""Each format of the ecosystem becomes the record it means."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.formats.export import exported
from stages.formats.mapping import mapped, parse_mapping
from stages.formats.rows import Reader, records_of
from stages.formats.tables import read_rows, stem_of, write_parquet
from stages.records.jsonl import encode
from stages.records.notes import Notes
from stages.records.record import Record
from stages.records.references import last_boxed
from stages.records.where import Where
from stages.runtime.errors import BadInput, StreamError, UsageError

USER = {"role": "user", "content": "1+1?"}
SYSTEM = {"role": "system", "content": "Be brief."}
ANSWER = {"role": "assistant", "content": "2"}


def one(**row: Any) -> dict[str, Any]:
    (record,) = Reader().records(Record(row), "made-0")
    return dict(record)


def test_a_record_passes_through() -> None:
    row = {"id": "a#1", "prompt": "1+1?", "answer": "2", "completion": "2", "mine": [1]}
    assert one(**row) == row


def test_numbers_as_answers_are_written_out() -> None:
    assert one(prompt="?", answer=26.0)["answer"] == "26"
    assert one(prompt="?", answer=1.84)["answer"] == "1.84"
    assert one(prompt="?", answer=7)["answer"] == "7"


def test_messages_split_at_the_last_answer() -> None:
    assert one(messages=[USER, ANSWER]) == {"id": "made-0", "prompt": "1+1?", "completion": "2"}
    assert one(messages=[SYSTEM, USER, ANSWER])["prompt"] == [SYSTEM, USER]
    assert one(messages=[USER, ANSWER, USER])["prompt"] == [USER, ANSWER, USER]
    assert "completion" not in one(messages=[USER])


def test_a_field_mapped_to_nothing_is_left_out_also_where_the_form_makes_it() -> None:
    row = Record(id="a", messages=[USER, ANSWER], mine=1)
    (record,) = Reader({"completion": "", "id": ""}).records(row, "b")
    assert record == {"id": "b", "prompt": "1+1?", "mine": 1}


def test_trl_conversations_in_prompt_and_completion() -> None:
    made = one(prompt=[USER], completion=[ANSWER])
    assert (made["prompt"], made["completion"]) == ([USER], "2")


def test_sharegpt() -> None:
    turns = [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}]
    assert one(conversations=turns) == {"id": "made-0", "prompt": "1+1?", "completion": "2"}
    assert one(conversations=turns, system="Be brief.")["prompt"] == [SYSTEM, USER]


def test_openr1_gives_one_record_for_each_generation() -> None:
    row = Record(
        uuid="u",
        problem="1+1?",
        answer="2",
        generations=["a", "b"],
        finish_reasons=["stop", "length"],
        correctness_math_verify=[True, False],
        messages=[USER, ANSWER],
    )
    first, second = Reader().records(row, "made-0")
    assert (first["id"], first["group"], first["sample"]) == ("u#0", "u", 0)
    assert (second["completion"], second["finish"]) == ("b", "length")
    assert (first["correctness_math_verify"], second["correctness_math_verify"]) == (True, False)
    assert first["prompt"] == second["prompt"] == "1+1?"


def test_a_problem_without_generations_stays_a_problem() -> None:
    assert one(problem="1+1?", answer="2", generations=None) == {
        "id": "made-0",
        "prompt": "1+1?",
        "answer": "2",
    }


def test_verl() -> None:
    made = one(
        data_source="gsm8k",
        prompt=[USER],
        reward_model={"style": "rule", "ground_truth": "2"},
        extra_info={"index": 3},
    )
    assert (made["prompt"], made["answer"], made["data_source"]) == ("1+1?", "2", "gsm8k")


def test_gsm8k_answers_are_what_follows_the_marks() -> None:
    made = one(question="1+1?", answer="1+1 = 2\n#### 2")
    assert (made["answer"], made["solution"]) == ("2", "1+1 = 2")


def test_math_answers_come_from_the_last_box() -> None:
    assert one(problem="?", solution=r"\boxed{1}, so \boxed{\frac{1}{2}}")["answer"] == r"\frac{1}{2}"
    assert last_boxed("none") is None
    assert last_boxed(r"\boxed{open") is None


def test_alpaca() -> None:
    made = one(instruction="Add.", input="1+1", output="2")
    assert (made["prompt"], made["completion"]) == ("Add.\n\n1+1", "2")


def test_an_unknown_row_says_which_fields_it_has() -> None:
    with pytest.raises(BadInput, match=r"its fields are text, label; .*--map prompt=FIELD"):
        one(text="a", label=1)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": []},
        {"messages": [ANSWER]},
        {"messages": [{"role": "user", "content": None}]},
        {"conversations": [{"from": "nobody", "value": "x"}]},
        {"prompt": 3},
        {"problem": "?", "generations": [None]},
        {"prompt": [USER], "completion": [ANSWER, USER]},
    ],
)
def test_a_row_that_breaks_its_format_is_bad_input(row: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        one(**row)


def test_mapping_takes_fields_paths_and_texts() -> None:
    row = Record(Body="A.", Question="B?", meta={"target": 26.0}, keep=1)
    made = mapped(row, parse_mapping(["prompt={Body} {Question}", "answer=meta.target"]))
    assert made == {"prompt": "A. B?", "answer": 26.0, "meta": {"target": 26.0}, "keep": 1}


def test_a_mapping_of_a_missing_field_names_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"no field 'b\.c'; it has a"):
        mapped(Record(a=1), {"prompt": "b.c"})
    with pytest.raises(UsageError, match="FIELD=SOURCE"):
        parse_mapping(["prompt"])


def test_ids_are_made_where_there_are_none() -> None:
    rows = [Record(question="a", answer="1"), Record(question="b", answer="2", id="own")]
    assert [each["id"] for each in records_of(rows, stem="set")] == ["set-0", "own"]


def test_an_id_that_came_before_is_refused_with_a_remedy() -> None:
    rows = [Record(id="a", prompt="1"), Record(id="a", prompt="2", place="f:2")]
    with pytest.raises(BadInput, match=r"f:2: id 'a' came before; .*--map id="):
        list(records_of(rows, stem="set"))
    remade = records_of(rows, stem="set", reader=Reader({"id": ""}))
    assert [each["id"] for each in remade] == ["set-0", "set-1"]


ROWS = [{"prompt": "a", "answer": "1"}, {"prompt": 'b, "c"\nd', "answer": "é漢"}]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.jsonl.gz", "x.csv", "x.parquet", "x.zst"])
def test_a_table_reads_the_same_from_any_kind_of_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    if name == "x.json":
        path.write_text(json.dumps(ROWS, indent=1), "utf-8")
    elif name == "x.csv":
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["prompt", "answer"])
            writer.writeheader()
            writer.writerows(ROWS)
    elif name == "x.parquet":
        pytest.importorskip("pyarrow")
        write_parquet(path, ROWS)
    elif name == "x.zst":
        path.write_bytes(pytest.importorskip("zstandard").compress(lines))
    else:
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    rows = list(read_rows(str(path)))
    assert rows == ROWS
    assert all(row.place.startswith(str(path)) for row in rows)


def test_a_tsv_quotes_nothing_and_can_lack_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('He said "12\t12\n', "utf-8")
    (row,) = read_rows(str(path), columns=["question", "answer"])
    assert (row, row.place) == ({"question": 'He said "12', "answer": "12"}, f"{path}:1")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", b"a,b\n1\n", r"x.csv:2: 1 columns, expected 2 \(a, b\)"),
        ("x.csv", b"a\n\xff\n", "not UTF-8"),
        ("x.json", b'[{"a":1},\n 2]', r"x.json\[2\]: a number, not an object"),
        ("x.json", b'[{"a":1},\n', "x.json:2: not JSON"),
        ("x.jsonl", b'{"a":1}\n{', "x.jsonl:2: not JSON"),
        ("x.parquet", b"no", "x.parquet: not parquet"),
    ],
)
def test_what_cannot_be_read_names_its_place(name: str, text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(BadInput, match=message):
        list(read_rows(str(tmp_path / name)))


def test_a_missing_file_is_a_stream_error(tmp_path: Path) -> None:
    for name in ("no.jsonl", "no.parquet"):
        with pytest.raises(StreamError, match="cannot read"):
            list(read_rows(str(tmp_path / name)))


def test_stems() -> None:
    assert [stem_of(path) for path in ("a/b.jsonl.gz", "-", ".hidden")] == ["b", "stdin", "row"]


WITH_COMPLETIONS = ("messages", "prompt-completion", "sharegpt", "alpaca")
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
TURNS = st.lists(TEXT, min_size=1, max_size=3).map(
    lambda texts: [
        {"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(texts)
    ]
)


@given(
    prompt=TEXT | TURNS.filter(lambda turns: turns[-1]["role"] == "user" and len(turns) > 1),
    completion=TEXT,
    form=st.sampled_from(WITH_COMPLETIONS),
)
def test_what_is_exported_reads_back_the_same(prompt: Any, completion: str, form: str) -> None:
    record = Record(id="a#0", prompt=prompt, completion=completion)
    (row,) = exported([record], form)
    assert list(records_of([row], stem="x")) == [record]


def test_an_export_holds_what_the_template_had_opened() -> None:
    record = Record(id="a", prompt="p", prefill="<think>\n", completion="x</think>\n\ny")
    (row,) = exported([record], "messages")
    assert row["messages"][1]["content"] == "<think>\nx</think>\n\ny"


def test_verl_gets_each_problem_once() -> None:
    completions = [
        Record(id=f"a#{k}", group="a", prompt="1+1?", answer="2", completion=str(k)) for k in range(3)
    ]
    (row,) = exported(completions, "verl")
    assert row["reward_model"] == {"style": "rule", "ground_truth": "2"}
    (back,) = records_of([row], stem="x")
    assert (back["prompt"], back["answer"]) == ("1+1?", "2")
    with pytest.raises(BadInput, match="verl scores by ground_truth"):
        list(exported([Record(id="a", prompt="p")], "verl"))


def test_a_column_of_two_types_is_refused_with_the_row_that_differs(tmp_path: Path) -> None:
    rows = [Record({"id": str(n), "x": x}, place=f"in:{n}") for n, x in enumerate((1, 2, "y", 3), 1)]
    with pytest.raises(BadInput, match="not of the type that the rows before have") as caught:
        write_parquet(tmp_path / "out.parquet", rows)
    assert caught.value.place == "in:3"
    assert not list(tmp_path.iterdir())


def test_scored_completions_become_the_pair_of_the_best_and_the_worst() -> None:
    rewards = {"a": [0.5, 0.9, None, 0.1], "b": [0.5, 0.5], "c": [0.5, 0.6], "d": [None, 1.0]}
    records = [
        Record(id=f"{p}#{k}", group=p, prompt="1+1?", completion=f"{p}{k}", prefill="<think>", reward=value)
        for p, values in rewards.items()
        for k, value in enumerate(values)
    ]
    notes = Notes()
    rows = list(exported(records, "preference", notes=notes, margin=0.25))
    assert rows == [
        {"id": "a", "prompt": "1+1?", "chosen": "<think>a1", "rejected": "<think>a3", "score_chosen": 0.9,
        "score_rejected": 0.1}
    ]  # fmt: skip
    assert [row["id"] for row in exported(records, "preference")] == ["a", "c"]
    [(said, (count, first))] = notes.found.items()
    assert (count, first) == (3, "record b#0")
    assert said == "no two completions of the problem have rewards that differ by 0.25 or more"
    talk = [{"role": "assistant", "content": "2"}]
    two = [Record(id="a#0", prompt="1+1?", completion=talk, reward=1), Record(id="a#1", prompt="1+1?",
    completion="3", reward=0)]  # fmt: skip
    [row] = exported(two, "preference")
    assert row["prompt"] == [{"role": "user", "content": "1+1?"}]
    assert (row["chosen"], row["rejected"]) == (talk, [{"role": "assistant", "content": "3"}])
    with pytest.raises(BadInput, match="'reward' is missing; it takes scored completions"):
        list(exported([Record(id="a", prompt="1", completion="2")], "preference"))


@pytest.mark.parametrize(
    ("answer", "base", "remedy"),
    [
        (-1, None, "`r1 filter --where 'answer != -1' FILE` leaves such rows out"),
        (-1, 1, "`r1 filter --where 'answer != -1' FILE` leaves such rows out"),
        (7, None, "`r1 filter --where 'answer != 7' FILE` leaves such rows out"),
        ([7], None, "`r1 filter --where 'answer != [7]' FILE` leaves such rows out"),
        ("7", None, "`r1 filter --where 'answer != \"7\"' FILE` leaves such rows out"),
        (2, None, "`r1 prompts FILE --index-base 1` counts from 1"),
        (0, 1, "`r1 prompts FILE --index-base 0` counts from 0"),
        ("2", None, "`r1 prompts FILE --index-base 0` or 1 says where places begin"),
    ],
)
def test_what_to_do_about_a_place_that_is_none_is_true(answer: Any, base: int | None, remedy: str) -> None:
    row = Record(question="Which?", choices=["x", "y"], answer=answer)
    with pytest.raises(BadInput) as told:
        list(Reader(index_base=base).records(row, "a"))
    assert str(told.value).endswith(remedy)
    if "--where" in remedy:
        assert not Where(remedy.split("'")[1])(row)
    else:
        other = 1 if answer in (2, "2") else 0
        (made,) = Reader(index_base=other).records(row, "a")
        assert made["answer"] in "AB"


@pytest.mark.parametrize("choices", [[str(k) for k in range(27)], ["one"], ["a", None], [["a"], ["b"]]])
def test_options_that_no_letter_can_name_are_counted(choices: list[Any]) -> None:
    reader = Reader()
    (made,) = reader.records(Record(question="Which?", choices=choices, answer=0), "a")
    assert (made["prompt"], made["answer"]) == ("Which?", "0")
    assert [what for what in reader.notes.found if what.startswith("its options are not 2 to 26 texts")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "id;prompt\na;q\n", "it is separated by ';': save it with commas, or as .tsv with tabs"),
        (
            "a.csv",
            "id,prompt\na\n",
            "give each row as many, and quote a field that holds the separator",
        ),
        ("a.csv", 'id,prompt\na,"q\n', "close each quotation mark, and double one that is text"),
        ("a.jsonl", '{"id":"a","prompt":"q","n":NaN}\n', "JSON has no NaN: write null"),
        ("a.jsonl", '{"id":"a","prompt":"q","n":-Infinity}\n', "JSON has no -Infinity: write null"),
    ],
)
def test_what_a_table_says_wrongly_has_a_remedy(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput) as told:
        list(read_rows(str(tmp_path / name)))
    assert said in str(told.value)
    (tmp_path / name).write_bytes('{"prompt":"é"}\n'.encode("latin-1"))
    with pytest.raises(BadInput, match="save it as UTF-8"):
        list(read_rows(str(tmp_path / name)))


def test_values_of_parquet_that_json_has_not_are_read_or_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def read(**columns: Any) -> list[dict[str, Any]]:
        table = pyarrow.table({"id": ["a"], "prompt": ["q"], **columns})
        parquet.write_table(table, tmp_path / "a.parquet")
        return [json.loads(encode(row)) for row in read_rows(str(tmp_path / "a.parquet"))]

    (row,) = read(
        day=[datetime.date(2020, 1, 2)],
        at=[datetime.datetime(2020, 1, 2, 3)],
        exact=[decimal.Decimal("1.50")],
        text=[b"words"],
        missing=[float("nan")],
        inside=[{"each": [decimal.Decimal("2.5")]}],
    )
    assert row == {
        "id": "a", "prompt": "q", "day": "2020-01-02", "at": "2020-01-02T03:00:00", "exact": "1.50",
        "text": "words", "missing": None, "inside": {"each": ["2.5"]},
    }  # fmt: skip
    for value, said in (([b"\xff"], "bytes that are no text"), ([float("inf")], "infinity")):
        with pytest.raises(BadInput, match=said):
            read(odd=value)
    parquet.write_table(pyarrow.table({"id": pyarrow.array([], pyarrow.string())}), tmp_path / "none.parquet")
    assert list(read_rows(str(tmp_path / "none.parquet"))) == []
