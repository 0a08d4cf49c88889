"""The figures of eval, against numbers worked by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.evaluation.statistics import (
    clustered_interval,
    majority,
    pass_at_1,
    pass_at_k,
    wilson,
)
from stages.evaluation.student import quantile

COUNTS = st.lists(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1)


def test_pass_at_1_is_the_mean_of_the_problems_rates() -> None:
    assert pass_at_1([(4, 1), (4, 4), (2, 0)]) == pytest.approx((0.25 + 1 + 0) / 3, abs=1e-15)


@given(COUNTS, st.integers(2, 9))
def test_pass_at_1_does_not_depend_on_the_number_of_samples(
    counts: list[tuple[int, int]], times: int
) -> None:
    """open-r1 #655: twice the samples halved the figure."""
    assert pass_at_1([(n * times, c * times) for n, c in counts]) == pytest.approx(
        pass_at_1(counts), abs=1e-12
    )


def test_pass_at_k_by_hand() -> None:
    # n = 4, c = 1: of the 6 pairs, 3 hold the right one. n = 4, c = 3: no pair misses all.
    assert pass_at_k([(4, 1)], 2) == pytest.approx(0.5, abs=1e-15)
    assert pass_at_k([(4, 1), (4, 3)], 2) == pytest.approx(0.75, abs=1e-15)


@given(COUNTS)
def test_pass_at_k_with_k_1_is_pass_at_1(counts: list[tuple[int, int]]) -> None:
    assert pass_at_k(counts, 1) == pytest.approx(pass_at_1(counts), abs=1e-12)


def test_pass_at_k_is_the_mean_over_all_draws_without_replacement() -> None:
    import itertools

    right = [True, True, False, False, False, False]
    draws = list(itertools.combinations(right, 3))
    share = sum(any(draw) for draw in draws) / len(draws)
    assert pass_at_k([(6, 2)], 3) == pytest.approx(share, abs=1e-15)


def test_pass_at_k_refuses_more_than_there_are() -> None:
    with pytest.raises(ValueError, match="needs 5"):
        pass_at_k([(4, 1)], 5)


def test_wilson_by_hand() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_an_interval_with_one_sample_each_is_nearly_wilsons() -> None:
    counts = [(1, 1)] * 30 + [(1, 0)] * 70
    # The effective size is (P − 1) here, and Student's point replaces 1.96.
    assert clustered_interval(counts) == pytest.approx(wilson(0.3, 99, quantile(0.975, 99)), abs=1e-12)


def test_problems_that_all_agree_with_themselves_count_once() -> None:
    """16 equal answers to a problem say no more about the benchmark than one."""
    assert clustered_interval([(16, 16), (16, 0)] * 20) == pytest.approx(
        clustered_interval([(1, 1), (1, 0)] * 20), abs=1e-12
    )


def test_problems_of_equal_rates_count_each_completion() -> None:
    low, high = clustered_interval([(4, 2)] * 25)
    assert (low, high) == pytest.approx(wilson(0.5, 100, quantile(0.975, 24)), abs=1e-12)


@given(COUNTS)
def test_an_interval_holds_its_estimate_and_stays_a_share(counts: list[tuple[int, int]]) -> None:
    low, high = clustered_interval(counts)
    assert 0 <= low <= pass_at_1(counts) <= high <= 1
    assert low < high


def test_no_right_answer_still_leaves_doubt() -> None:
    low, high = clustered_interval([(64, 0)] * 30)
    assert low == 0
    assert 0.1 < high < 0.12  # 3.84 / 33.84


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """40 problems of very different difficulty, 4 samples: p ± 1.96 s would cover 90 % here."""
    rng = random.Random(7)
    hits = 0
    for _ in range(600):
        rates = [rng.betavariate(0.15, 0.85) for _ in range(40)]
        counts = [(4, sum(rng.random() < rate for _ in range(4))) for rate in rates]
        low, high = clustered_interval(counts)
        hits += low <= 0.15 <= high
    assert 0.92 <= hits / 600 <= 0.98


def test_a_majority_decides() -> None:
    assert majority({"12": (3, 3), "13": (2, 0)}) == 1
    assert majority({"12": (2, 2), "13": (3, 0)}) == 0


def test_tied_answers_share_the_vote() -> None:
    assert majority({"12": (2, 2), "13": (2, 0), "7": (1, 0)}) == 0.5
    assert majority({}) == 0
