"""Every reward keeps its word: its EXAMPLES come out as written."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from stages.scoring import spec

CASES = [
    (name, index)
    for name in spec.names()
    for index in range(len(importlib.import_module(f"stages.rewards.{name}").EXAMPLES))
]


@pytest.mark.parametrize(("name", "index"), CASES)
def test_examples_come_out_as_written(name: str, index: int) -> None:
    module = importlib.import_module(f"stages.rewards.{name}")
    subject, options, expected = module.EXAMPLES[index]
    reward = getattr(module, name)
    result: Any = reward(subject, **spec.arguments(reward, options))
    if isinstance(subject, list):
        assert [each.value for each in result] == pytest.approx(expected)
        assert all(each.reason for each in result)
    else:
        assert result.value == (None if expected is None else pytest.approx(expected))
        assert result.reason


@pytest.mark.parametrize("name", spec.names())
def test_each_reward_says_in_its_first_line_what_it_is(name: str) -> None:
    module = importlib.import_module(f"stages.rewards.{name}")
    first = (module.__doc__ or "").splitlines()[0]
    assert first.endswith((".", ")."))
    assert module.EXAMPLES
