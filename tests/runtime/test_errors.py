"""Which name a message suggests for one that is none."""

from __future__ import annotations

import pytest

from stages.runtime.errors import near, nearest

REWARDS = ("accuracy", "behaviours", "code", "cosine", "format", "judge", "language", "length", "tag_count")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("acuracy", "accuracy"),
        ("Accuracy", "accuracy"),
        ("lenght", "length"),
        ("acc", "accuracy"),
        ("lang", "language"),
        ("codes", "code"),
        ("cdoe", "code"),
    ],
)
def test_a_slip_is_told(given: str, meant: str) -> None:
    assert nearest(given, REWARDS) == f"; did you mean {meant}?"


@pytest.mark.parametrize("given", ["nope", "none", "model", "x", "", "reward", "math"])
def test_what_is_not_near_is_not_suggested(given: str) -> None:
    assert nearest(given, REWARDS) == ""


def test_several_may_be_meant() -> None:
    assert near("chain_sums", ["chain_sum", "chain_sum_2", "bf"], 3) == ["chain_sum", "chain_sum_2"]
