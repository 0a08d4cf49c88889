"""Problems that say nearly the same are dropped, whole, and the first of them is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.records.record import Record
from stages.runtime.errors import BadInput
from stages.selection.near_duplicates import WORD, Problems
from stages.selection.rules import select
from stages.settings.criteria import Selection

STORY = (
    "A baker sells {} loaves of bread in the morning and half as many in the afternoon, and each loaf "
    "costs three crowns more than a roll, of which he sells {} a day at two crowns each. What does he earn?"
)
WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=60)


def runs(text: str) -> set[str]:
    words = WORD.findall(text.lower())
    return {" ".join(words[k : k + 3]) for k in range(max(len(words) - 2, 1))}


def kept(records: list[Record], **options: object) -> tuple[list[str], list[str]]:
    dropped: list[str] = []
    selection = Selection(near_duplicates=0.8, **options)  # type: ignore[arg-type]
    left = [record["id"] for record in select(records, selection, lambda record, why: dropped.append(why))]
    return left, dropped


def completion(name: str, prompt: str, right: float = 1.0) -> Record:
    return Record(id=name, prompt=prompt, completion="x", rewards={"accuracy": right}, reward=right)


def test_all_completions_of_a_near_duplicate_are_dropped_and_none_of_the_first() -> None:
    one, other = STORY.format(40, 16), STORY.format(50, 16)
    likeness = len(runs(one) & runs(other)) / len(runs(one) | runs(other))
    assert likeness == pytest.approx(37 / 43)
    left, dropped = kept(
        [completion(f"{p}#{k}", text) for p, text in (("a", one), ("b", other)) for k in "01"]
    )
    assert left == ["a#0", "a#1"]
    assert len(dropped) == 2
    rule, _, value = dropped[0].partition(": ")
    assert (rule, value.partition(" ")[2]) == ("near-duplicate", "like problem 'a'")
    assert float(value.partition(" ")[0]) == pytest.approx(likeness, abs=0.1)


def test_problems_apart_from_each_other_are_told_apart_and_found_again() -> None:
    records = [completion("a#0", STORY.format(40, 16)), completion("b#0", "1+1?"), completion("a#1", "any")]
    assert kept(records)[0] == ["a#0", "b#0", "a#1"]
    assert kept([completion("a#0", "What is 3+4?"), completion("b#0", "What is 3*4?")])[0] == ["a#0", "b#0"]
    assert kept([completion("a#0", "What is 3+4?"), completion("b#0", "what is  3 + 4")])[0] == ["a#0"]


def test_a_problem_that_other_rules_drop_takes_none_with_it() -> None:
    records = [completion("a#0", STORY.format(1, 2), right=0.0), completion("b#0", STORY.format(1, 2))]
    assert kept(records, keep="correct")[0] == ["b#0"]
    assert kept(records, keep="best")[0] == ["a#0"]


def test_a_record_without_a_prompt_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'prompt' is missing"):
        kept([Record(id="a#0", completion="x")])


@settings(max_examples=50, deadline=None)
@given(WORDS, WORDS)
def test_the_estimate_is_near_the_overlap(one: list[str], other: list[str]) -> None:
    """Five standard errors of 120 minima, and equal texts for sure."""
    first, second = " ".join(one), " ".join(other)
    known = Problems(0.05)
    assert known.like(first, "first") is None
    exact = len(runs(first) & runs(second)) / len(runs(first) | runs(second))
    found = known.like(second, "second")
    error = 5 * (exact * (1 - exact) / 120) ** 0.5
    if found is not None:
        assert found == ("first", pytest.approx(exact, abs=error))
    else:
        assert exact - error < 0.05
    assert known.like(first, "again") == ("first", 1.0)


def test_it_finds_what_comparing_all_with_all_finds(data: Path) -> None:
    """On MATH's training problems, but for those within the error of the estimate."""
    rows = json.loads((data / "math" / "math_train.json").read_text())[:600]
    known, kept_runs, having = Problems(0.8), [], dict[str, list[int]]()
    for row in rows:
        found = known.like(row["problem"], str(len(kept_runs)))
        mine = runs(row["problem"])
        near = {n for run in mine for n in having.get(run, ())}
        exact = max((len(mine & kept_runs[n]) / len(mine | kept_runs[n]) for n in near), default=0.0)
        assert exact >= 0.65 if found else exact < 0.93
        if found is None:
            for run in mine:
                having.setdefault(run, []).append(len(kept_runs))
            kept_runs.append(mine)
