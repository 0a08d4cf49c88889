"""Weights under training, given to vLLM and proven to be those it computes with.

vLLM joins matrices, pads vocabularies, and on a CPU keeps most weights only in a layout of oneDNN's that
cannot be read. A layer of such weights is given the identity matrix: what comes out are the weights, to the
bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from stages.checkpoints.adapter import added, unadapted
from stages.inference.fingerprint import fingerprint
from stages.inference.interface import Gathered
from stages.runtime.errors import R1Error

ROWS = 512  # of the identity at once


@torch.no_grad()
def named_weights(model: Any, gathered: Gathered = nullcontext) -> Iterator[tuple[str, Tensor]]:
    """The weights of a transformers model by their names in a checkpoint, peft's adapters merged into them.

    `gathered` is as for `Follower.follow`.
    """
    for name, weight, layer in unadapted(model):
        with gathered(weight if layer is None else list(layer.parameters())):
            yield name, added(weight, layer)


@torch.no_grad()
def load(config: Any, model: Any, weights: Iterable[tuple[str, Tensor]], dtype: torch.dtype) -> int:
    """Puts `weights` into vLLM's `model`, made by `config`. Returns the fingerprint they have there."""
    from vllm.model_executor.model_loader.reload.inplace import reload_weights

    total = 0

    def given() -> Iterator[tuple[str, Tensor]]:
        nonlocal total
        for name, weight in weights:
            cast = weight.to(dtype)
            total += fingerprint([_positive(cast)])
            yield name, cast

    reload_weights(config, model, given(), weights_path=None, is_checkpoint_format=True)
    for module in model.modules():
        # A head tied to the embeddings has a layout of its own, and reloading leaves it as it was.
        if hasattr(module, "cpu_linear") and module.weight.numel():
            module.quant_method.process_weights_after_loading(module)
    return total % 2**64


def loaded(model: torch.nn.Module) -> int:
    """The fingerprint of the weights that vLLM's `model` computes with.

    Raises R1Error where a layer computes with other weights than stand beside it.
    """
    return fingerprint(map(_positive, _in_use(model)))


@torch.no_grad()
def _in_use(model: torch.nn.Module) -> Iterator[Tensor]:
    seen: set[int] = set()
    for name, module in model.named_modules():
        for key, weight in module.named_parameters(recurse=False):
            if key == "weight" and hasattr(module, "cpu_linear"):
                if not weight.numel():
                    yield from _recovered(module, module.input_size_per_partition, weight.dtype)
                    continue
                whole = torch.cat(list(_recovered(module, weight.shape[1], weight.dtype)))
                if not torch.equal(whole, weight.T):
                    raise R1Error(f"vLLM computes {name} with other weights than it was given")
            if weight.data_ptr() not in seen:  # tied weights count once, as in the model
                seen.add(weight.data_ptr())
                yield weight


def _recovered(module: Any, width: int, dtype: torch.dtype) -> Iterator[Tensor]:
    """Rows of the transposed weights `[K, N]` of a layer with K = `width` inputs."""
    for start in range(0, width, ROWS):
        rows = torch.eye(min(ROWS, width - start), width, dtype=dtype).roll(start, 1)
        yield module.cpu_linear(rows, module.weight, None)


def _positive(weight: Tensor) -> Tensor:
    """The weights, with 0 for -0, whose sign a product with the identity loses."""
    return weight + 0.0
