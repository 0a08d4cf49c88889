"""`r1 prompts` and `r1 export`, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages import export, prompts
from stages.records.record import Record


def lines(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_problems_come_out_with_where_they_are_from(r1: Any, tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("Body,Question,Answer\nTom has 2.,How many?,2\nAnn has 3.,How many?,3.0\n")
    done = r1("prompts", path, "--map", "prompt={Body} {Question}", "--map", "answer=Answer", "--skip", 1)
    assert done.returncode == 0, done.stderr
    (record,) = lines(done.stdout)
    assert (record["id"], record["prompt"]) == ("words-1", "Ann has 3. How many?")
    assert record["meta"]["prompts"]["source"] == str(path)
    assert b"1 problems" in done.stderr


def test_rows_can_come_through_a_pipe(r1: Any) -> None:
    done = r1("prompts", "-", input=b'{"question":"1+1?","answer":"#### 2"}\n')
    assert [record["answer"] for record in lines(done.stdout)] == ["2"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gms8k"], 2, b"did you mean gsm8k"),
        (["none.jsonl"], 74, b"no such file"),
        (["sums", "--set", "digit=3"], 2, b"did you mean digits"),
        (["gsm8k", "--split", "dev"], 2, b"no split 'dev'"),
    ],
)
def test_what_cannot_be_had_ends_with_its_exit_code(
    r1: Any, arguments: list[str], code: int, message: bytes
) -> None:
    done = r1("prompts", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert not done.stdout


def test_a_row_in_no_known_format_is_bad_input(r1: Any) -> None:
    done = r1("prompts", "-", input=b'{"text":"a"}\n')
    assert done.returncode == 65
    assert b"stdin:1: in no known format" in done.stderr


def test_problems_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt":"first"}\nnot json\n')
    problems = prompts.run(str(path))
    assert next(problems)["prompt"] == "first"


def test_an_export_can_leave_a_parquet_file(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    records = [Record(id=f"a{i}", prompt=f"{i}+1?", answer=str(i + 1)) for i in range(3)]
    rows = list(export.run(records, to="verl", parquet=tmp_path / "train.parquet"))
    assert parquet.read_table(tmp_path / "train.parquet").to_pylist() == rows
    again = list(prompts.run(str(tmp_path / "train.parquet")))
    assert [(each["prompt"], each["answer"]) for each in again] == [
        (each["prompt"], each["answer"]) for each in records
    ]
