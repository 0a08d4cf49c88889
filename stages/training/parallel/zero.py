"""ZeRO by DeepSpeed as a `Strategy`: each rank has a share of optimiser (1), gradients (2), weights (3).

DeepSpeed averages gradients over ranks, and the losses here are shares of one sum: they are multiplied by the
number of ranks. AdamW is torch's, on the GPU or the CPU, so nothing is compiled when a run begins.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.checkpoints.adapter import added, unadapted
from stages.checkpoints.loading import give_back_memory
from stages.checkpoints.shards import Piece
from stages.checkpoints.shares import Share, Stored
from stages.runtime.errors import Unavailable, UsageError
from stages.settings.groups import Optimizer
from stages.training.parallel.configuration import INSTALL, configuration
from stages.training.parallel.replicas import MOMENTS, STEP, adamw
from stages.training.parallel.world import BACKENDS, World
from stages.training.policy import Policy, gathered
from stages.training.rows import Row


@contextlib.contextmanager
def _configured(file: Path | None) -> Iterator[None]:
    """Raises UsageError for what DeepSpeed says against the user's `file`; without one it is our fault."""
    from deepspeed.runtime.config import DeepSpeedConfigError

    try:
        yield
    except (
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        AssertionError,
        DeepSpeedConfigError,
    ) as error:
        if file is None:
            raise
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise UsageError(f"--deepspeed {file}: DeepSpeed does not take it: {said}") from error


class _AdamW(torch.optim.AdamW):
    """AdamW that leaves everything as it is after a gradient of 0."""

    zero: Any = None  # DeepSpeed's optimiser, which has the norm when it calls this one
    decays: bool = False

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if self.zero._global_grad_norm > 0 or self.decays:
            super().step(closure)


class _Pass(torch.nn.Module):
    """A policy's pass over a row as a module, whose weights DeepSpeed gathers as they are needed."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.model, self.compute = policy.model, policy.compute

    def forward(self, row: Row, temperature: float) -> tuple[Tensor, Tensor]:
        return self.compute(row, temperature)


class Zero:
    """A `Strategy` over the ranks of `world`."""

    def __init__(self, policy: Policy, optimizer: Optimizer, world: World) -> None:
        """Raises Unavailable where DeepSpeed is missing, and what `configuration` raises."""
        device = policy.device.type
        config = configuration(
            world.parallelism,
            clip=optimizer.clip,
            dtype=policy.dtype,
            device=device,
            half=policy.autocast,
            lora=policy.lora,
        )
        self.bf16 = config["bf16"]["enabled"]
        self.whole = config["zero_optimization"]["stage"] < 3
        deepspeed = _deepspeed(device)
        self.policy, self.world = policy, world
        self.named = dict(policy.parameters())
        policy.autocast = policy.autocast and not self.bf16
        self.adamw = _AdamW(**adamw(policy, optimizer))
        module = _Pass(policy)
        if not self.whole:  # its product is computed outside of the layer
            head = policy.head.weight
            deepspeed.zero.register_external_parameter(module, head)
        with _configured(world.parallelism.deepspeed):
            if policy.unread is not None:
                shares = deepspeed.zero.Init(config_dict_or_path=config)
        if policy.unread is not None:
            self._share_out(shares)
        with _configured(world.parallelism.deepspeed):
            self.engine, *_ = deepspeed.initialize(
                model=module, optimizer=self.adamw, config=config, dist_init_required=False
            )
        for group in torch.distributed.distributed_c10d._world.pg_map:  # DeepSpeed has made some of its own
            group.set_timeout(world.timeout)
        self.adamw.zero, self.adamw.decays = self.engine.optimizer, bool(optimizer.weight_decay)
        self._begin_moments()
        if device == "cpu":  # what was laid out anew is free now, in blocks too small for what follows
            give_back_memory()
        policy.through = self.engine

    def _share_out(self, shares: Any) -> None:
        """Reads one weight after the other, and keeps a share of it; DeepSpeed itself would have rank 0 send
        every whole one.
        """
        for weight, values in self.policy.values():
            weight.data = values.to(weight.device, shares.dtype)
            shares._convert_to_deepspeed_param(weight)
            weight.partition()

    def begin(self) -> None:
        return None

    def backward(self, loss: Tensor, *, last: bool) -> None:
        self.engine.set_gradient_accumulation_boundary(last)
        self.engine.backward(loss * self.world.size)

    def step(self, rate: float) -> float:
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.engine.step()
        overflow = self.engine.optimizer.overflow
        return math.nan if overflow else float(self.engine.optimizer._global_grad_norm)

    def state(self) -> Iterator[Share]:
        (steps,) = {float(state[STEP]) for state in self._flat_states()} or {0.0}
        for name, weight in self.named.items():
            start, values = self._share(weight)
            for key, value in values.items():
                yield Share(f"{key}.{name}", start, value)
            if start == 0 and values:
                yield Share(f"{STEP}.{name}", 0, torch.tensor([steps]))

    @torch.no_grad()
    def restore(self, stored: Stored) -> None:
        for name, weight in self.named.items():
            start, values = self._share(weight)
            for key, value in values.items():
                if key == "weight" or f"{key}.{name}" in stored:  # a weight without gradients has no moments
                    value.copy_(stored.read(f"{key}.{name}", start, start + len(value)))
        for known in list(stored.names(f"{STEP}."))[:1]:  # all weights were updated as often
            for state in self._flat_states():
                state[STEP].copy_(stored.read(f"{STEP}.{known}", 0, 1)[0])

    def _share(self, weight: Any) -> tuple[int, dict[str, Tensor]]:
        """Where this rank's share of a weight begins, and the share of it and of its moments in float32: what
        DeepSpeed computes with, and no copy. It may be empty.
        """
        moments = MOMENTS[1:]
        if self.whole:
            fragment = weight._hp_mapping
            if fragment is None:
                return 0, {}
            kept = {"weight": fragment.hp_fragment}
            kept |= {key: fragment.get_optim_state_fragment(key) for key in moments}
            return fragment.lp_fragment_address.start, kept
        zero = self.engine.optimizer
        group, place, size = zero.grad_position[zero.get_param_id(weight)]
        start = zero._get_param_partition_rank(weight) * size
        size = min(size, weight.ds_numel - start)  # what follows fills the last share up
        if size <= 0:
            return 0, {}
        flat = zero.fp32_partitioned_groups_flat[group]
        kept = {"weight": flat.narrow(0, place, size)}
        kept |= {key: self.adamw.state[flat][key].narrow(0, place, size) for key in moments}
        return start, kept

    def weights(self) -> Iterator[Piece] | None:
        if self.whole and not self.bf16:
            return None
        return (
            Piece(name, torch.float32, self._shape(weight), partial(self._gathered, weight, layer))
            for name, weight, layer in unadapted(self.policy.unwrapped)
        )

    @torch.no_grad()
    def _gathered(self, weight: Any, layer: Any) -> Tensor:
        """All of a weight in float32, with what the adapters of its `layer` add; all ranks ask for it
        together.
        """
        from deepspeed.utils import safe_get_full_fp32_param

        if layer is not None:
            with gathered(list(layer.parameters())):
                return added(weight, layer)
        if weight.requires_grad:
            whole: Tensor = safe_get_full_fp32_param(weight)
            return whole
        with gathered(weight):
            copy: Tensor = weight.detach().float().clone()
            return copy

    def _begin_moments(self) -> None:
        """AdamW's state before the first step, which AdamW itself makes at the first step only."""
        for flat in self._flats():
            self.adamw.state[flat] = {
                "step": torch.zeros((), device=flat.device),
                "exp_avg": torch.zeros_like(flat),
                "exp_avg_sq": torch.zeros_like(flat),
            }
        if self.whole:
            self.engine.optimizer._lazy_init_hp_params_optimizer_state()

    def _flats(self) -> list[Tensor]:
        """This rank's shares of the weights in float32, each a vector."""
        zero = self.engine.optimizer
        found: list[Tensor] = (
            zero.single_partition_of_fp32_groups if self.whole else zero.fp32_partitioned_groups_flat
        )
        return found

    def _flat_states(self) -> list[dict[str, Tensor]]:
        return [self.adamw.state[flat] for flat in self._flats()]

    def _shape(self, weight: Any) -> torch.Size:
        shape: torch.Size = weight.shape if self.whole else weight.ds_shape
        return shape


def _deepspeed(device: str) -> Any:
    """The library, told what it computes on, and to be silent."""
    os.environ.setdefault("DS_ACCELERATOR", device)
    os.environ.setdefault("LOCAL_RANK", "0")
    try:
        import deepspeed
    except ImportError as error:
        raise Unavailable(f"--zero needs DeepSpeed ({error})", install=INSTALL) from None
    deepspeed.utils.logger.setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    # It would be compiled now, and leave its shared memory behind where a rank is killed.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if not torch.distributed.is_initialized():  # one process that wants its optimiser offloaded
        store = torch.distributed.HashStore()  # type: ignore[attr-defined]
        torch.distributed.init_process_group(BACKENDS[device], store=store, rank=0, world_size=1)
    return deepspeed
