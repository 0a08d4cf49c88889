"""DeepSpeed's ZeRO behind `Spread`: each rank holds a share of the optimiser, of gradients (2) and of weights (3).

DeepSpeed averages gradients over ranks, and the losses here are shares of one sum: they are multiplied by the number
of ranks. AdamW is torch's, on the GPU or the CPU, so nothing is compiled when a run begins.
"""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from stages.data.errors import StreamError, Unavailable, UsageError
from stages.data.options import Optimizer, Parallelism
from stages.training.policy import Policy, whole
from stages.training.rows import Row
from stages.training.spread import MOMENTS, adamw
from stages.training.world import BACKENDS, PATIENCE, World

INSTALL = "pip install -c constraints.txt -e '.[deepspeed]'"
BUCKET = (
    50_000_000  # elements reduced at once; DeepSpeed's own default holds 2 GB for it in float32
)
# What options say already, and what stands for it.
TAKEN = {
    "optimizer": "--lr and the options beside it",
    "scheduler": "--schedule",
    "gradient_clipping": "--clip",
    "train_batch_size": "--batch or --problems",
    "train_micro_batch_size_per_gpu": "--row-tokens",
    "gradient_accumulation_steps": "--row-tokens",
    "data_types": "--dtype",
}


def configuration(
    parallelism: Parallelism, *, clip: float, dtype: str, device: str, lora: bool
) -> dict[str, Any]:
    """What DeepSpeed is told: the user's file, filled in from the options.

    Raises UsageError where the file says what an option says, or what is not offered; StreamError where it cannot be read.
    """
    given = _given(parallelism)
    name = f"--deepspeed {parallelism.deepspeed}"
    for key, option in TAKEN.items():
        if key in given:
            raise UsageError(f"{name}: leave out {key}; {option} says it")
    parts = {key: given.pop(key, {}) for key in ("fp16", "bf16", "zero_optimization")}
    for key, part in parts.items():
        if not isinstance(part, dict):
            raise UsageError(f"{name}: {key} must be an object")
    if parts["fp16"].get("enabled"):
        raise UsageError(f"{name}: fp16 is not offered; leave it out, or give --dtype bfloat16")
    zero = dict(parts["zero_optimization"])
    stage = zero.get("stage", 0)
    if parallelism.zero and stage not in (0, parallelism.zero):
        raise UsageError(f"{name} says stage {stage}, and --zero says {parallelism.zero}")
    stage = parallelism.zero or stage
    if stage not in (1, 2, 3):
        raise UsageError(f"{name}: no stage of zero_optimization; give --zero 1, 2 or 3")
    # Under autocast each process would keep all weights once more in bfloat16 until the backward pass.
    usual = dtype == "auto" and device == "cuda" and stage > 1 and not lora
    bf16 = dtype == "bfloat16" or parts["bf16"].get("enabled", usual)
    if bf16 and stage == 1:
        raise UsageError("--dtype bfloat16 goes with --zero 2 or 3, which sum gradients in float32")
    memory = {"device": "cpu", "pin_memory": device == "cuda"}
    if parallelism.offload != "none":
        zero.setdefault("offload_optimizer", memory)
    if parallelism.offload == "all":
        if stage < 3:
            raise UsageError(f"--offload all: weights stay where they are under --zero {stage}; give --zero 3")  # fmt: skip
        zero.setdefault("offload_param", memory)
    for key in ("offload_optimizer", "offload_param"):
        if zero.get(key, {}).get("device") == "nvme":
            raise UsageError(f"{name}: {key} to nvme is not offered; its device may be cpu")
    return {
        "steps_per_print": 1 << 60,
        **given,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": clip,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": bf16, "check_grad_overflow": True},
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_optimization": {"reduce_bucket_size": BUCKET, **zero, "stage": stage},
    }


def _given(parallelism: Parallelism) -> dict[str, Any]:
    """The user's file without what it leaves to others, as transformers' users write it: "auto"."""
    if parallelism.deepspeed is None:
        return {}
    try:
        text = parallelism.deepspeed.read_text("utf-8")
    except OSError as error:
        raise StreamError(f"cannot read {parallelism.deepspeed}: {error.strerror}") from error
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--deepspeed {parallelism.deepspeed}: not JSON ({error})") from None

    def decided(value: dict[str, Any]) -> dict[str, Any]:
        return {
            key: decided(each) if isinstance(each, dict) else each
            for key, each in value.items()
            if each != "auto"
        }

    if not isinstance(given, dict):
        raise UsageError(f"--deepspeed {parallelism.deepspeed}: not a JSON object")
    return decided(given)


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
    """A `Spread` over the ranks of `world`."""

    def __init__(self, policy: Policy, optimizer: Optimizer, world: World) -> None:
        """Raises Unavailable where DeepSpeed is missing, and what `configuration` raises."""
        device = policy.device.type
        config = configuration(
            world.parallelism,
            clip=optimizer.clip,
            dtype=policy.dtype,
            device=device,
            lora=policy.lora,
        )
        self.bf16 = config["bf16"]["enabled"]
        self.whole = config["zero_optimization"]["stage"] < 3
        if policy.lora and (self.bf16 or not self.whole):
            raise UsageError(
                "--lora goes with --zero 1 or 2 and weights in float32: adapters are merged into whole weights"
            )
        deepspeed = _deepspeed(device)
        self.policy, self.world = policy, world
        self.named = dict(policy.parameters())
        policy.autocast = policy.autocast and not self.bf16
        self.adamw = _AdamW(**adamw(policy, optimizer))
        module = _Pass(policy)
        if not self.whole:  # its product is computed outside of the layer
            head = policy.plain.get_output_embeddings().weight
            deepspeed.zero.register_external_parameter(module, head)
        self.engine, *_ = deepspeed.initialize(
            model=module, optimizer=self.adamw, config=config, dist_init_required=False
        )
        self.adamw.zero, self.adamw.decays = self.engine.optimizer, bool(optimizer.weight_decay)
        self._begin_moments()
        policy.through = self.engine

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

    def state(self) -> Iterator[tuple[str, Tensor]]:
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        (steps,) = {float(state["step"]) for state in self._flat_states()} or {0.0}
        for name, weight in self.named.items():
            yield f"weight.{name}", safe_get_full_fp32_param(weight).view(self._shape(weight))
            yield f"step.{name}", torch.tensor(steps)
            for key in MOMENTS[1:]:
                moment = safe_get_full_optimizer_state(weight, key)
                yield f"{key}.{name}", moment.view(self._shape(weight))

    def restore(self, key: str, name: str, value: Tensor) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        weight = self.named[name]
        if key == "step":
            for state in self._flat_states():
                state["step"].copy_(value)
        elif key == "weight":
            safe_set_full_fp32_param(weight, value)
        else:
            safe_set_full_optimizer_state(weight, value, key)

    def weights(self) -> Iterator[tuple[str, Tensor]] | None:
        if self.whole and not self.bf16:
            return None
        return self._weights()

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        from deepspeed.utils import safe_get_full_fp32_param

        for name, weight in self.policy.plain.named_parameters():
            if weight.requires_grad:
                yield name, safe_get_full_fp32_param(weight).view(self._shape(weight))
            else:
                with whole(weight):
                    yield name, weight.detach().float()

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
            zero.single_partition_of_fp32_groups
            if self.whole
            else zero.fp32_partitioned_groups_flat
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
        torch.distributed.init_process_group(
            BACKENDS[device], store=store, rank=0, world_size=1, timeout=PATIENCE
        )
    return deepspeed
