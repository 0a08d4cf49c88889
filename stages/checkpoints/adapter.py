"""LoRA adapters as peft saves them: a directory with `adapter_config.json` and safetensors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.checkpoints.contents import ADAPTER
from stages.checkpoints.loading import loading
from stages.checkpoints.parse import read_header, read_json, wrong
from stages.runtime.errors import Unavailable

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "adapter_model.safetensors"


def largest_rank(adapter: Path) -> int:
    """The rank of its largest matrix. Raises Unavailable for what is no LoRA, BadInput for a broken one."""
    settings, weights = adapter / ADAPTER, adapter / WEIGHTS
    if not settings.is_file():
        raise Unavailable(f"--adapter {adapter}: no adapter_config.json of a LoRA there")
    config = read_json(settings)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise Unavailable(f"--adapter {adapter}: is a {kind} adapter, and only LoRA's are known")
    if not weights.is_file():
        raise Unavailable(f"--adapter {adapter}: has no {WEIGHTS}, and other files are not loaded")
    pattern = config.get("rank_pattern") or {}
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    # The matrices are made before they are compared with the file.
    widest = max((size for shape in read_header(weights).values() for size in shape), default=0)
    for rank in ranks:
        if type(rank) is not int or not 0 < rank <= widest:
            raise wrong(
                settings,
                f"a rank is {rank!r}, and the largest matrix in {WEIGHTS} has {widest} rows or columns",
            )
    return max(map(int, ranks))


def write(model: Any, base: str, directory: Path) -> None:
    """Makes `directory` with the adapter of `model`, which peft has adapted from the model called `base`."""
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save_file

    directory.mkdir()
    config = model.peft_config["default"]
    before = config.base_model_name_or_path, config.inference_mode
    config.base_model_name_or_path, config.inference_mode = base, True
    try:
        config.save_pretrained(directory)
    finally:
        config.base_model_name_or_path, config.inference_mode = before
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in state.items()}
    save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})


def unadapted(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """The weights of a transformers model by their names in a checkpoint, those of peft's adapters left out,
    and of each the layer whose adapters `added` adds to it, or None.
    """
    layers = {name: module for name, module in model.named_modules() if hasattr(module, "get_delta_weight")}
    for name, weight in model.named_parameters():
        layer, _, rest = name.rpartition(".base_layer.")
        if layer in layers:
            yield f"{layer}.{rest}", weight, layers[layer] if rest == "weight" else None
        elif ".lora_" not in name:
            yield name, weight, None


def added(weight: Tensor, layer: Any) -> Tensor:
    """A weight with the product of the adapters of its `layer`, which are all here; without one, itself."""
    value = weight.detach()
    for adapter in layer.active_adapters if layer is not None else ():
        value = value + layer.get_delta_weight(adapter)
    return value


def merged(model: Any, adapter: Path) -> Any:
    """`model` with the adapter's product added. Raises Unavailable where it is made for another model."""
    largest_rank(adapter)
    from peft import PeftModel
    from peft.utils import get_peft_model_state_dict
    from safetensors import safe_open

    with loading(str(adapter), "the adapter onto ", ADAPTER):
        adapted = PeftModel.from_pretrained(model, str(adapter))
        with safe_open(adapter / WEIGHTS, "pt") as file:
            given = set(file.keys())
        odd = sorted(given ^ set(get_peft_model_state_dict(adapted)))
        if odd:
            raise Unavailable(
                f"--adapter {adapter}: is made for another model; {odd[0]} stands on one side only"
            )
        return adapted.merge_and_unload()
