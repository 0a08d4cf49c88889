"""DROP's measure: worked by hand, and its alignment against all there are."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from stages.grading.spans import _greatest_sum, best_overlap, normalised, overlap


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ("The  Bears.", "bears"),
        ("a touchdown-pass", "touchdown pass"),
        ("3,000 yards", "3000.0 yards"),
        ("-3", "3.0"),  # a hyphen parts words
        ("1e3", "1000.0"),
        ("O'Neil's", "oneils"),
        ("12%", "12.0"),
        ("The", ""),
    ],
)
def test_what_counts_of_a_span(span: str, words: str) -> None:
    assert normalised(span) == words


@pytest.mark.parametrize(
    ("given", "wanted", "exact", "f1"),
    [
        # precision 1/2, recall 1
        (["3 yards"], ["3"], 0, 0.67),
        # its number was not given: no pair
        (["4 yards"], ["3 yards"], 0, 0),
        # without a number, words may be shared: 1/2 and 1/2
        (["red car"], ["blue car"], 0, 0.5),
        # the order of spans does not matter
        (["b", "c"], ["c", "b"], 1, 1),
        # one of two: 1 over two spans
        (["b"], ["b", "c"], 0, 0.5),
        # one too many
        (["b", "c", "d"], ["b", "c"], 0, 0.67),
        # the greatest sum pairs `x y` with `x y z`, 4/5, and `x` with nothing better than 0
        (["x y", "q"], ["x y z", "x"], 0, 0.4),
        # a set of words: a word twice is one
        (["b b"], ["b"], 0, 1),
        ([""], ["3"], 0, 0),
    ],
)
def test_overlap_is_as_worked_by_hand(given: list[str], wanted: list[str], exact: float, f1: float) -> None:
    assert overlap(given, wanted) == (exact, f1)


def test_the_best_reference_counts_and_a_blank_one_does_not() -> None:
    assert best_overlap(["3 yards"], [["4"], ["3"], ["3 yards"]]) == (1, 1)
    assert best_overlap([""], [[" "]]) == (0, 0)
    assert best_overlap(["3"], []) == (0, 0)


def test_no_other_alignment_has_a_greater_sum() -> None:
    rng = random.Random(0)
    for _ in range(300):
        rows, columns = rng.randint(1, 5), rng.randint(1, 5)
        scores = [[rng.choice((0.0, 0.25, 0.4, 0.5, 1.0)) for _ in range(columns)] for _ in range(rows)]
        wide = scores if rows <= columns else [list(each) for each in zip(*scores, strict=True)]
        most = max(
            sum(row[place] for row, place in zip(wide, places, strict=True))
            for places in itertools.permutations(range(len(wide[0])), len(wide))
        )
        assert _greatest_sum(scores) == pytest.approx(most)


def test_a_long_list_of_spans_takes_no_time() -> None:
    started = time.process_time()
    assert overlap(["b"] * 100_000, ["b"] * 10) == (0, 0)
    assert time.process_time() - started < 2
