"""Filtering keeps what its rules say, in order, and says why it drops the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import filter as stage
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.selection.rules import select
from stages.settings.criteria import Selection


def scored(name: str, accuracy: float | None, completion: str = "", **fields: Any) -> Record:
    rewards = {"accuracy": accuracy}
    return Record(id=name, completion=completion, rewards=rewards, reward=accuracy, **fields)


GROUPS = [
    scored("a#0", 1.0, "aaaa"),
    scored("a#1", 0.0, "b"),
    scored("a#2", 1.0, "cc"),
    scored("a#3", None, "d"),
    scored("b#0", 0.0, "e"),
    scored("b#1", 0.0, "f"),
    scored("c#0", 1.0, "g"),
    scored("c#1", 1.0, "G!"),
]


def kept(records: list[Record], **options: Any) -> tuple[list[str], dict[str, str]]:
    dropped: dict[str, str] = {}
    selection = Selection(**options)
    left = list(select(records, selection, lambda r, why: dropped.update({r["id"]: why})))
    assert len(left) + len(dropped) == len(records)
    return [record["id"] for record in left], dropped


def test_all_is_kept_where_nothing_is_asked() -> None:
    assert kept(GROUPS) == ([record["id"] for record in GROUPS], {})


def test_only_the_correct_are_kept_and_null_is_not_correct() -> None:
    ids, dropped = kept(GROUPS, keep="correct")
    assert ids == ["a#0", "a#2", "c#0", "c#1"]
    assert dropped["a#1"] == "incorrect: accuracy is 0"
    assert dropped["a#3"] == "null: accuracy could not be judged"


def test_shortest_is_the_shortest_correct_and_best_the_first_of_the_highest() -> None:
    assert kept(GROUPS, keep="shortest")[0] == ["a#2", "c#0"]
    assert kept(GROUPS, keep="best")[0] == ["a#0", "b#0", "c#0"]


def test_length_is_tokens_where_they_are_known() -> None:
    records = [
        scored("a#0", 1.0, "a", completion_ids=[1, 2, 3]),
        scored("a#1", 1.0, "abcdefg", completion_ids=[1]),
    ]
    assert kept(records, keep="shortest")[0] == ["a#1"]
    assert kept(records, max_length=2)[1] == {"a#0": "long: 3 is above 2"}
    assert kept(records, min_length=2)[1] == {"a#1": "short: 1 is below 2"}


def test_a_pass_rate_counts_what_could_be_judged() -> None:
    assert kept(GROUPS, min_pass=0.66, max_pass=0.7)[0] == ["a#0", "a#1", "a#2", "a#3"]
    dropped = kept(GROUPS, min_pass=0.1, max_pass=0.9)[1]
    assert dropped["b#0"] == "too hard: 0 of 2 correct"
    assert dropped["c#1"] == "too easy: 2 of 2 correct"
    only_null = [scored("a#0", None)]
    assert kept(only_null, max_pass=1.0)[1]["a#0"].startswith("null: no completion")


def test_the_pass_rate_is_that_of_the_whole_group() -> None:
    assert kept(GROUPS, keep="correct", max_pass=0.9)[0] == ["a#0", "a#2"]


def test_a_group_has_a_most() -> None:
    assert kept(GROUPS, max_per_group=1)[0] == ["a#0", "b#0", "c#0"]
    assert kept(GROUPS, keep="correct", max_per_group=1)[0] == ["a#0", "c#0"]
    assert kept(GROUPS, keep="shortest", max_per_group=2)[0] == ["a#0", "a#2", "c#0", "c#1"]


def test_duplicates_are_dropped_within_a_problem() -> None:
    records = [
        scored("a#0", 1.0, "It is 7."),
        scored("a#1", 1.0, "it  is 7"),
        scored("b#0", 1.0, "It is 7."),
        scored("b#1", 1.0, "It is 7."),
    ]
    assert kept(records, dedup="exact")[0] == ["a#0", "a#1", "b#0"]
    assert kept(records, dedup="normalised")[0] == ["a#0", "b#0"]


def test_mixed_code_heavy_and_overlong_chains_are_dropped() -> None:
    records = [
        scored("a#0", 1.0, "we add 三加四", prompt="What is three and four?"),
        scored("b#0", 1.0, "we add ```x = 3 + 4```", prompt="What is three and four?"),
        scored("c#0", 1.0, "we add and we add and we add", prompt="What is three and four?"),
        scored("d#0", 1.0, "3+4=7"),
    ]
    ids, dropped = kept(records, max_mixing=0.1, max_code=0.5, max_paragraph=7)
    assert ids == ["d#0"]
    assert dropped["a#0"] == "mixing: 0.6 is above 0.1"
    assert dropped["b#0"].startswith("code: 0.68")
    assert dropped["c#0"] == "paragraph: 8 is above 7"


def test_where_may_look_at_any_field() -> None:
    assert kept(GROUPS, where='rewards.accuracy == 1 and id != "c#0"')[0] == ["a#0", "a#2", "c#1"]


def test_a_group_in_pieces_is_bad_input_where_groups_matter() -> None:
    pieces = [GROUPS[0], GROUPS[4], GROUPS[1]]
    assert len(kept(pieces, keep="correct")[0]) == 1
    for options in ({"keep": "best"}, {"dedup": "exact"}, {"min_pass": 0.5}, {"max_per_group": 1}):
        with pytest.raises(BadInput, match="problem 'a' has records apart"):
            kept(pieces, **options)


def test_a_record_that_was_not_scored_is_bad_input() -> None:
    with pytest.raises(BadInput, match="no reward 'accuracy'; run r1 score --reward accuracy"):
        kept([Record(id="a", completion="")], keep="correct")
    with pytest.raises(BadInput, match="run r1 score first"):
        kept([Record(id="a", completion="")], keep="best")


@pytest.mark.parametrize(
    "options",
    [
        {"min_pass": 1.5},
        {"max_mixing": -0.1},
        {"max_per_group": 0},
        {"min_pass": 0.9, "max_pass": 0.1},
        {"min_length": 9, "max_length": 1},
        {"where": "1 +"},
    ],
)
def test_rules_that_make_no_sense_are_usage_errors(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        kept(GROUPS, **options)


def test_one_record_rules_stream() -> None:
    taken = []

    def source() -> Iterator[Record]:
        for record in GROUPS:
            taken.append(record["id"])
            yield record

    selection = Selection(keep="correct", dedup="none", where="true")
    next(select(source(), selection, lambda record, why: None))
    assert taken == ["a#0"]


def test_one_problem_is_held_and_no_more() -> None:
    taken = []

    def source() -> Iterator[Record]:
        for record in GROUPS:
            taken.append(record["id"])
            yield record

    next(select(source(), Selection(keep="best"), lambda record, why: None))
    assert taken == ["a#0", "a#1", "a#2", "a#3", "b#0"]


class Notes:
    """A report that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, total: int | None, unit: str) -> None: ...

    def advance(self, steps: int = 1, **fields: float | str) -> None: ...

    def note(self, message: str) -> None:
        self.said.append(message)

    def summary(self, message: str) -> None:
        self.said.append(message)

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None: ...


def test_what_is_dropped_is_written_counted_and_said(tmp_path: Path) -> None:
    notes, rejects = Notes(), tmp_path / "rejects.jsonl"
    selection = Selection(keep="correct")
    left = list(stage.run(GROUPS, selection=selection, rejects=rejects, report=notes))
    assert left[0]["meta"]["filter"]["keep"] == "correct"
    dropped = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [record["id"] for record in dropped] == ["a#1", "a#3", "b#0", "b#1"]
    assert dropped[0] == {**GROUPS[1], "dropped": "incorrect: accuracy is 0"}
    assert notes.said == [
        "dropped: 3 incorrect, 1 null",
        "kept 4 of 8 (50.0 %), 3 groups -> 2, 1 could not be judged",
    ]


def test_an_empty_stream_is_no_error() -> None:
    assert list(stage.run([], selection=Selection(keep="best", where="reward > 1"))) == []


RECORDS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0, None]), st.text("xy", max_size=3)),
    max_size=12,
).map(
    lambda rows: [
        scored(f"{group}#{k}", value, text, group=group)
        for k, (group, value, text) in enumerate(sorted(rows, key=lambda row: row[0]))
    ]
)


@given(
    RECORDS,
    st.sampled_from(["all", "correct", "best", "shortest"]),
    st.sampled_from(["none", "exact", "normalised"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 0.3]),
)
def test_each_record_is_kept_or_rejected_once_and_the_order_stays(
    records: list[Record], keep: str, dedup: str, most: int | None, least: float | None
) -> None:
    ids, _ = kept(records, keep=keep, dedup=dedup, max_per_group=most, min_pass=least)
    order = [record["id"] for record in records]
    assert ids == sorted(ids, key=order.index)
    if most is not None or keep in ("best", "shortest"):
        for group in "abc":
            assert sum(name.startswith(group) for name in ids) <= (most or 1)
