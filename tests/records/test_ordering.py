"""Sorting keeps every record, in bounded memory, and equals in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import sort
from stages.records import ordering
from stages.records.groups import groups
from stages.records.record import Record
from stages.runtime.errors import BadInput, StreamError, UsageError


def ids(records: Iterator[Record] | list[Record]) -> list[Any]:
    return [record["id"] for record in records]


def scored(name: str, accuracy: float | None) -> Record:
    return Record(id=name, completion="x", rewards={"accuracy": accuracy})


SCORED = [
    scored("hard#0", 0.0), scored("easy#0", 1.0), scored("null#0", None), scored("even#0", 1.0),
    scored("easy#1", 1.0), scored("hard#1", 0.0), scored("even#1", 0.0), scored("null#1", None),
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5)), st.booleans(), st.sampled_from([1, 900, 1 << 20]), st.integers(2, 3))
def test_it_is_a_stable_sort_whatever_fits_in_memory(
    keys: list[int], reverse: bool, memory: int, pieces: int
) -> None:
    keyed = [([key], Record(id=k, place_value=key, place=f"f:{k}")) for k, key in enumerate(keys)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "PIECES", pieces)
        found = list(ordering.in_order(iter(keyed), memory, reverse=reverse))
    wanted = sorted(keyed, key=lambda pair: pair[0], reverse=reverse)
    assert found == wanted
    assert [record.place for _, record in found] == [record.place for _, record in wanted]


def test_by_group_lets_filter_stream() -> None:
    found = list(sort.run(SCORED))
    assert ids(found) == ["easy#0", "easy#1", "even#0", "even#1", "hard#0", "hard#1", "null#0", "null#1"]
    assert [len(batch) for batch in groups(found)] == [2, 2, 2, 2]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, SCORED))


def test_by_difficulty_the_easy_come_first_and_the_unjudged_last() -> None:
    easy, even, hard, null = ([f"{n}#0", f"{n}#1"] for n in ("easy", "even", "hard", "null"))
    assert ids(sort.run(SCORED, by="difficulty")) == [*easy, *even, *hard, *null]
    assert ids(sort.run(SCORED, by="difficulty", reverse=True)) == [*hard, *even, *easy, *null]
    with pytest.raises(BadInput, match="run r1 score --reward format first"):
        list(sort.run(SCORED, by="difficulty", reward_name=("format",)))


def test_by_a_field_numbers_come_before_texts_and_nothing_last() -> None:
    values: list[Any] = ["b", None, 10, 9.5, "a", True, 2**70]
    records = [Record(id=str(k), meta={"x": value}) for k, value in enumerate(values)] + [Record(id="none")]
    assert "".join(ids(sort.run(records, by="meta.x"))).replace("none", "-") == "5326401-"
    assert "".join(ids(sort.run(records, by="meta.x", reverse=True))).replace("none", "-") == "0462351-"
    with pytest.raises(BadInput, match=r"field 'meta' is an object; give --by"):
        list(sort.run(records, by="meta"))
    with pytest.raises(UsageError, match=r"--by 'a\.'"):
        list(sort.run(records, by="a."))
    with pytest.raises(UsageError, match=r"--by meta\.y: no record has that field; they have id, meta"):
        list(sort.run(records, by="meta.y"))


def test_a_full_disk_is_a_write_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    records = [Record(id=str(k), text="x" * 1000) for k in range(1500)]
    with pytest.raises(StreamError, match=r"cannot write to .*missing.*set TMPDIR"):
        list(sort.run(records, memory=1))
