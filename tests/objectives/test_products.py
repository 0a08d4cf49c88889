"""Matrix products through oneDNN: torch's own results and gradients, whatever is asked of them."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from torch import Tensor

from stages.objectives import products
from stages.objectives.logprobs import token_logprobs
from stages.objectives.products import Linear, OutputLayer, adopt, packed, product, weights_in_use, widen

pytestmark = pytest.mark.usefixtures("small_layers_too")
WIDE = (160, 128)


def layer(*, bias: bool = False, size: tuple[int, int] = WIDE) -> torch.nn.Linear:
    torch.manual_seed(2)
    return torch.nn.Linear(size[1], size[0], bias=bias)


def adopted(*, bias: bool = False, size: tuple[int, int] = WIDE) -> torch.nn.Linear:
    made = torch.nn.Sequential(layer(bias=bias, size=size))
    adopt(made)
    (inner,) = made
    assert type(inner) is Linear
    return inner


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 128), (7, 128), (2, 3, 128), (0, 128)])
def test_a_layer_computes_what_torchs_does(shape: tuple[int, ...], bias: bool) -> None:
    plain, ours = layer(bias=bias), adopted(bias=bias)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found, wanted = [x.clone().requires_grad_() for _ in range(2)]
    out, right = ours(found), plain(wanted)
    torch.testing.assert_close(out, right, rtol=1e-5, atol=1e-5)
    pull = torch.randn(right.shape, generator=torch.Generator().manual_seed(3))
    (out * pull).sum().backward()
    (right * pull).sum().backward()
    torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad, rtol=1e-5, atol=1e-4)


def test_a_frozen_layer_passes_the_gradient_on() -> None:
    ours = adopted().requires_grad_(False)
    x = torch.randn(4, 128, requires_grad=True)
    ours(x).sum().backward()
    assert ours.weight.grad is None
    torch.testing.assert_close(x.grad, ours.weight.sum(0).expand(4, -1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(kind: torch.dtype) -> None:
    x = torch.randn(3, 128, dtype=kind)
    assert torch.equal(adopted().to(kind)(x), layer().to(kind)(x))


def test_what_does_not_fit_is_told_by_torch() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        adopted()(torch.zeros(3, WIDE[1] + 1))


def test_what_is_not_contiguous_is_multiplied_as_it_reads() -> None:
    weight, x = layer().weight.detach(), torch.randn(128, 5).T
    torch.testing.assert_close(product(x, weight), x @ weight.T, rtol=1e-5, atol=1e-5)
    gradient = torch.randn(5, 160)
    torch.testing.assert_close(product(gradient, weight.T), gradient @ weight, rtol=1e-5, atol=1e-5)


def test_packed_weights_serve_inside_their_block_only() -> None:
    model = torch.nn.Sequential(layer(), torch.nn.Tanh(), layer(size=(128, 160)))
    adopt(model)
    x = torch.randn(9, 128)
    with torch.no_grad():
        wanted = model(x)
        with packed(model, 9, half=False):
            torch.testing.assert_close(model(x), wanted, rtol=1e-5, atol=1e-5)
            assert all(
                torch.equal(used, own)
                for used, own in zip(weights_in_use(model), model.parameters(), strict=True)
            )
            model[0].weight.mul_(2)  # what nobody may do: the block computes with the copy
            torch.testing.assert_close(model(x), wanted, rtol=1e-5, atol=1e-5)
            used, _ = weights_in_use(model)
            assert not torch.equal(used, model[0].weight)
        assert not torch.allclose(model(x), wanted)
    with pytest.raises(ZeroDivisionError), packed(model, 9, half=False):
        raise ZeroDivisionError
    assert all(inner.packed is None for inner in model if isinstance(inner, Linear))


class Speaker(torch.nn.Module):
    """A layer, and one that gives logits."""

    def __init__(self, kind: torch.dtype, *, bias: bool) -> None:
        super().__init__()
        self.body, self.head = layer(bias=bias, size=(128, 128)), layer(bias=bias)
        self.to(kind)
        adopt(self)
        widen(self)

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.head(self.body(x))
        return hidden


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("within", ["nothing", "autocast", "packed", "packed autocast"])
def test_an_output_layer_gives_what_float64_gives(kind: torch.dtype, bias: bool, within: str) -> None:
    model, x = Speaker(kind, bias=bias), 8 * torch.randn(5, 128).to(kind)
    assert type(model.head) is OutputLayer
    wanted = x.double() @ model.head.weight.double().T + (model.head.bias.double() if bias else 0)
    with torch.no_grad(), contextlib.ExitStack() as stack:
        if "packed" in within:
            stack.enter_context(packed(model, 5, half="autocast" in within))
        if "autocast" in within:
            stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        found = model.head(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_an_output_layer_passes_gradients_on_under_autocast(kind: torch.dtype) -> None:
    head, x = Speaker(kind, bias=True).head, torch.randn(5, 128).to(kind).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        total = head(x).sum()
    total.backward()
    close = {"rtol": 1e-5, "atol": 1e-5} if kind == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    torch.testing.assert_close(x.grad, head.weight.sum(0).expand(5, -1).to(kind), **close)
    torch.testing.assert_close(head.bias.grad, torch.full((160,), 5.0).to(kind))


def test_packed_weights_in_bfloat16_give_what_autocast_gives() -> None:
    model, x = Speaker(torch.float32, bias=True), torch.randn(9, 128)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted = model.body(x)
        assert wanted.dtype == torch.bfloat16
        with packed(model, 9, half=True):
            assert (model.body(x) == wanted).float().mean() > 0.99  # rounded once, with the bias
            assert model.body(x).dtype == torch.bfloat16
            assert model.body(x[:0]).shape == (0, 128)
            used = list(weights_in_use(model))  # those of the model's own type
    assert all(torch.equal(one, own) for one, own in zip(used, model.parameters(), strict=True))


def test_a_copy_of_a_model_has_its_own_weights() -> None:
    model = torch.nn.Sequential(layer())
    adopt(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight.zero_()
    assert model[0](torch.ones(1, 128)).abs().sum() > 0
    assert other[0](torch.ones(1, 128)).abs().sum() == 0


def test_where_onednn_is_wrong_or_missing_torch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Tensor:
        raise AttributeError("no such operator")

    for fault in (missing, lambda x, weight, packed=None: x @ weight.T + 1):
        monkeypatch.setattr(products, "product", fault)
        products._is_right.cache_clear()
        model = torch.nn.Sequential(layer())
        adopt(model)
        assert type(model[0]) is torch.nn.Linear
    products._is_right.cache_clear()


def test_autocast_rounds_neither_log_probabilities_nor_entropies() -> None:
    torch.manual_seed(0)
    hidden, head, targets = torch.randn(9, 16), torch.randn(50, 16), torch.randint(0, 50, (9,))
    alone = token_logprobs(hidden, head, targets)
    with torch.autocast("cpu", torch.bfloat16):
        inside = token_logprobs(hidden, head, targets)
    assert all(map(torch.equal, alone, inside))
