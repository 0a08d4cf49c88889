"""Tensors in safetensors files of bounded size, written while no more than one file's worth is held."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor

SHARD = 4 << 30  # bytes of one file, where nothing else is asked


def write(
    directory: Path | None,
    stem: str,
    tensors: Iterable[tuple[str, Tensor]],
    limit: float = SHARD,
) -> None:
    """`stem.safetensors`, or several files of at most `limit` bytes and the index that transformers reads.

    Without a `directory` the tensors are only gone through: the other ranks need this one to gather them.
    """
    from safetensors.torch import save_file

    sizes: list[dict[str, int]] = []
    held: dict[str, Tensor] = {}

    def flush() -> None:
        if directory is not None:
            save_file(held, _part(directory, stem, len(sizes)), metadata={"format": "pt"})
        sizes.append({name: tensor.nbytes for name, tensor in held.items()})
        held.clear()

    for name, tensor in tensors:
        if held and sum(t.nbytes for t in held.values()) + tensor.nbytes > limit:
            flush()
        if directory is not None:
            held[name] = tensor.detach().cpu().contiguous()
    if directory is None:
        return
    flush()
    if len(sizes) == 1:
        _part(directory, stem, 0).rename(directory / f"{stem}.safetensors")
        return
    names = [f"{stem}-{i + 1:05d}-of-{len(sizes):05d}.safetensors" for i in range(len(sizes))]
    for index, name in enumerate(names):
        _part(directory, stem, index).rename(directory / name)
    places = {key: name for name, part in zip(names, sizes, strict=True) for key in part}
    total = sum(sum(part.values()) for part in sizes)
    index_text = json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2)
    (directory / f"{stem}.safetensors.index.json").write_text(index_text + "\n", "utf-8")


def read(directory: Path, stem: str, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors whose names begin with `prefix`, one at a time, and their names without it."""
    from safetensors import safe_open

    for path in sorted(directory.glob(f"{stem}*.safetensors")):
        with safe_open(path, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - it is no dictionary
                if name.startswith(prefix):
                    yield name.removeprefix(prefix), stored.get_tensor(name)


def _part(directory: Path, stem: str, index: int) -> Path:
    return directory / f".{stem}-{index}.safetensors"
