"""Batch-invariant arithmetic on a CPU: a row's result has the same bits whatever is computed beside it.

Rounding depends on the batch only through the kernel that is taken for a shape, and through the elements that
are left over where a loop takes several at once. So products are called with blocks of rows of fixed sizes,
activations with pieces of a fixed size, and attention with one query at a time over a number of keys that its
position decides. A sampler and a trainer that both compute so agree in every bit.

Sources: He et al., "Defeating Nondeterminism in LLM Inference" (Thinking Machines, 2025), which does it on
GPUs; arXiv 2605.14220, what the gap between the two does to a long run.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS = 64  # of a product; other sizes of block are taken where they give its bits
OTHER_ROWS = (256, 16)
KEYS = 64  # attention looks at a multiple of so many keys
# Elements of an activation computed at once: up to so many torch leaves to one thread, and a multiple of 64
# leaves nothing over from the longest vectors.
PIECE = 1 << 15
VECTORS = 64


def pack(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of `weight [N, K]` in `dtype`, laid out for `product`."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(dtype), ROWS)
    return packed


def product(x: Tensor, packed: Tensor) -> Tensor:
    """`x [..., K]` times the transpose of the weight `[N, K]` that is `packed`, in its type; no gradient."""
    rows = x.reshape(-1, x.shape[-1])
    out = x.new_empty(len(rows), packed.shape[0])
    sizes = _sizes(packed)
    start = 0
    while start < len(rows):
        left = len(rows) - start
        size = next((size for size in sizes if size <= left), sizes[-1])
        block = rows[start : start + size]
        whole = F.pad(block, (0, 0, 0, size - len(block))) if len(block) < size else block.contiguous()
        out[start : start + size] = _call(whole, packed)[: len(block)]
        start += size
    return out.view(*x.shape[:-1], -1)


def _call(block: Tensor, packed: Tensor) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(block, packed, None, "none", [], "")
    return found


_found_sizes: dict[tuple[torch.Size, torch.dtype, int], tuple[int, ...]] = {}


def _sizes(packed: Tensor) -> tuple[int, ...]:
    """The numbers of rows, largest first, for which a product with such a weight gives a row the same bits.

    They are tried out, with rows in two orders: `ROWS`, or one row where a row's place in a block matters,
    and the others that give its bits.
    """
    key = packed.shape, packed.dtype, torch.get_num_threads()
    if key not in _found_sizes:
        n, k = packed.shape
        x, weight = _cancelling(max(OTHER_ROWS), n, k, packed.dtype)
        like = pack(weight, packed.dtype)
        turned = x.roll(5, 0)

        def made(rows: Tensor, size: int) -> Tensor:
            return torch.cat([_call(block, like) for block in rows.split(size)])

        first = ROWS if torch.equal(made(x, ROWS).roll(5, 0), made(turned, ROWS)) else 1
        wanted = made(turned, first)
        others = [size for size in OTHER_ROWS if torch.equal(made(x, size).roll(5, 0), wanted)]
        others = [size for size in others if torch.equal(made(turned, size), wanted)]
        _found_sizes[key] = tuple(sorted([first, *others], reverse=True))
    return _found_sizes[key]


def _cancelling(rows: int, n: int, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows `[rows, k]` and a weight `[n, k]` whose product is 0 but for rounding, of which it thus shows all.

    Of a product that is not 0, bfloat16 would hide all but one in some thousands of differences in order.
    """
    drawn = torch.Generator().manual_seed(0)
    half, order = k // 2, torch.randperm(k // 2, generator=drawn)
    x, weight = (torch.randn(count, half, generator=drawn).to(dtype) for count in (rows, n))
    rest = k - 2 * half
    return F.pad(torch.cat([x, -x[:, order]], 1), (0, rest)), F.pad(
        torch.cat([weight, weight[:, order]], 1), (0, rest)
    )


def elementwise(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`function` of each element of `x`, by code whose loops never have a rest."""
    flat = x.reshape(-1)
    if missing := -len(flat) % VECTORS:
        flat = F.pad(flat, (0, missing))
    made = torch.cat([function(piece) for piece in flat.split(PIECE)])
    return made[: x.numel()].view(x.shape)


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, scale: float) -> Tensor:
    """Attention of n queries, each by itself, `[n, Hk, shared, D]` in float32; no gradient.

    q `[n, Hk, shared, D]`, k and v `[n, Hk, span, D]`, where `span` is that of each query's position; `seen
    [n, 1, 1, span]` says which keys it sees. Raises RuntimeError for values of another width than the keys'.
    """
    n, _, shared, _ = q.shape
    mask = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))
    # Named, as torch's choice among its kernels depends on the batch; this one takes query by query.
    out, _ = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q.float(),
        k.float(),
        v.float(),
        attn_mask=mask.expand(n, 1, shared, -1),
        scale=scale,
    )
    found: Tensor = out
    return found


def span(length: int) -> int:
    """How many keys are looked at for a query that sees `length` tokens."""
    return -(-length // KEYS) * KEYS
