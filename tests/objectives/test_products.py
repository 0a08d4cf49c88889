"""Matrix products through oneDNN: torch's own results and gradients, whatever is asked of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from stages.objectives import products
from stages.objectives.products import Linear, adopt, packed, product, weights_in_use

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
        with packed(model, 9):
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
    with pytest.raises(ZeroDivisionError), packed(model, 9):
        raise ZeroDivisionError
    assert all(inner.packed is None for inner in model if isinstance(inner, Linear))


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
