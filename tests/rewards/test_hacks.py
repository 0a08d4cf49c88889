"""No text that solves nothing is paid: calls, JSON, and answers in the world."""

from __future__ import annotations

from typing import Any

import pytest
from hacks import CALLS, JSON, ROME, WORLD

from stages.rewards.function_calls import WEATHER, function_calls
from stages.rewards.json_schema import PERSON, json_schema
from stages.rewards.world import GAME, HELLO, world

OF_KIND: dict[str, dict[str, Any]] = {
    "sum": {"answer": "16"}, "countdown": GAME, "knights": {"answer": "A knight, B knave"},
    "fact": {"answer": "Paris, Rome"}, "chat": HELLO, "poem": {"answer": "16"},
}  # fmt: skip
PAID = {"sum": "16", "countdown": "(8-3)*7", "knights": "A knight, B knave", "fact": "Paris, Rome",
        "chat": "Hello Mia! How can I help?"}  # fmt: skip


@pytest.mark.parametrize("hack", CALLS)
def test_a_call_that_is_not_meant_is_not_paid(hack: str) -> None:
    verdict = function_calls({**WEATHER, "completion": CALLS[hack]})
    assert verdict.value == 0, verdict.reason


def test_where_no_call_is_wanted_none_is_paid_nor_what_was_cut_off() -> None:
    record = {**WEATHER, "expected_calls": []}
    assert function_calls({**record, "completion": "It is warm."}).value == 1
    assert function_calls({**record, "completion": "It is warm.", "finish": "length"}).value == 0
    for hack, said in CALLS.items():
        if not said or ROME in said.rpartition("</think>")[2]:
            assert function_calls({**record, "completion": said}).value == 0, hack


@pytest.mark.parametrize("hack", JSON)
@pytest.mark.parametrize("form", ["any", "plain"])
def test_json_that_is_not_meant_is_not_paid(hack: str, form: Any) -> None:
    verdict = json_schema({**PERSON, "completion": JSON[hack]}, form=form)
    assert verdict.value == 0, verdict.reason


@pytest.mark.parametrize("hack", WORLD)
def test_nothing_in_the_world_is_paid_for_nothing(hack: str) -> None:
    kind, completion = WORLD[hack]
    verdict = world({"kind": kind, **OF_KIND[kind], "completion": completion})
    assert not verdict.value, verdict.reason


def test_what_is_right_is_paid() -> None:
    assert function_calls({**WEATHER, "completion": ROME}).value == 1
    assert json_schema({**PERSON, "completion": '{"name": "Ann", "age": 41}'}).value == 1
    for kind, answer in PAID.items():
        assert world({"kind": kind, **OF_KIND[kind], "completion": f"<answer>{answer}</answer>"}).value == 1
