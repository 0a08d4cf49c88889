"""Two models on the same problems, against numbers worked by hand, other writings and simulation."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.evaluation.comparison.paired import Counted, detectable, difference, holm, problems_needed
from stages.evaluation.student import quantile, two_sided_p

COUNTED = st.integers(1, 6).flatmap(lambda n: st.builds(Counted, st.just(n), st.integers(0, n)))


# Tables of Student's t: 95 % and 99 % two-sided.
@pytest.mark.parametrize(
    ("df", "share", "point"),
    [(1, 0.975, 12.706204736), (2, 0.975, 4.302652730), (9, 0.975, 2.262157163), (29, 0.995, 2.756385904)],
)
def test_students_points(df: int, share: float, point: float) -> None:
    assert quantile(share, df) == pytest.approx(point, rel=1e-9)
    assert two_sided_p(point, df) == pytest.approx(2 * (1 - share), rel=1e-8)


@pytest.mark.parametrize("t", [0.0, 1e-3, 0.7, 3.0, 40.0])
def test_students_p_where_it_has_a_closed_form(t: float) -> None:
    """One degree of freedom is Cauchy's distribution, two have an algebraic one; many are nearly normal."""
    assert two_sided_p(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, abs=1e-14)
    assert two_sided_p(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-13)
    assert two_sided_p(t, 10**7) == pytest.approx(math.erfc(t / math.sqrt(2)), abs=1e-6)


def test_a_difference_by_hand() -> None:
    """Rates 1, 3/4, 1/2, 0 less 1/2, 3/4, 1/4, 1/4: d = 1/2, 0, 1/4, -1/4; mean 1/8, squares 5/16."""
    first = [Counted(4, 4), Counted(4, 3), Counted(4, 2), Counted(4, 0)]
    second = [Counted(4, 2), Counted(4, 3), Counted(4, 1), Counted(4, 1)]
    found = difference(list(zip(first, second, strict=True)))
    assert found.mean == 1 / 8
    assert found.sd == pytest.approx(math.sqrt(5 / 16 / 3), abs=1e-15)
    t, error = 3.182446305284263, math.sqrt(5 / 16 / 12)
    assert found.low == pytest.approx(1 / 8 - t * error, abs=1e-12)
    assert found.high == pytest.approx(1 / 8 + t * math.sqrt((5 / 16 + 2 / 4) / 12), abs=1e-12)
    # Three degrees of freedom: P(|T| ≥ t) = 1 − 2/π (θ + sin θ cos θ), tan θ = t/√3.
    angle = math.atan(1 / 8 / error / math.sqrt(3))
    p = 1 - 2 / math.pi * (angle + math.sin(angle) * math.cos(angle))
    assert found.p == pytest.approx(p, abs=1e-12)


def test_models_that_answer_alike_may_still_differ_elsewhere() -> None:
    found = difference([(Counted(16, 0), Counted(16, 0))] * 30)
    assert (found.mean, found.p) == (0, pytest.approx(1))
    assert found.high == pytest.approx(quantile(0.975, 29) * math.sqrt(2 / 16 / 29 / 30))
    assert found.low == -found.high


def test_a_few_problems_that_all_say_the_same_prove_little() -> None:
    """Two problems that one model has right and the other wrong: by chance one time in two."""
    assert difference([(Counted(1, 1), Counted(1, 0))] * 2).p > 0.2
    many = difference([(Counted(1, 1), Counted(1, 0))] * 20)
    assert many.p < 1e-3
    assert (many.low > 0, many.high) == (True, 1)


def test_one_problem_has_no_interval() -> None:
    assert difference([(Counted(4, 3), Counted(4, 1))]) == (0.5, None, None, None, None)


def test_rounding_is_no_difference_among_problems() -> None:
    """3/10 − 1/10 and 2/10 − 0 are not the same float."""
    found = difference([(Counted(10, 3), Counted(10, 1)), (Counted(10, 2), Counted(10, 0))] * 3)
    assert found.p > 0.05


@given(st.lists(st.tuples(COUNTED, COUNTED), min_size=2, max_size=12))
def test_interval_and_p_agree_and_the_other_way_round_is_the_mirror(
    pairs: list[tuple[Counted, Counted]],
) -> None:
    found = difference(pairs)
    other = difference([(second, first) for first, second in pairs])
    assert found.low is not None
    assert found.high is not None
    assert found.p is not None
    assert -1 <= found.low <= found.mean <= found.high <= 1
    assert other.p == pytest.approx(found.p)
    assert (other.low, other.high) == (pytest.approx(-found.high), pytest.approx(-found.low))
    if abs(found.p - 0.05) > 1e-9:
        assert (found.low > 0 or found.high < 0) == (found.p < 0.05)


def test_holm_by_hand() -> None:
    """Of four, the smallest times 4, the next times 3 and so on, and none below the one before it."""
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_rejects_what_a_closed_test_rejects(values: list[float]) -> None:
    """Each hypothesis's corrected p is the largest of Bonferroni's over all sets that it belongs to."""
    for index, corrected in enumerate(holm(values)):
        sets = [
            each
            for size in range(1, len(values) + 1)
            for each in itertools.combinations(range(len(values)), size)
            if index in each
        ]
        bonferroni = max(min(1.0, len(each) * min(values[k] for k in each)) for each in sets)
        assert corrected == pytest.approx(bonferroni)


def test_problems_needed_by_hand() -> None:
    """((1.959964 + 0.841621) · 0.5 / 0.1)² + 1.920729 = 198.14."""
    assert problems_needed(0.1, 0.5) == 199
    assert problems_needed(0.1, 0.0) is None
    assert detectable(199, 0.5) == pytest.approx(0.1, abs=3e-4)
    assert detectable(1, 0.5) is None
    assert detectable(4, 2.0) is None


def test_so_many_problems_show_such_a_difference_four_times_in_five() -> None:
    rng = random.Random(3)
    rates = [(q, min(1.0, q + 0.16 * rng.random())) for q in (rng.betavariate(0.8, 0.8) for _ in range(4000))]
    size = statistics.fmean(b - a for a, b in rates)

    def drawn() -> tuple[Counted, Counted]:
        one, other = rng.choice(rates)
        return Counted(4, sum(rng.random() < other for _ in range(4))), Counted(
            4, sum(rng.random() < one for _ in range(4))
        )

    sd = statistics.stdev(one.rate - other.rate for one, other in (drawn() for _ in range(4000)))
    needed = problems_needed(size, sd)
    assert needed is not None
    shown = [difference([drawn() for _ in range(needed)]) for _ in range(400)]
    assert 0.74 < statistics.fmean((each.p or 0) < 0.05 for each in shown) < 0.86


@pytest.mark.parametrize(("problems", "samples", "mean"), [(30, 16, 0.1), (100, 4, 0.03), (10, 4, 0.1)])
def test_interval_and_p_hold_as_often_as_they_say(problems: int, samples: int, mean: float) -> None:
    """600 pairs of models each: alike on average, and apart by half of the mean; 92 % or more are held."""
    rng = random.Random(11)
    for truth in (0.0, mean / 2):
        held = 0
        for _ in range(600):
            pairs = []
            for _ in range(problems):
                shared = rng.betavariate(mean, 1 - mean)
                own = shared if rng.random() < 0.5 else rng.betavariate(mean, 1 - mean)
                raised = own + truth / (1 - mean) * (1 - own)
                pairs.append(
                    tuple(
                        Counted(samples, sum(rng.random() < rate for _ in range(samples)))
                        for rate in (raised, shared)
                    )
                )
            low, high = difference(pairs)[1:3]  # type: ignore[arg-type]
            held += low <= truth <= high  # type: ignore[operator]
        assert held / 600 > 0.92
