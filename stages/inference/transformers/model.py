"""A model loaded by transformers: looked at before it takes memory, whole, and proven before it is used."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from stages.checkpoints.adapter import merged
from stages.checkpoints.contents import check_files, refuse_excess
from stages.checkpoints.files_in_use import unchanged
from stages.checkpoints.loading import hide_unneeded, hold_memory, loading, refuse_gaps
from stages.checkpoints.parse import read_json
from stages.checkpoints.remote_code import refuse_code
from stages.checkpoints.unread import Unread, lay_out
from stages.inference.transformers.execution import Execution
from stages.inference.transformers.proof import prove
from stages.inference.transformers.ragged import register
from stages.inference.transformers.reduced import few_layers
from stages.objectives.products import adopt, widen
from stages.runtime.errors import Unavailable
from stages.runtime.threads import threads
from stages.settings.groups import Engine, check_device

# Where transformers seeks the text of a model that has several parts.
PARTS = ("text_encoder", "decoder", "generator", "text_config")


def load_model(model: str, engine: Engine, adapter: Path | None = None) -> Any:
    """A causal language model with an `adapter` merged into it; how it is executed is proved (proof.py)."""
    hide_unneeded()
    from transformers import AutoModelForCausalLM

    register()
    with unchanged(model):
        _check_kind(model, engine.trust_remote_code)
        loaded = load_weights(AutoModelForCausalLM, model, engine)
        fixed = not loaded._can_set_attn_implementation()  # it is chosen when the model is made
        if fixed and loaded.config._attn_implementation != "eager":
            loaded = load_weights(AutoModelForCausalLM, model, engine, attention="eager")
    if adapter is not None:
        loaded = merged(loaded, adapter)
    adopt(loaded)
    widen(loaded)
    with loading(model):  # what the configuration makes impossible shows here
        prove(loaded)
    return loaded


def load_unread(model: str, engine: Engine, *, planned: bool = False) -> tuple[Any, Unread] | None:
    """What `load_model` loads in float32, of weights that are read when they are wanted; None where they
    cannot be (unread.py). How it is executed is proved by its first layers, unless that is `planned` only.
    """
    hide_unneeded()
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    register()
    torch.set_num_threads(threads(engine.threads))
    trust, device = bool(engine.trust_remote_code), device_of(engine)
    with unchanged(model):
        _check_kind(model, engine.trust_remote_code)
        with loading(model, trust=trust):
            _check_size(AutoModelForCausalLM, model, trust=trust)
            config = AutoConfig.from_pretrained(model, trust_remote_code=trust)
            outline = described(AutoModelForCausalLM, config, trust=trust)
        found = None if outline is None else lay_out(model, outline, device)
        if found is None:
            return None
        made, unread = found
        fixed = not made._can_set_attn_implementation()
        if fixed and made.config._attn_implementation != "eager":
            found = lay_out(model, outline, device, attention="eager")
            if found is None:
                return None
            made, unread = found
        with suppress(OSError):  # not every model has the file
            made.generation_config = GenerationConfig.from_pretrained(model)
        made.name_or_path = made.config.name_or_path = model
        adopt(made)
        widen(made)
        if not planned:
            with few_layers(made, always=True), unread.filled(made.parameters()), loading(model):
                prove(made)
    return made, unread


def laid_out(model: str, engine: Engine) -> Any:
    """The causal language model that `load_model` would load, of weights that have shapes and no values.

    How it is executed is not proved. A model whose code asks for values as it is laid out is loaded.
    """
    hide_unneeded()
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    trust = bool(engine.trust_remote_code)
    with unchanged(model):
        _check_kind(model, engine.trust_remote_code)
        with loading(model, trust=trust):
            config = AutoConfig.from_pretrained(model, trust_remote_code=trust)
            made = described(AutoModelForCausalLM, config, trust=trust)
            if made is None:
                return load_model(model, engine)
            with suppress(OSError):  # not every model has the file
                made.generation_config = GenerationConfig.from_pretrained(model)
    made.r1_execution = Execution(type(made).__name__)
    return made.float().eval()


def _check_kind(model: str, trust: bool | None) -> None:
    """Raises Unavailable for an architecture that transformers has, and not for text alone."""
    from transformers import AutoConfig, PretrainedConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    check_files(model)
    refuse_code(model, trust)
    with loading(model, trust=trust):
        config = AutoConfig.from_pretrained(model, trust_remote_code=bool(trust))
    kind = config.model_type
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not getattr(config, "auto_map", None):
        raise Unavailable(
            f"{model} is a {kind}, which transformers does not load as a causal language model; "
            "--backend vllm generates with it where vLLM knows it; to train, take a model for text alone"
        )
    parts = [name for name in PARTS if isinstance(getattr(config, name, None), PretrainedConfig)]
    if len(parts) > 1:
        raise Unavailable(
            f"{model} is a {kind} of several parts ({', '.join(parts)}), none of which is a causal language "
            "model by itself; take a model for text alone"
        )


def load_weights(automatic: Any, model: str, engine: Engine, attention: str | None = None) -> Any:
    """`model` as transformers' class `automatic` reads it, whole, on the engine's device, for inference.

    Its files and its code are checked by then. Without `attention` it is the one that transformers prefers.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(threads(engine.threads))
    device = device_of(engine)
    if device == "cpu":
        hold_memory()
    dtype = engine.dtype
    if dtype == "auto":
        dtype = "bfloat16" if computes_in_half(engine, torch.device(device)) else "float32"
    trust = engine.trust_remote_code
    if Path(model).is_dir():
        with loading(model, trust=trust):
            _check_size(automatic, model, trust=bool(trust))
    first = min((path.name for path in Path(model).glob("*.safetensors")), default="")
    with unchanged(model), loading(model, "the weights of ", first, trust=trust):
        loaded, info = automatic.from_pretrained(
            model,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=bool(trust),
            **({"attn_implementation": attention} if attention else {}),
        )
        if info["missing_keys"]:
            _refuse_part(model, loaded)
        refuse_gaps(model, info)
    return loaded.to(device).eval()


def _refuse_part(model: str, loaded: Any) -> None:
    """Raises Unavailable where what was loaded is a part of the model, whose weights were not found."""
    if not Path(model).is_dir():
        return
    kind = read_json(Path(model) / "config.json").get("model_type")
    if kind != loaded.config.model_type:
        raise Unavailable(
            f"{model} is a {kind}, in whose weights transformers does not find those of its part for text, "
            f"{type(loaded).__name__}; --backend vllm generates with it where vLLM knows it"
        )


def _check_size(automatic: Any, model: str, *, trust: bool) -> None:
    """Raises BadInput where a model far larger than its files is described, before it takes memory."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model, trust_remote_code=trust)
    laid_out = described(automatic, config, trust=trust)
    if laid_out is not None:
        refuse_excess(model, sum(weight.numel() for weight in laid_out.parameters()), config.to_dict())


def described(automatic: Any, config: Any, *, trust: bool) -> Any:
    """The model that `config` describes, of weights that take no memory; None where its code asks for values
    as it is laid out. Raises what transformers does.
    """
    try:
        with torch.device("meta"):
            return automatic.from_config(config, trust_remote_code=trust)
    except NotImplementedError:
        return None


def device_of(engine: Engine) -> str:
    """What `engine` computes on. Raises UsageError for what is no device, Unavailable for one that is not
    there.
    """
    if engine.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    _check_device(engine.device)
    return engine.device


def _check_device(device: str) -> None:
    check_device(device)
    if device == "cpu":
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise Unavailable(f"--device {device}: torch sees no GPU; use --device cpu")
    if int(device.partition(":")[2] or 0) >= count:
        raise Unavailable(f"--device {device}: torch sees {count} GPUs, from cuda:0")


def computes_in_half(engine: Engine, device: torch.device) -> bool:
    """Whether passes run in bfloat16: where `engine` says so, and on a GPU that has it unless it says
    otherwise.
    """
    if engine.dtype != "auto":
        return engine.dtype == "bfloat16"
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
