"""What DeepSpeed is told: the user's file, filled in from the options, and what is wrong with them.

Nothing of torch or DeepSpeed is loaded for it, so that a run finds out before it loads a model.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

from stages.runtime import rank
from stages.runtime.errors import StreamError, Unavailable, UsageError
from stages.settings.groups import Parallelism

INSTALL = "pip install -c constraints.txt -e '.[deepspeed]'"
BUCKET = 50_000_000  # elements reduced at once; DeepSpeed's own default holds 2 GB for it in float32
# Weights that stay gathered once a layer is computed: under DeepSpeed's own 1e9 a smaller model stays whole.
LAYERS = {"stage3_max_live_parameters": BUCKET, "stage3_max_reuse_distance": BUCKET}
USUAL = {stage: {"reduce_bucket_size": BUCKET, **(LAYERS if stage == 3 else {})} for stage in (1, 2, 3)}
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
# What a value must be, by the name of its key; DeepSpeed itself says what it thinks of other keys.
KINDS: dict[str, tuple[str, tuple[type, ...], frozenset[str]]] = {
    "object": (
        "an object",
        (dict,),
        frozenset((
            "fp16", "bf16", "zero_optimization", "offload_optimizer", "offload_param", "zenflow",
            "leaf_module", "activation_checkpointing", "comms_logger", "flops_profiler", "tensorboard",
            "wandb", "comet", "csv_monitor", "aio", "torch_autocast", "compile", "checkpoint", "elasticity",
            "autotuning", "data_efficiency", "curriculum_learning", "compression_training", "tensor_parallel",
        )),
    ),
    "switch": (
        "true or false",
        (bool,),
        frozenset((
            "enabled", "contiguous_gradients", "reduce_scatter", "use_multi_rank_bucket_allreduce",
            "allgather_partitions", "overlap_comm", "compute_grad_norm", "load_from_fp32_weights",
            "elastic_checkpoint", "cpu_offload_param", "cpu_offload_use_pin_memory", "cpu_offload",
            "stage3_gather_16bit_weights_on_model_save", "stage3_use_all_reduce_for_fetch_params",
            "stage3_allgather_sequential", "stage3_gather_fp16_weights_on_model_save",
            "ignore_unused_parameters", "legacy_stage1", "round_robin_gradients", "parameter_alignment",
            "zero_quantized_weights", "zero_quantized_nontrainable_weights", "zero_quantized_gradients",
            "memory_efficient_linear", "pipeline_loading_checkpoint", "override_module_apply",
            "log_trace_cache_warnings", "enable_sanity_checks", "save_muon_momentum_buffer_in_memory",
            "pin_memory", "pipeline_read", "pipeline_write", "fast_init", "super_offload",
            "immediate_grad_update", "check_grad_overflow", "auto_cast", "wall_clock_breakdown",
            "memory_breakdown", "dump_state", "prescale_gradients", "sparse_gradients", "disable_allgather",
            "zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer",
        )),
    ),
    "number": (
        "a number",
        (int, float),
        frozenset((
            "stage", "reduce_bucket_size", "allgather_bucket_size", "sub_group_size",
            "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold",
            "stage3_model_persistence_threshold", "stage3_max_live_parameters", "stage3_max_reuse_distance",
            "stage3_module_granularity_threshold", "zero_hpz_partition_size", "buffer_count", "buffer_size",
            "max_in_cpu", "ratio", "cpuadam_cores_perc", "loss_scale", "initial_scale_power",
            "loss_scale_window", "hysteresis", "min_loss_scale", "steps_per_print",
            "gradient_predivide_factor",
        )),
    ),
    "text": ("a text", (str,), frozenset(("device", "nvme_path", "communication_data_type"))),
}  # fmt: skip
# The objects whose keys these are; others have keys of their own.
KNOWN = ("fp16", "bf16", "zero_optimization", "offload_optimizer", "offload_param")


def check_started(parallelism: Parallelism) -> None:
    """Raises UsageError where `nproc` processes were asked for and not started."""
    size = rank.size()
    if parallelism.nproc not in (1, size):
        raise UsageError(
            f"--nproc {parallelism.nproc}: the processes are started by the r1 command alone"
            + (f", and here another launcher has started {size}" if size > 1 else "")
        )


def check_parallelism(parallelism: Parallelism, *, dtype: str, lora: bool, planned: bool) -> None:
    """Raises UsageError for options that contradict each other, and what `configuration` raises; Unavailable
    where DeepSpeed is asked for and not installed, unless the run is only `planned`."""
    check_started(parallelism)
    shared_out = bool(parallelism.zero) or parallelism.deepspeed is not None
    if parallelism.offload != "none" and not shared_out:
        raise UsageError(f"--offload {parallelism.offload} is DeepSpeed's; give --zero 1, 2 or 3")
    if not shared_out:
        return
    configuration(parallelism, clip=1.0, dtype=dtype, device="cpu", half=False, lora=lora)
    if find_spec("deepspeed") is None and not planned:
        raise Unavailable("--zero needs DeepSpeed, which is not installed", install=INSTALL)


def stage_of(parallelism: Parallelism) -> int:
    """The stage of ZeRO; 0 without DeepSpeed. Raises what `configuration` raises."""
    if not parallelism.zero and parallelism.deepspeed is None:
        return 0
    config = configuration(parallelism, clip=1.0, dtype="auto", device="cpu", half=False, lora=False)
    return int(config["zero_optimization"]["stage"])


def configuration(
    parallelism: Parallelism, *, clip: float, dtype: str, device: str, half: bool, lora: bool
) -> dict[str, Any]:
    """What DeepSpeed is told: the user's file, filled in from the options; `half` says that passes compute in
    bfloat16.

    Raises UsageError where the file says what an option says, or what is not offered; StreamError where it
    cannot be read.
    """
    given = _given(parallelism)
    name = f"--deepspeed {parallelism.deepspeed}"
    for key, option in TAKEN.items():
        if key in given:
            raise UsageError(f"{name}: leave out {key}; {option} says it")
    _refuse_kinds(name, given)
    parts = {key: given.pop(key, {}) for key in ("fp16", "bf16", "zero_optimization")}
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
    usual = dtype == "auto" and half and stage > 1 and not lora
    bf16 = dtype == "bfloat16" or parts["bf16"].get("enabled", usual)
    if bf16 and stage == 1:
        raise UsageError("--dtype bfloat16 goes with --zero 2 or 3, which sum gradients in float32")
    if lora and bf16:
        raise UsageError("--lora under --zero goes with weights in float32: leave out --dtype bfloat16")
    memory = {"device": "cpu", "pin_memory": device == "cuda"}
    if parallelism.offload != "none":
        zero.setdefault("offload_optimizer", memory)
    if parallelism.offload == "all":
        if stage < 3:
            raise UsageError(
                f"--offload all: weights stay where they are under --zero {stage}; give --zero 3"
            )
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
        "zero_optimization": {**USUAL[stage], **zero, "stage": stage},
    }


def _refuse_kinds(name: str, given: dict[str, Any], within: str = "") -> None:
    """Raises UsageError for a value of another kind than its key is known for; `within` is the way to it."""
    for key, value in given.items():
        for said, types, keys in KINDS.values():
            if key in keys and (not isinstance(value, types) or (type(value) is bool and bool not in types)):
                raise UsageError(f"{name}: {within}{key} must be {said}, not {json.dumps(value)[:60]}")
        if key in KNOWN:
            _refuse_kinds(name, value, f"{within}{key}.")


def _given(parallelism: Parallelism) -> dict[str, Any]:
    """The user's file without what it leaves to others: null, or as transformers' users write it "auto"."""
    if parallelism.deepspeed is None:
        return {}
    try:
        text = parallelism.deepspeed.read_bytes()
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
            if each is not None and each != "auto"
        }

    if not isinstance(given, dict):
        raise UsageError(f"--deepspeed {parallelism.deepspeed}: not a JSON object")
    return decided(given)
