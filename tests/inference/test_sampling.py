"""Drawing tokens: the distribution, its cuts, and the log-probability that is kept."""

from __future__ import annotations

import math

import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.inference.transformers.sampling import draw, nucleus
from stages.runtime.errors import UsageError
from stages.settings.groups import Sampling, check

logit_rows = st.lists(
    st.integers(-40, 40).map(lambda x: x / 8), min_size=2, max_size=12
)  # eighths: ties are exact and sums near a cut are rare


def drawn(logits: list[float], sampling: Sampling, count: int = 20000) -> torch.Tensor:
    """How often each token comes, of `count`."""
    uniform = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    tokens, _ = draw(torch.tensor(logits).expand(count, -1), uniform, sampling)
    return torch.bincount(tokens, minlength=len(logits))


def chi_square(found: torch.Tensor, probabilities: list[float]) -> float:
    wanted = torch.tensor(probabilities, dtype=torch.float64) * found.sum()
    assert found[wanted == 0].sum() == 0
    alive = wanted > 0
    return ((found[alive] - wanted[alive]).square() / wanted[alive]).sum().item()


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
def test_tokens_come_as_often_as_their_probability(temperature: float) -> None:
    """Chi-square with 7 degrees of freedom is below 24.3 in 999 of 1000 cases."""
    logits = [0.3, -1.0, 2.0, 0.0, 1.1, -2.5, 0.7, 1.0]
    wanted = [math.exp(x) for x in reference.log_softmax([x / temperature for x in logits])]
    assert chi_square(drawn(logits, Sampling(temperature=temperature)), wanted) < 24.3


def test_a_cut_distribution_keeps_its_proportions() -> None:
    """Probabilities .5 .25 .125 .125: top-k 2 leaves 2 : 1; top-p 0.8 needs the last two, which tie."""
    logits = [math.log(p) for p in (0.25, 0.5, 0.125, 0.125)]
    top = drawn(logits, Sampling(top_k=2))
    assert chi_square(top, [1 / 3, 2 / 3, 0, 0]) < 10.8
    assert chi_square(drawn(logits, Sampling(top_p=0.7)), [1 / 3, 2 / 3, 0, 0]) < 10.8
    assert chi_square(drawn(logits, Sampling(top_p=0.8)), [0.25, 0.5, 0.125, 0.125]) < 16.3


def test_top_p_is_taken_of_what_top_k_left() -> None:
    """Of .4 .3 .2 .1, top-k 2 leaves 4/7 and 3/7: top-p 0.55 keeps one token, where 0.55 of all keeps two."""
    logits = [math.log(p) for p in (0.4, 0.3, 0.2, 0.1)]
    assert drawn(logits, Sampling(top_k=2, top_p=0.55), 100).nonzero().flatten().tolist() == [0]
    assert drawn(logits, Sampling(top_p=0.55), 100).nonzero().flatten().tolist() == [0, 1]


@given(logit_rows, st.floats(0.05, 1.0), st.integers(0, 12), st.floats(0, 1, exclude_max=True))
def test_nothing_outside_the_nucleus_is_ever_drawn(
    logits: list[float], top_p: float, top_k: int, uniform: float
) -> None:
    token, _ = draw(
        torch.tensor([logits]),
        torch.tensor([uniform], dtype=torch.float64),
        Sampling(top_p=top_p, top_k=top_k),
    )
    weights = [math.exp(x) for x in reference.log_softmax(logits)]
    if top_k and top_k < len(weights):
        least = sorted(logits, reverse=True)[top_k - 1]
        weights = [w if x >= least else 0.0 for w, x in zip(weights, logits, strict=True)]
    # A hair above top_p: the sum of float32 weights may pass the cut where the exact one does not.
    allowed = reference.nucleus(weights, min(1.0, top_p + 1e-6))
    assert int(token) in allowed
    assert weights[int(token)] > 0


@given(logit_rows, st.floats(0.05, 0.99))
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(logits: list[float], top_p: float) -> None:
    weights = [math.exp(x) for x in reference.log_softmax(logits)]
    least = nucleus(torch.tensor([weights], dtype=torch.float64), top_p).item()
    found = {i for i, w in enumerate(weights) if w >= least}
    assert found == reference.nucleus(weights, top_p)


def test_the_nucleus_of_a_flat_distribution_over_many_tokens() -> None:
    """1000 weights of almost 1/1000, falling: top-p 0.5 needs about half of them, more than the quick path
    sorts.
    """
    weights = (1 - torch.arange(1000, dtype=torch.float64) * 1e-6) / 1000
    least = nucleus(weights[None], 0.5).item()
    assert int((weights >= least).sum()) == 500


def test_greedy_takes_the_likeliest_and_keeps_its_log_probability() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    tokens, logp = draw(logits, torch.zeros(2, dtype=torch.float64), Sampling(temperature=0))
    assert tokens.tolist() == [1, 0]
    wanted = [reference.log_softmax(row)[t] for row, t in zip(logits.tolist(), [1, 0], strict=True)]
    assert logp.tolist() == pytest.approx(wanted, abs=1e-6)


@given(logit_rows, st.floats(0, 1, exclude_max=True), st.floats(0.3, 3))
def test_the_log_probability_is_after_the_temperature_and_before_the_cut(
    logits: list[float], uniform: float, temperature: float
) -> None:
    token, logp = draw(
        torch.tensor([logits]),
        torch.tensor([uniform], dtype=torch.float64),
        Sampling(temperature=temperature, top_p=0.3, top_k=2),
    )
    wanted = reference.log_softmax([x / temperature for x in logits])[int(token)]
    assert logp.item() == pytest.approx(wanted, abs=1e-5)


@given(st.lists(logit_rows.filter(lambda row: len(row) > 4), min_size=2, max_size=5), st.data())
def test_a_row_is_drawn_the_same_in_any_company(rows: list[list[float]], data: st.DataObject) -> None:
    width = min(map(len, rows))
    logits = torch.tensor([row[:width] for row in rows])
    uniform = torch.tensor([data.draw(st.floats(0, 1, exclude_max=True)) for _ in rows], dtype=torch.float64)
    sampling = Sampling(top_p=0.9, temperature=0.8)
    tokens, logp = draw(logits, uniform, sampling)
    for row in range(len(rows)):
        alone, p = draw(logits[row : row + 1], uniform[row : row + 1], sampling)
        assert (alone.item(), p.item()) == (tokens[row].item(), logp[row].item())


def test_the_ends_of_the_unit_interval_give_tokens_with_weight() -> None:
    logits = torch.tensor([[-math.inf, 0.0, 0.0, -math.inf]] * 2)
    last = math.nextafter(1, 0)
    tokens, _ = draw(logits, torch.tensor([0.0, last], dtype=torch.float64), Sampling())
    assert tokens.tolist() == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}, {"max_tokens": 0},
     {"think_budget": -1}, {"think_extend": -1}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        check(Sampling(**wrong))
