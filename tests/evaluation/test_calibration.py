"""Accuracy, confidence and calibration of preferences, against numbers worked by hand."""

from __future__ import annotations

import math

import pytest

from stages.evaluation.calibration import agreement
from stages.evaluation.statistics import wilson


def test_numbers_worked_by_hand() -> None:
    """Confidences 3/4, 3/4, 9/10 and 1/2: right, wrong, right, and a tie that is half right."""
    found = agreement([math.log(3), -math.log(3), math.log(9), 0.0], list("abcd"))
    assert found["accuracy"] == 2.5 / 4
    assert found["confidence"] == pytest.approx((0.75 + 0.75 + 0.9 + 0.5) / 4)
    assert [(row["count"], row["accuracy"]) for row in found["reliability"]] == [(1, 0.5), (2, 0.5), (1, 1.0)]
    assert found["ece"] == pytest.approx((0 + 2 * 0.25 + 0.1) / 4)
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]


def test_a_model_that_is_as_sure_as_it_is_right_has_no_error() -> None:
    found = agreement([math.log(3)] * 3 + [-math.log(3)], list("abcd"))
    assert found["ece"] == pytest.approx(0, abs=1e-12)


def test_all_right_has_the_interval_of_so_many_problems() -> None:
    low, high = wilson(1.0, 5)
    found = agreement([1.0] * 10, [*"aabbccddee"])
    assert (found["accuracy_low"], found["accuracy_high"]) == (low, high)


def test_any_difference_has_a_confidence() -> None:
    assert agreement([1e6, -1e6], ["a", "b"])["confidence"] == 1.0
