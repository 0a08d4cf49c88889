"""The weights of a checkpoint in another floating-point type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.checkpoints import shards
from stages.checkpoints.parse import INDEX, read_json
from stages.checkpoints.shards import Piece
from stages.runtime.errors import R1Error

FLOATS = (torch.float32, torch.bfloat16, torch.float16)


def tensors_of(directory: Path) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a checkpoint, one at a time; of files beside those that its index names, none."""
    return shards.read(directory, stem_of(directory))


def stem_of(directory: Path) -> str:
    """How the names of a checkpoint's files of weights begin."""
    whole = (directory / INDEX).exists() or any(directory.glob("model*.safetensors"))
    return "model" if whole else ""


def cast(tensors: Iterator[tuple[str, Tensor]], dtype: str, exact: set[str]) -> Iterator[tuple[str, Tensor]]:
    """The tensors, those of the usual types in `dtype`; with a part of their name in `exact` they stay.

    Raises R1Error where a number is too large for `dtype`.
    """
    for name, tensor in tensors:
        yield name, _cast(name, tensor, _type_in(name, tensor.dtype, dtype, exact))


def cast_pieces(pieces: Iterator[Piece], dtype: str, exact: set[str]) -> Iterator[Piece]:
    """As `cast`, of tensors that are not read yet; the error is raised where one is made."""
    for each in pieces:
        wanted = _type_in(each.name, each.dtype, dtype, exact)
        yield each._replace(dtype=wanted, make=partial(_made, each, wanted))


def _made(each: Piece, wanted: torch.dtype) -> Tensor:
    return _cast(each.name, each.make(), wanted)


def _type_in(name: str, present: torch.dtype, dtype: str, exact: set[str]) -> torch.dtype:
    kept = present not in FLOATS or any(part in name for part in exact)
    wanted: torch.dtype = present if kept else getattr(torch, dtype)
    return wanted


def _cast(name: str, tensor: Tensor, wanted: torch.dtype) -> Tensor:
    made = tensor.to(wanted)
    if made is not tensor and torch.isinf(made).any() and not torch.isinf(tensor).any():
        dtype = str(wanted).removeprefix("torch.")
        raise R1Error(f"{name} has numbers that {dtype} cannot hold; give --dtype bfloat16")
    return made


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
