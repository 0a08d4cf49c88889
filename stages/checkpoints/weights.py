"""The weights of a checkpoint in another floating-point type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.checkpoints import shards
from stages.checkpoints.parse import INDEX, read_json
from stages.runtime.errors import R1Error

FLOATS = (torch.float32, torch.bfloat16, torch.float16)


def tensors_of(directory: Path) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a checkpoint, one at a time; of files beside those that its index names, none."""
    whole = (directory / INDEX).exists() or any(directory.glob("model*.safetensors"))
    return shards.read(directory, "model" if whole else "")


def cast(tensors: Iterator[tuple[str, Tensor]], dtype: str, exact: set[str]) -> Iterator[tuple[str, Tensor]]:
    """The tensors, those of the usual types in `dtype`; with a part of their name in `exact` they stay.

    Raises R1Error where a number is too large for `dtype`.
    """
    wanted = getattr(torch, dtype)
    for name, tensor in tensors:
        if tensor.dtype not in FLOATS or tensor.dtype == wanted or any(part in name for part in exact):
            yield name, tensor
            continue
        made = tensor.to(wanted)
        if torch.isinf(made).any() and not torch.isinf(tensor).any():
            raise R1Error(f"{name} has numbers that {dtype} cannot hold; give --dtype bfloat16")
        yield name, made


def exact_parts(config: dict[str, Any]) -> set[str]:
    """What stands in names of weights that stay in float32, by the class that the configuration names."""
    import transformers

    kind: Any = getattr(transformers, str((config.get("architectures") or [""])[0]), None)
    lists = (getattr(kind, f"_keep_in_fp32_modules{end}", None) or () for end in ("", "_strict"))
    return {part for parts in lists for part in parts}


def declare(directory: Path, dtype: str) -> None:
    """Says `dtype` in `config.json`, wherever it says one."""
    path = directory / "config.json"
    config = read_json(path)
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in ("dtype", "torch_dtype"):
            if key in part or (part is config and key == "dtype"):
                part[key] = dtype
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")


def dtype_in(file: Path) -> str:
    """The type of the first tensor in a file: bfloat16, float16, or float32 for any other."""
    from safetensors import safe_open

    with safe_open(file, "pt") as stored:
        first = next(iter(stored.keys()), None)
        kind = "" if first is None else str(stored.get_tensor(first).dtype).rpartition(".")[2]
    return kind if kind in ("bfloat16", "float16") else "float32"
