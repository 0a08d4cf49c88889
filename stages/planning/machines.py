"""The constants that a plan is made from, each with where it is from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Peak of dense bfloat16 in FLOP/s, memory in bytes, its bandwidth in bytes a second: data sheets."""

    peak: float
    memory: float
    bandwidth: float


GPUS = {
    "a100": Gpu(312e12, 80e9, 2.04e12),
    "h100": Gpu(989e12, 80e9, 3.35e12),
    "h800": Gpu(989e12, 80e9, 3.35e12),
    "h20": Gpu(148e12, 96e9, 4.0e12),
    "h200": Gpu(989e12, 141e9, 4.8e12),
    "b200": Gpu(2250e12, 180e9, 7.7e12),
}
NODE = 8  # GPUs of a machine
# Shares of the peak that large runs reach; docs/scale.md shows how far the plan is off with them.
TRAINED = 0.40  # of FLOP/s, forward and backward
SCORED = 0.45  # of FLOP/s, forward alone
SPARSE = 0.20  # of either, where tokens choose experts: small matrices, and two exchanges a layer
DECODED = 0.60  # of the memory's bandwidth, while tokens are sampled
FREE = 0.85  # of the memory: what a sampler may fill
TRAINABLE = 0.95  # of the memory: what training may
# Seconds that a layer takes for one token besides, for starting kernels and adding up over GPUs of a machine,
# and over machines.
WITHIN, ACROSS = 40e-6, 250e-6
SENT = 2.5e9  # bytes a second from a machine that trains to the samplers
FIXED = 5.0  # seconds of a step for rewards, batches and starting
