"""docs/data.md is true: each example becomes the record beside it, and the stages that can use it do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages import filter as filter_stage
from stages import score
from stages.formats.export import FORMS, exported
from stages.formats.foreign import as_records
from stages.formats.rows import Reader, records_of
from stages.records import templates
from stages.records.jsonl import encode
from stages.records.record import Record
from stages.runtime.errors import BadInput
from stages.settings.criteria import Selection
from stages.training.sft.lessons import lessons

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text("utf-8")
BLOCK = re.compile(r"^### (.+?)$|^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def values(text: str) -> list[dict[str, Any]]:
    """The JSON values of a block, one after the other."""
    found, at = [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = json.JSONDecoder().raw_decode(text, at)
        found.append(value)
    return found


def examples() -> list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]]:
    """The page's pairs of blocks under their heading: rows, and the records that they become."""
    made, name, rows = [], "", None
    for match in BLOCK.finditer(PAGE):
        if match[1]:
            name, rows = match[1], None
        elif rows is None:
            rows = values(match[2])
        else:
            made.append((name, rows, values(match[2])))
            rows, name = None, f"{name} output"
    return made


EXAMPLES = examples()
each = pytest.mark.parametrize(("name", "rows", "records"), EXAMPLES, ids=[name for name, *_ in EXAMPLES])


def read(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of an example; those of a batch's output with the problems of its input."""
    problems = {record["id"]: Record(record) for _, _, made in EXAMPLES for record in made}
    answered = any("response" in row for row in rows)
    reader = Reader(requests=problems if answered else None)
    return [dict(record) for record in records_of(map(Record, rows), stem="own", reader=reader)]


@each
def test_each_example_becomes_the_records_beside_it(
    name: str, rows: list[dict[str, Any]], records: list[dict[str, Any]]
) -> None:
    assert read(rows) == records


@each
def test_the_stages_use_what_is_read(
    name: str, rows: list[dict[str, Any]], records: list[dict[str, Any]]
) -> None:
    """Problems are rendered; completions are filtered, scored where they have a reference, and learned."""
    given = [Record(row, place=f"own.jsonl:{n}") for n, row in enumerate(rows, 1)]
    if not name.endswith("output"):
        direct = [(held["prompt"], held.get("answer")) for held in as_records(given)]
        assert direct == [(record["prompt"], record.get("answer")) for record in records]
    done = [Record(record) for record in records if "completion" in record]
    for record in records:
        assert templates.load("none").render(record).text
    kept = list(filter_stage.run(done, selection=Selection(min_length=1, dedup="exact")))
    assert len(kept) == len(done)
    for scored in score.run(record for record in done if "answer" in record):
        assert scored["reward"] == float(scored["completion"].endswith(scored["answer"]))
    assert len([lesson for record in done for lesson in lessons(record)]) == len(done)


def test_the_table_names_every_form_that_is_written() -> None:
    table = PAGE.partition("|---")[2].partition("\n\n")[0]
    written = set(re.findall(r"`([a-z0-9-]+)`", table)) - {"completion"}
    assert {*FORMS, "open-r1"} <= written


@pytest.mark.parametrize("form", ["prompt", "openai-batch", "verl", "openai", "open-r1"])
def test_problems_that_are_exported_come_back_with_their_reference(form: str) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+2?"}]
    problems = [Record(id="a", prompt="1+1?", answer="2"), Record(id="b", prompt=turns, answer="3")]
    if form == "open-r1":
        del problems[1]
    rows = list(exported(problems, form, "m"))
    back = list(records_of(rows, stem="x"))
    assert [record["prompt"] for record in back] == [record["prompt"] for record in problems]
    if form != "openai-batch":  # joined by --requests
        assert [record["answer"] for record in back] == [record["answer"] for record in problems]
    if form != "openai":
        assert [record["id"] for record in back] == [record["id"] for record in problems]


def test_completions_that_are_exported_to_open_r1_come_back() -> None:
    made = [
        Record(id=f"{g}#{k}", group=g, sample=k, prompt=f"{g}?", answer="2", completion=f"{k}", finish="stop")
        for g in "ab" for k in range(3)
    ]  # fmt: skip
    rows = list(exported(made, "open-r1"))
    assert [len(row["generations"]) for row in rows] == [3, 3]
    back = list(records_of(rows, stem="x"))
    assert [{key: record[key] for key in made[0]} for record in back] == [dict(record) for record in made]


ODD = (None, True, 7, -1.5, "", "x", [], {}, [1], ["x"], [[]], [{}], {"role": "user"}, {"x": None})


def broken(value: Any) -> Iterator[Any]:
    """The value with each of its parts, one after the other, replaced by each odd value, and left out."""
    for inside in value.items() if isinstance(value, dict) else enumerate(value):
        key, part = inside
        others = {k: v for k, v in value.items() if k != key} if isinstance(value, dict) else []
        if isinstance(value, dict):
            yield others
        for odd in [*ODD, *(broken(part) if isinstance(part, (dict, list)) else ())]:
            if isinstance(value, dict):
                yield {**value, key: odd}
            else:
                yield [*value[:key], odd, *value[key + 1 :]]


@each
def test_a_row_that_breaks_its_form_is_bad_input_and_never_a_bug(
    name: str, rows: list[dict[str, Any]], records: list[dict[str, Any]]
) -> None:
    read_well = refused = 0
    for row in rows:
        for odd in broken(row):
            try:
                made = read([odd])
                if not name.endswith("output"):
                    made += as_records([Record(odd, place="f:1")])
            except BadInput:
                refused += 1
            else:
                assert all(encode(record) for record in made)
                read_well += 1
    assert read_well
    assert refused
