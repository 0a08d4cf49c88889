"""One number that proves two sets of weights equal, wherever they are and however they are laid out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from stages.runtime.errors import R1Error

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprint(tensors: Iterable[Tensor]) -> int:
    """The sum of the bit patterns of all `tensors`, modulo 2^64.

    It stays the same where tensors are permuted, joined, or padded with zeros, as engines do with weights;
    one update of an optimiser changes it. Tensors must be of one type to be compared with another set.
    """
    total = 0
    for tensor in tensors:
        bits = tensor.detach().contiguous().view(_BITS[tensor.element_size()])
        if bits.device.type == "cpu":  # where numpy adds six times as fast as torch
            total += int(np.add.reduce(bits.numpy().reshape(-1), dtype=np.int64))
        else:
            total += int(bits.sum(dtype=torch.int64))
    return total % 2**64


def refuse_other(found: int, expected: int | None) -> None:
    """Raises R1Error where a sampler's weights are not those it was given."""
    if found != expected:
        raise R1Error("the sampler does not hold the weights that are trained: their checksums differ")
