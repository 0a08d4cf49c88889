"""A condition on fields: what it says, what it refuses, and how it reports what does not fit."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.records.where import Where
from stages.runtime.errors import BadInput, UsageError

RECORD = {
    "id": "a#0",
    "reward": 0.5,
    "finish": "stop",
    "rewards": {"accuracy": 1.0, "language": None},
    "completion": "Seven",
    "tags": ["easy", "sum"],
    "meta": {"odd-name": 3},
}


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("reward >= 0.5", True),
        ('reward >= 0.5 and finish == "length"', False),
        ("0 < reward < 0.5 or rewards.accuracy == 1", True),
        ('rewards["accuracy"] > 0', True),
        ("rewards.language < 1", False),
        ("rewards.language > -1", False),
        ("not rewards.language >= 0.5", True),
        ("rewards.language == null", True),
        ("rewards.language is None", True),
        ("missing == null", True),
        ("missing.deeper > 3", False),
        ('"easy" in tags', True),
        ('finish in ["stop", "length"]', True),
        ('"x" in missing', False),
        ('"x" not in missing', True),
        ("len(completion) == 5", True),
        ('lower(completion) == "seven"', True),
        ('startswith(id, "a") and endswith(id, "#0")', True),
        ("reward * 2 - 1 == 0", True),
        ("-reward < 0", True),
        ('meta["odd-name"] % 2 == 1', True),
        ("tags[0] == 'easy'", True),
        ("true", True),
    ],
)
def test_conditions(condition: str, met: bool) -> None:
    assert Where(condition)(RECORD) is met


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true')",
        "reward.__class__",
        "(lambda: 1)()",
        "[x for x in tags]",
        "f'{reward}'",
        "open('f')",
        "completion.upper()",
        "2 ** 9 > 1",
        "reward = 1",
        "reward >",
        "len(completion, *tags)",
        "(reward := 1)",
        "",
    ],
)
def test_anything_but_conditions_is_refused_or_is_but_a_field(condition: str) -> None:
    try:
        assert Where(condition)({**RECORD}) in (True, False)
    except (UsageError, BadInput):
        return
    assert condition == "reward.__class__"  # a field of a field, which no record has


def test_python_says_nothing_of_its_own_about_a_condition() -> None:
    with warnings.catch_warnings(record=True, action="always") as said:
        assert Where("reward == 0.5or finish == null")(RECORD)
    assert said == []


def test_no_attribute_of_python_is_reached() -> None:
    where = Where("reward.__class__ == null and tags.append == null")
    assert where(RECORD)


def test_values_of_another_type_are_bad_input_with_the_record() -> None:
    with pytest.raises(BadInput, match=r"record a#0: --where .* does not fit this record"):
        Where("finish > 3")(RECORD)
    with pytest.raises(BadInput, match="arithmetic is for numbers"):
        Where("finish * 1000 == 0")(RECORD)


def test_a_field_that_no_record_has_is_a_usage_error_at_the_end() -> None:
    where = Where("rewrd > 1 or rewards.accuracy == 0")
    assert where(RECORD) is False
    with pytest.raises(UsageError, match="no record has a field 'rewrd'; did you mean reward"):
        where.check()


def test_a_field_that_one_record_has_is_in_order() -> None:
    where = Where("extra == 1 or rewards.accuracy == 1")
    assert [where(RECORD), where({"extra": 1})] == [True, True]
    where.check()


def test_a_field_compared_with_null_may_be_nowhere() -> None:
    where = Where("extra.deep == null and tag is not null")
    assert where(RECORD) is False
    where.check()


def test_nothing_read_is_nothing_missing() -> None:
    Where("reward > 1").check()


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_a_usage_error(text: str) -> None:
    try:
        where = Where(text)
    except UsageError:
        return
    try:
        assert where(RECORD) in (True, False)
    except BadInput:
        return
