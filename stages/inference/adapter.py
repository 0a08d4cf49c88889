"""LoRA adapters in the form in which peft saves them: a directory with `adapter_config.json` and safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stages.data.errors import Unavailable
from stages.inference.loading import loading

WEIGHTS = "adapter_model.safetensors"


def largest_rank(adapter: Path) -> int:
    """The rank of its largest matrix. Raises Unavailable where `adapter` is no LoRA adapter."""
    try:
        config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        kind, rank = config["peft_type"], int(config["r"])
        ranks = [rank, *map(int, (config.get("rank_pattern") or {}).values())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"--adapter {adapter}: no adapter_config.json of a LoRA there") from error
    if kind != "LORA":
        raise Unavailable(f"--adapter {adapter}: is a {kind} adapter, and only LoRA's are known")
    if not (adapter / WEIGHTS).is_file():
        raise Unavailable(f"--adapter {adapter}: has no {WEIGHTS}, and other files are not loaded")
    return max(ranks)


def merged(model: Any, adapter: Path) -> Any:
    """`model` with the adapter's product added to its weights. Raises Unavailable where it is not made for `model`."""
    largest_rank(adapter)
    from peft import PeftModel
    from peft.utils import get_peft_model_state_dict
    from safetensors import safe_open

    with loading(str(adapter), "the adapter ", checked=False):
        adapted = PeftModel.from_pretrained(model, str(adapter))
        with safe_open(adapter / WEIGHTS, "pt") as file:
            given = set(file.keys())
        odd = sorted(given ^ set(get_peft_model_state_dict(adapted)))
        if odd:
            raise Unavailable(
                f"--adapter {adapter}: is made for another model; {odd[0]} stands on one side only"
            )
        return adapted.merge_and_unload()
