"""Advantages, policy loss, KL, weights and token log-probabilities, by hand and against
tests/reference.py."""

from __future__ import annotations

import math
from typing import Any

import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.objectives import logprobs
from stages.objectives.advantage import advantages
from stages.objectives.logprobs import token_logprobs
from stages.objectives.policy import PolicyLoss, importance, kl, policy_loss, weights
from stages.settings.groups import Objective

NAN = math.nan


def double(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_right_answer_among_four_is_worth_one_and_a_half_deviations() -> None:
    """Rewards 1 0 0 0: mean 1/4, variance (9 + 1 + 1 + 1) / 16 / 3 = 1/4, so (1 - 1/4) / (1/2) = 3/2."""
    found = advantages(double([1, 0, 0, 0]), torch.zeros(4, dtype=torch.long), scale="group")
    assert found.tolist() == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-12)


def test_groups_are_centred_apart_and_scaled_as_asked() -> None:
    """Groups (1, 0) and (2, 6): means 1/2 and 4, deviations sqrt(1/2) and sqrt(8).

    The batch 1 0 2 6 has mean 9/4, squares 25 + 81 + 1 + 225 = 332 sixteenths, deviation sqrt(332/48).
    """
    rewards, groups = double([1, 0, 2, 6]), torch.tensor([0, 0, 1, 1])
    half, batch = math.sqrt(0.5), math.sqrt(332 / 48)
    by_group = advantages(rewards, groups, scale="group").tolist()
    assert by_group == pytest.approx([half, -half, -half, half], abs=1e-12)
    by_batch = advantages(rewards, groups, scale="batch").tolist()
    assert by_batch == pytest.approx([x / batch for x in (0.5, -0.5, -2, 2)], abs=1e-12)
    assert advantages(rewards, groups, scale="none").tolist() == [0.5, -0.5, -2, 2]


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_equal_rewards_teach_nothing(scale: str) -> None:
    rewards, groups = double([0.1, 0.1, 0.1, 0, 1, 0.3]), torch.tensor([0, 0, 0, 1, 1, 2])
    found = advantages(rewards, groups, scale=scale).tolist()
    assert found[:3] == [0, 0, 0]
    assert found[5] == 0, "a completion alone has nothing to be compared with"
    assert found[3] < 0 < found[4]


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_what_could_not_be_judged_changes_no_other_advantage(scale: str) -> None:
    groups = torch.tensor([0, 0, 0, 1, 1])
    found = advantages(double([1, NAN, 0, NAN, NAN]), groups, scale=scale)
    alone = advantages(double([1, 0]), torch.tensor([0, 0]), scale=scale)
    assert found.tolist() == [alone[0], 0, alone[1], 0, 0]


def test_no_completions_have_no_advantages() -> None:
    assert advantages(double([]), torch.tensor([], dtype=torch.long), scale="group").tolist() == []


some_rewards = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.25, 1.0, -1.0, 2.5, NAN]) | st.floats(-3, 3).map(lambda x: round(x, 3)),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip


@given(some_rewards, st.sampled_from(["group", "batch", "none"]), st.sampled_from(["group", "others"]))
def test_advantages_are_the_papers(pairs: list[tuple[float, int]], scale: str, baseline: str) -> None:
    rewards, groups = [r for r, _ in pairs], [g for _, g in pairs]
    found = advantages(double(rewards), torch.tensor(groups), scale=scale, baseline=baseline)
    wanted = reference.advantages(rewards, groups, scale, baseline)
    assert found.tolist() == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    for group in set(groups):
        total = sum(a for a, g in zip(found.tolist(), groups, strict=True) if g == group)
        assert total == pytest.approx(0, abs=1e-9)


@given(some_rewards, st.floats(-5, 5), st.floats(0.1, 10))
def test_group_advantages_ignore_the_rewards_origin_and_unit(
    pairs: list[tuple[float, int]], shift: float, unit: float
) -> None:
    rewards, groups = double([r for r, _ in pairs]), torch.tensor([g for _, g in pairs])
    one = advantages(rewards, groups, scale="group")
    other = advantages(rewards * unit + shift, groups, scale="group")
    assert other.tolist() == pytest.approx(one.tolist(), abs=1e-6)


def loss_of(logp: Any, old: Any, gain: Any, objective: Objective, **more: Any) -> PolicyLoss:
    """The loss of tokens of one completion, all of them drawn, where `more` does not say otherwise."""
    one = {"sequences": torch.zeros(len(logp), dtype=torch.long), "drawn": torch.ones(len(logp)).bool()}
    return policy_loss(logp, old, gain, objective, **{**one, **more})


def test_policy_loss_by_hand() -> None:
    """Ratios 1, 1.5, 0.5, 1.5, 0.5 with advantages 2, 2, 2, -2, -2 and limits 0.8 and 1.2.

    min(ratio A, clipped A): 2; min(3, 2.4) = 2.4; min(1, 1.6) = 1; min(-3, -2.4) = -3; min(-1, -1.6) = -1.6.
    """
    ratio = double([1, 1.5, 0.5, 1.5, 0.5])
    out = loss_of(ratio.log(), double([0] * 5), double([2, 2, 2, -2, -2]), Objective())
    assert out.loss.tolist() == pytest.approx([-2, -2.4, -1, 3, 1.6], abs=1e-12)
    assert out.clipped_high.tolist() == [False, True, False, False, False]
    assert out.clipped_low.tolist() == [False, False, False, False, True]
    assert out.ratio.tolist() == pytest.approx(ratio.tolist())


def test_leave_one_out_by_hand() -> None:
    """Rewards 1 0 0 against the means of the other two, 0, 1/2 and 1/2."""
    groups = torch.zeros(3, dtype=torch.long)
    found = advantages(double([1, 0, 0]), groups, scale="none", baseline="others")
    assert found.tolist() == pytest.approx([1, -0.5, -0.5], abs=1e-12)


def test_a_sequence_has_one_ratio_by_hand() -> None:
    """Ratios 2 and 1/2 have the geometric mean 1, 4 and 4 that of 4; a forced token does not count."""
    ratio = double([2, 0.5, 4, 4, 1000]).log().requires_grad_()
    of, drawn = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([True, True, True, True, False])
    gain = double([3, 3, -1, -1, -1])
    out = loss_of(ratio, double([0] * 5), gain, Objective(ratio="sequence"), sequences=of, drawn=drawn)
    assert out.ratio.tolist() == pytest.approx([1, 1, 4, 4, 4])
    assert out.loss.tolist() == pytest.approx([-3, -3, 4, 4, 4])
    (out.loss * double([0.5, 0.5, 0.5, 0.5, 0])).sum().backward()  # the mean over each sequence
    # d exp(mean of logs) = ratio / n for each of its n tokens
    assert ratio.grad is not None
    assert ratio.grad.tolist() == pytest.approx([-1.5, -1.5, 2, 2, 0])


def test_dual_clip_by_hand() -> None:
    """Ratio 5 with advantage -2 costs 10, and with the limit 3 no more than 6; a good token is untouched."""
    logp, old, gain = double([5, 2, 5]).log(), double([0, 0, 0]), double([-2, -2, 2])
    out = loss_of(logp, old, gain, Objective(dual_clip=3))
    assert out.loss.tolist() == pytest.approx([6, 4, -2.4])


def test_cispo_keeps_the_gradient_of_clipped_tokens() -> None:
    """Ratios 1/2, 1, 5 within 0.8 and 1.2: gradient minus the clipped ratio times the advantage."""
    logp = double([0.5, 1, 5]).log().requires_grad_()
    gain = double([1, -2, 3])
    loss_of(logp, double([0] * 3), gain, Objective(surrogate="cispo")).loss.sum().backward()
    assert logp.grad is not None
    assert logp.grad.tolist() == pytest.approx([-0.8, 2, -3.6])


def test_importance_by_hand() -> None:
    """Weights 4, 1/2 and 1: cut at 2, masked outside 1/2 to 2; of the two sequences, 2 and 1."""
    ours, theirs = double([4, 0.5, 1]).log(), double([0, 0, 0])
    of = torch.tensor([0, 0, 1])

    def found(correction: Any, cap: float, per: Any = "token") -> list[float]:
        o = Objective(correction=correction, correction_cap=cap, correction_of=per)
        return list(importance(ours, theirs, o, sequences=of, drawn=torch.ones(3).bool()).tolist())

    assert found("truncate", 2) == pytest.approx([2, 0.5, 1])
    assert found("mask", 2) == pytest.approx([0, 0.5, 1])
    assert found("truncate", 3, "sequence") == pytest.approx([2, 2, 1])
    assert found("mask", 1.5, "sequence") == pytest.approx([0, 0, 1])
    out = loss_of(
        ours, theirs, double([1, 1, 1]), Objective(clip_low=9, clip_high=9), importance=double([2, 0, 1])
    )
    assert out.loss.tolist() == pytest.approx([-8, 0, -1])


def test_on_policy_the_gradient_is_minus_the_advantage() -> None:
    logp = double([-1.0, -2.0, -0.1]).requires_grad_()
    gain = double([1.5, -0.5, 0.0])
    loss_of(logp, logp.detach(), gain, Objective()).loss.sum().backward()
    assert logp.grad is not None
    assert logp.grad.tolist() == [-1.5, 0.5, 0.0]


def test_divergence_by_hand() -> None:
    """pi = 1/2 and ref = 1/4: r = 1/2; k1 = ln 2, k2 = (ln 2)^2 / 2, k3 = 1/2 - 1 + ln 2."""
    args = double([math.log(0.5)]), double([math.log(0.25)])
    two = math.log(2)
    assert kl(*args, "k1").item() == pytest.approx(two, abs=1e-12)
    assert kl(*args, "k2").item() == pytest.approx(two**2 / 2, abs=1e-12)
    assert kl(*args, "k3").item() == pytest.approx(two - 0.5, abs=1e-12)


def test_k1_and_k3_have_the_divergence_as_their_mean() -> None:
    """Summed over a whole distribution with its probabilities: no sampling, so equal to rounding."""
    generator = torch.Generator().manual_seed(0)
    p, q = torch.randn(2, 20, dtype=torch.float64, generator=generator).log_softmax(-1)
    exact = (p.exp() * (p - q)).sum().item()
    for estimator in ("k1", "k3"):
        mean = (p.exp() * kl(p, q, estimator)).sum().item()
        assert mean == pytest.approx(exact, abs=1e-12)


logs = st.floats(-8, -0.01)


@given(logs, logs)
def test_k2_and_k3_are_never_negative(logp: float, ref: float) -> None:
    assert kl(double([logp]), double([ref]), "k2").item() >= 0
    assert kl(double([logp]), double([ref]), "k3").item() >= 0
    assert kl(double([logp]), double([logp]), "k3").item() == 0


@settings(max_examples=200)
@given(
    logs, st.floats(-1.5, 1.5), st.floats(-3, 3), st.floats(0, 0.9), st.floats(0, 3),
    st.none() | st.floats(-1.5, 1.5), st.floats(0, 2), st.sampled_from(["k1", "k2", "k3"]),
)  # fmt: skip
def test_policy_loss_is_the_papers_with_its_gradient(
    logp: float, gap: float, gain: float, low: float, high: float, away: float | None, beta: float, kind: str
) -> None:  # fmt: skip
    old = logp - gap
    ref = None if away is None else logp + away
    x = double([logp]).requires_grad_()
    objective = Objective(clip_low=low, clip_high=high, beta=beta, kl=kind)
    there = None if ref is None else double([ref])
    out = loss_of(x, double([old]), double([gain]), objective, ref_logp=there)
    rest = (old, gain, low, high, ref, beta, kind)
    assert out.loss.item() == pytest.approx(reference.token_loss(logp, *rest), rel=1e-9, abs=1e-9)
    ratio = math.exp(gap)
    if min(abs(ratio - (1 - low)), abs(ratio - (1 + high))) > 1e-3:  # away from the kinks
        out.loss.sum().backward()
        assert x.grad is not None
        assert x.grad.item() == pytest.approx(reference.token_slope(logp, *rest), rel=1e-6, abs=1e-6)


def test_weights_by_hand() -> None:
    """Completions of 1 and 4 tokens: 1/2 and 1/8 each; 1/5 each; 1/(2 x 10) each."""
    lengths = double([1, 4])
    sizes = {"completions": 2, "tokens": 5, "constant": 10}
    assert weights(lengths, aggregate="sequence", **sizes).tolist() == [1 / 2, 1 / 8]
    assert weights(lengths, aggregate="token", **sizes).tolist() == [1 / 5, 1 / 5]
    assert weights(lengths, aggregate="constant", **sizes).tolist() == [1 / 20, 1 / 20]


@pytest.mark.parametrize("aggregate", ["sequence", "token", "constant"])
def test_a_batch_without_completions_has_no_weights(aggregate: str) -> None:
    none = weights(double([]), aggregate=aggregate, completions=0, tokens=0, constant=7)
    assert none.tolist() == []


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_weights_of_parts_are_those_of_the_whole(lengths: list[int], data: st.DataObject) -> None:
    aggregate = data.draw(st.sampled_from(["sequence", "token", "constant"]))
    cut = data.draw(st.integers(0, len(lengths)))
    parts = [
        weight
        for part in (lengths[:cut], lengths[cut:])
        for weight in weights(
            double([float(n) for n in part]),
            aggregate=aggregate,
            completions=len(lengths),
            tokens=sum(lengths),
            constant=64,
        ).tolist()
    ]
    assert parts == pytest.approx(reference.token_weights(lengths, aggregate, 64), rel=1e-12)
    if aggregate != "constant":
        assert sum(w * n for w, n in zip(parts, lengths, strict=True)) == pytest.approx(1)


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.0])
def test_token_logprobs_are_log_softmax_in_any_chunks(
    chunk: int, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", chunk * 23)
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(7, 5, generator=generator, dtype=torch.float64).requires_grad_()
    head = torch.randn(23, 5, generator=generator, dtype=torch.float64).requires_grad_()
    targets = torch.tensor([0, 22, 5, 5, 7, 1, 22])
    slope = torch.randn(7, generator=generator, dtype=torch.float64)

    found, entropy = token_logprobs(hidden, head, targets, temperature=temperature)
    found_grads = torch.autograd.grad((found * slope).sum(), (hidden, head))
    plain = (hidden @ head.T / temperature).log_softmax(-1)
    wanted = plain[range(7), targets]
    wanted_grads = torch.autograd.grad((wanted * slope).sum(), (hidden, head))

    assert found.dtype == torch.float64
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    for one, other in zip(found_grads, wanted_grads, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    torch.testing.assert_close(entropy, -(plain.exp() * plain).sum(-1).detach(), rtol=0, atol=1e-12)
    assert not entropy.requires_grad
    by_hand = reference.log_softmax([x / temperature for x in (hidden @ head.T)[1].tolist()])[22]
    assert found[1].item() == pytest.approx(by_hand, abs=1e-12)


def test_token_logprobs_of_half_precision_are_computed_in_float32() -> None:
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(9, 16, generator=generator).bfloat16().requires_grad_()
    head = torch.randn(40, 16, generator=generator).bfloat16()
    found, _ = token_logprobs(hidden, head, torch.arange(9))
    assert found.dtype == torch.float32
    wanted = (hidden.double() @ head.double().T).log_softmax(-1)[range(9), range(9)].float()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_token_logprobs_round_alike_forwards_and_backwards_under_autocast() -> None:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(6, 8, generator=generator).requires_grad_()
    head = torch.randn(30, 8, generator=generator).requires_grad_()
    targets = torch.arange(6)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = token_logprobs(hidden, head, targets)
    wanted = (hidden @ head.T).log_softmax(-1)[range(6), targets]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    one = torch.autograd.grad(found.sum(), (hidden, head))
    other = torch.autograd.grad(wanted.sum(), (hidden, head))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden = torch.randn(3, 4, requires_grad=True)
    head = torch.randn(6, 4)
    token_logprobs(hidden, head, torch.tensor([0, 1, 2]))[0].sum().backward()
    assert hidden.grad is not None
    assert head.grad is None
