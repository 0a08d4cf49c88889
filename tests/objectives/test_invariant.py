"""Batch-invariant arithmetic: the same bits whatever is computed beside a row, and the right numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.inference.invariant.attention import EachAlone
from stages.inference.transformers.ragged import Packed, Segment
from stages.inference.transformers.slot_cache import SlotCache
from stages.objectives.invariant import attend, elementwise, pack, product, span
from stages.objectives.logprobs import token_logprobs
from stages.objectives.products import Linear

KINDS = pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])


def numbers(*shape: int, seed: int = 0, kind: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(kind)


@KINDS
@pytest.mark.parametrize("shape", [(576, 576), (192, 1536), (60, 33)])
def test_a_row_of_a_product_does_not_depend_on_the_others(shape: tuple[int, int], kind: torch.dtype) -> None:
    weight, x = numbers(*shape, kind=kind), numbers(700, shape[1], seed=1, kind=kind)
    packed = pack(weight, kind)
    whole = product(x, packed)
    tolerance = {torch.float32: 1e-4, torch.bfloat16: 0.5}[kind]
    torch.testing.assert_close(whole.float(), x.float() @ weight.float().T, atol=tolerance, rtol=0.02)
    for start, stop in ((0, 1), (3, 5), (17, 33), (5, 69), (1, 300), (444, 700)):
        assert torch.equal(product(x[start:stop], packed), whole[start:stop])
    assert torch.equal(product(x[:6].view(2, 3, -1), packed), whole[:6].view(2, 3, -1))


@pytest.mark.parametrize("width", [64, 33, 8])
def test_an_element_of_an_activation_does_not_depend_on_its_place(width: int) -> None:
    x = numbers(1500, width)
    for function in (F.silu, F.gelu, torch.sigmoid):
        whole = elementwise(function, x)
        torch.testing.assert_close(whole, function(x))
        for start, stop in ((0, 1), (5, 8), (7, 64), (9, 1499)):
            assert torch.equal(elementwise(function, x[start:stop]), whole[start:stop])


def test_attention_of_queries_does_not_depend_on_the_others_and_is_right() -> None:
    q, k, v = numbers(7, 2, 3, 16), numbers(7, 2, 128, 16, seed=1), numbers(7, 2, 128, 16, seed=2)
    seen = (torch.arange(128) < torch.tensor([[65], [66], [80], [100], [127], [128], [90]]))[:, None, None]
    together = attend(q, k, v, seen, 0.25)
    torch.testing.assert_close(together, F.scaled_dot_product_attention(q, k, v, seen, scale=0.25))
    for i in range(7):
        one = slice(i, i + 1)
        assert torch.equal(attend(q[one], k[one], v[one], seen[one], 0.25), together[one])
    assert [span(n) for n in (1, 64, 65)] == [64, 64, 128]


@KINDS
@pytest.mark.parametrize("window", [None, 20])
def test_a_row_is_attended_as_its_tokens_are_decoded(window: int | None, kind: torch.dtype) -> None:
    """A prompt of 60 tokens, two completions of it, and another sequence."""
    segments = [Segment(0, 60), Segment(60, 70, 0, 60), Segment(70, 85, 0, 60), Segment(85, 90)]
    q, k, v = (numbers(heads, 90, 16, seed=heads, kind=kind) for heads in (4, 2, 2))
    layout = EachAlone(Packed(segments))
    whole = layout.attend(0, q, k, v, 0.25, window)
    usual = layout.packed.attend(0, q, k, v, 0.25, window)
    close = {torch.float32: 1e-5, torch.bfloat16: 0.03}[kind]
    torch.testing.assert_close(whole, usual, atol=close, rtol=close)
    cache = SlotCache(3, invariant=True)
    cache.put(0, 2, [(k[:, :60], v[:, :60])], 60)
    cache.put(2, 3, [(k[:, 85:86], v[:, 85:86])], 1)
    for step in range(4):
        at = torch.tensor([60 + step, 70 + step, 86 + step])
        cache.step(slice(0, 3))
        found = cache.attend(0, q[:, at], k[:, at], v[:, at], 0.25, window)
        cache.advance(slice(0, 3))
        assert torch.equal(found, whole[:, at]), step
    alone = EachAlone(Packed([Segment(0, 60), Segment(60, 75, 0, 60)]))
    of = [*range(60), *range(70, 85)]
    assert torch.equal(alone.attend(0, q[:, of], k[:, of], v[:, of], 0.25, window), whole[:, of])


def test_gradients_are_those_of_the_usual_code() -> None:
    segments = [Segment(0, 60), Segment(60, 70, 0, 60)]
    usual = Packed(segments)
    inputs = [numbers(heads, 70, 16, seed=heads).requires_grad_() for heads in (4, 2, 2)]
    weigh = numbers(4, 70, 16, seed=9)
    found = torch.autograd.grad((EachAlone(usual).attend(0, *inputs, 0.25, None) * weigh).sum(), inputs)
    wanted = torch.autograd.grad((usual.attend(0, *inputs, 0.25, None) * weigh).sum(), inputs)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
    layer = Linear(48, 24)
    x = numbers(30, 48).requires_grad_()
    wanted = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
    layer.invariant = True
    found = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_token_logprobs_do_not_depend_on_the_other_tokens() -> None:
    hidden, head, targets = numbers(70, 32), numbers(90, 32, seed=1), torch.arange(70)
    whole, entropy = token_logprobs(hidden, head, targets, temperature=0.7, fixed=True)
    usual = token_logprobs(hidden, head, targets, temperature=0.7)
    torch.testing.assert_close((whole, entropy), usual)
    for start, stop in ((0, 1), (2, 5), (7, 40)):
        part, _ = token_logprobs(hidden[start:stop], head, targets[start:stop], temperature=0.7, fixed=True)
        assert torch.equal(part, whole[start:stop])
