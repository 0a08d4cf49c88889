"""Packed rows: the same log-probabilities, loss and gradient as each sample alone, however they are split."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import KINDS, tiny

from stages.inference.transformers.ragged import ATTENTION
from stages.settings.groups import Engine, Lora
from stages.training.policy import Policy
from stages.training.rows import Sample, rows
from stages.training.sft.learner import imitation_loss

Gradient = dict[str, torch.Tensor]


@pytest.fixture(scope="module", params=KINDS)
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    path = tmp_path_factory.mktemp("model") / request.param
    tiny(request.param).save_pretrained(path)
    return Policy(str(path), Engine(device="cpu", threads=1), Lora())


def ids(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, 67, (count,), generator=generator).tolist()


@pytest.fixture
def samples() -> list[Sample]:
    """Two groups with a prompt each, and one completion that stands alone; token weights all differ."""
    made = []
    for group, prompt, lengths in (("a", 9, (4, 1, 17)), ("b", 2, (8, 8)), ("c", 13, (3,))):
        for n in lengths:
            said = ids(n, seed=len(made))
            weight = [(0.5 + 0.1 * i) / 60 for i in range(n)]
            made.append(Sample(ids(prompt, seed=ord(group)), said, weight, group=group))
    return made


def alone(policy: Policy, sample: Sample, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Log-probabilities of one completion through the model's own attention and plain log-softmax."""
    policy.model.set_attn_implementation("sdpa")
    row = torch.tensor([[*sample.prompt_ids, *sample.completion_ids]])
    logits = policy.model(row).logits[0, len(sample.prompt_ids) - 1 : -1]
    policy.model.set_attn_implementation(ATTENTION)
    wanted = torch.tensor(sample.completion_ids)
    return logits.to(dtype).log_softmax(-1).gather(-1, wanted[:, None])[:, 0]


def gradient(policy: Policy, loss: torch.Tensor) -> Gradient:
    policy.model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}


def packed(policy: Policy, samples: Iterable[Sample], limit: int) -> tuple[float, Gradient]:
    policy.model.zero_grad()
    total = 0.0
    for row in rows(samples, limit):
        loss, _ = imitation_loss(row, *policy.logprobs(row))
        loss.backward()
        total += loss.item()
    return total, {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}


def assert_equal(one: Gradient, other: Gradient, tolerance: float) -> None:
    """Gradients agree to `tolerance` of the whole gradient's largest entry."""
    largest = max(g.abs().max().item() for g in other.values())
    assert one.keys() == other.keys()
    for name, g in one.items():
        torch.testing.assert_close(g, other[name], rtol=0, atol=tolerance * largest)


def test_a_row_gives_each_sample_its_own_log_probabilities(policy: Policy, samples: list[Sample]) -> None:
    (row,) = rows(samples, 1000)
    assert len(row.ids) == 9 + 22 + 2 + 16 + 13 + 3, "each prompt once"
    with torch.no_grad():
        found, entropy = policy.logprobs(row)
        wanted = torch.cat([alone(policy, sample) for sample in samples])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert bool((entropy > 0).all())


def test_packed_and_unpacked_loss_and_gradient_agree(policy: Policy, samples: list[Sample]) -> None:
    """In float32 to 1e-5, for any split into rows, prompts shared or not."""
    plain = -sum((alone(policy, s) * torch.tensor(s.weight)).sum() for s in samples)
    assert isinstance(plain, torch.Tensor)
    wanted = gradient(policy, plain)
    for each in (samples, [replace(s, group="") for s in samples]):
        for limit in (1, 24, 40, 1000):
            loss, found = packed(policy, each, limit)
            assert loss == pytest.approx(plain.item(), rel=1e-5)
            assert_equal(found, wanted, 1e-5)


def test_in_float64_the_split_changes_nothing_at_all(policy: Policy, samples: list[Sample]) -> None:
    """To 1e-12 where rounding is that small: what float32 leaves is rounding, not a wrong mask."""
    policy.model.double()
    try:
        plain = -sum((alone(policy, s, torch.float64) * torch.tensor(s.weight)).sum() for s in samples)
        assert isinstance(plain, torch.Tensor)
        wanted = gradient(policy, plain)
        for limit in (1, 40, 1000):
            loss, found = packed(policy, samples, limit)
            assert loss == pytest.approx(plain.item(), rel=1e-7)  # rotary angles stay float32
            assert_equal(found, wanted, 1e-6)
    finally:
        policy.model.float()


def test_a_sample_does_not_see_another(policy: Policy, samples: list[Sample]) -> None:
    """Another completion in the same group, and another group, leave every bit of a sample's figures."""
    (row,) = rows(samples, 1000)
    changed = [replace(s, completion_ids=ids(len(s.completion_ids), 99)) if i in (1, 3) else s
               for i, s in enumerate(samples)]  # fmt: skip
    (other,) = rows(changed, 1000)
    sizes = [len(s.completion_ids) for s in samples]
    with torch.no_grad():
        one, two = (policy.logprobs(each)[0].split(sizes) for each in (row, other))
    for i, (before, after) in enumerate(zip(one, two, strict=True)):
        assert torch.equal(before, after) == (i not in (1, 3))


def test_the_first_token_is_predicted_by_the_prompts_last() -> None:
    """Prompt 10 11 12, completions 20 21 and 30: at places 2 and 3, and 2 again."""
    one = Sample([10, 11, 12], [20, 21], [1, 2], advantage=0.5, group="g")
    two = Sample([10, 11, 12], [30], [3], advantage=-1, group="g")
    (row,) = rows([one, two], 100)
    assert row.ids.tolist() == [10, 11, 12, 20, 21, 30]
    assert row.layout.positions.tolist() == [0, 1, 2, 3, 4, 3]
    assert row.predict.tolist() == [2, 3, 2]
    assert row.targets.tolist() == [20, 21, 30]
    assert row.weight.tolist() == [1, 2, 3]
    assert row.advantage.tolist() == [0.5, 0.5, -1]
    assert row.old_logp is None


def test_prompts_are_shared_only_inside_a_group() -> None:
    same = [Sample([5, 6], [7], [1.0], group=g) for g in ("x", "x", "y", "", "")]
    (row,) = rows(same, 100)
    assert row.ids.tolist() == [5, 6, 7, 7, *[5, 6, 7] * 3]


some_samples = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(0, 2)), min_size=1, max_size=10
)


@given(some_samples, st.integers(1, 60))
def test_rows_keep_the_samples_their_order_and_the_limit(
    sizes: list[tuple[int, int, int]], limit: int
) -> None:
    given_samples = [
        Sample([3] * prompt, [4] * own, [1.0] * own, group=f"{group}" if group else "")
        for prompt, own, group in sizes
    ]
    made: list[Any] = list(rows(given_samples, limit))
    assert [s for row in made for s in row.samples] == given_samples
    for row in made:
        assert len(row.ids) <= limit or len(row.samples) == 1
        assert len(row.predict) == sum(len(s.completion_ids) for s in row.samples)
    for row, following in itertools.pairwise(made):
        first = following.samples[0]
        shared = first.group and (first.group, first.prompt_ids) == (
            row.samples[-1].group, row.samples[-1].prompt_ids)  # fmt: skip
        more = len(first.completion_ids) + (0 if shared else len(first.prompt_ids))
        assert len(row.ids) + more > limit, "a row is closed only when the next sample does not fit"


def test_logits_that_are_capped_after_the_output_layer_are_learned_as_they_are(
    tmp_path: Path, samples: list[Sample]
) -> None:
    model = tiny("gemma3")
    model.config.final_logit_softcapping = 2.0
    model.save_pretrained(tmp_path / "capped")
    capped = Policy(str(tmp_path / "capped"), Engine(device="cpu", threads=1), Lora())
    (row,) = rows(samples, 1000)
    found, _ = capped.logprobs(row)
    wanted = torch.cat([alone(capped, sample) for sample in samples])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)

    other = gradient(capped, wanted.sum())
    for name, value in gradient(capped, found.sum()).items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5)
