"""What a conversion of a checkpoint is asked for, looked at before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.checkpoints.adapter import WEIGHTS, largest_rank
from stages.checkpoints.checkpoint import dtype_of, revision
from stages.checkpoints.contents import ADAPTER, check_files
from stages.checkpoints.parse import read_json
from stages.checkpoints.template import choose_template, home_of
from stages.checkpoints.weights import dtype_in
from stages.conversion.card import training_of
from stages.runtime.errors import UsageError


@dataclass(frozen=True)
class Plan:
    """A checkpoint, or an adapter by itself, and how it is to be kept.

    `adapter` is put on the model; `shard` is the size of the largest file in GB. `options`, `parent` and
    `inputs` are what the manifest says.
    """

    source: Path
    dtype: str
    adapter: Path | None
    shard: float
    options: dict[str, Any]
    parent: tuple[str, str]
    inputs: dict[str, Any]

    @property
    def learned(self) -> Path:
        """What was trained last: the adapter, where there is one."""
        return self.source if self.adapter is None else self.adapter

    @property
    def alone(self) -> bool:
        """Whether the source is an adapter by itself."""
        return is_adapter(self.source)


def is_adapter(source: Path) -> bool:
    """Whether `source` holds an adapter and no model."""
    return (source / ADAPTER).is_file() and not (source / "config.json").is_file()


def planned(source: Path, dtype: str, adapter: Path | None, shard: float) -> Plan:
    """The plan; `dtype` auto is what the weights have. Raises what keeps `source` from being converted."""
    _check(source, adapter)
    if dtype == "auto":
        dtype = dtype_in(source / WEIGHTS) if is_adapter(source) else dtype_of(str(source))
    options = {"dtype": dtype, "adapter": None if adapter is None else str(adapter), "shard_size": shard}
    training = training_of(adapter or source)
    taught = adapter if adapter is not None and training else source
    if training or training_of(source):  # the model answers to the template that it was trained with
        chosen = choose_template(str(home_of(taught)), otherwise="")
        options |= {"template": chosen.name or None, "prefill": chosen.prefill}
    named = revision(str(source)) + ("" if adapter is None else f"+{revision(str(adapter))}")
    inputs = {"revision": named, **({"training": training} if training else {})}
    return Plan(source, dtype, adapter, shard, options, (str(source), named), inputs)


def _check(source: Path, adapter: Path | None) -> None:
    if is_adapter(source):
        if adapter is not None:
            raise UsageError(
                f"--adapter {adapter}: {source} is an adapter too; give the model that they are for"
            )
        largest_rank(source)
        return
    check_files(str(source))
    if adapter is not None:
        largest_rank(adapter)
    packed = read_json(source / "config.json").get("quantization_config")
    if packed:
        how = packed.get("quant_method", "packed") if isinstance(packed, dict) else "packed"
        raise UsageError(
            f"{source} is quantised ({how}), and its numbers have no other type; convert its origin"
        )
