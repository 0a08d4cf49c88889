"""Checkpoints: plain Hugging Face directories with an `r1.json` that says where they come from.

A checkpoint is written under another name and renamed, so a directory that exists is whole.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stages.checkpoints.hub import folder_of
from stages.records.record import code_version
from stages.runtime import atomic, reading
from stages.runtime.errors import BadInput, R1Error, StreamError, UsageError, naming

MANIFEST = "r1.json"
# What decides, beside the weights, what a model reads and writes.
CONFIGS = (
    "config.json", "adapter_config.json", "chat_template.jinja", "tokenizer_config.json",
    "tokenizer.json", "tokenizer.model",
)  # fmt: skip
# How Rust names the system's error; safetensors and tokenizers say it in the text of their own errors.
OS_ERROR = re.compile(r"\(os error (\d+)\)")
# What a checkpoint does not take over from its parent: weights in any form, and what runs leave beside them.
WEIGHTS = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".onnx_data",
    ".index.json",
)  # fmt: skip
LEFT = re.compile(
    r"r1\.json|adapter|.*\.(jsonl|journal)|rollouts|traces|eval|steps|best|state|lock|runs|tensorboard"
    r"|(checkpoint|global_step)-?\d+|trainer_state\.json|latest|zero_to_fp32\.py|\..*|__pycache__"
)
# What a run has in its folder before it has learned anything.
IDLE = re.compile(r"\..*|lock|tensorboard|offending.*|best|eval|eval\.jsonl|eval_\d+\.journal")
BROKEN = "the model may be whole: delete this file to use it without its history"


@dataclass(frozen=True)
class Checkpoint:
    """What a training stage returns: the directory, and what its `r1.json` holds."""

    path: Path
    manifest: dict[str, Any]


def refuse_existing(path: Path) -> None:
    """Raises UsageError where `path` is taken: a checkpoint is never overwritten."""
    if os.path.lexists(path):  # also a link that leads nowhere, which no directory can replace
        raise UsageError(f"{path} exists; choose another -o, or delete it first")


def completed(
    path: Path,
    stage: str,
    *,
    options: Mapping[str, Any],
    resume: bool,
    held: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> Checkpoint | None:
    """Under `resume`: the checkpoint that an earlier run of the same command made at `path`; else None.

    `held` is the manifest of what is no directory. Raises UsageError where `path` is taken by anything else.
    """
    manifest = dict(held or {}) or (read_manifest(path) if resume and path.is_dir() else {})
    if manifest.get("stage") != stage:
        refuse_existing(path)
        return None
    asked = {"options": dict(options), "inputs": inputs}
    if any(manifest.get(name) != json.loads(json.dumps(asked[name])) for name in asked):
        raise UsageError(
            f"{path} is complete, but made with other options; choose another -o, or delete it first"
        )
    return Checkpoint(path, manifest)


def partial_of(path: Path) -> Path:
    """Where an unfinished run keeps its work: `OUT.partial` beside `OUT`."""
    return path.with_name(path.name + ".partial")


def has_begun(path: Path) -> bool:
    """Whether `OUT.partial` has something to lose: whatever stands there but what `idle` knows."""
    work = partial_of(path)
    return any(
        made.is_file() and made.stat().st_size and not idle(work / made.relative_to(work).parts[0])
        for made in work.rglob("*")
    )


def idle(path: Path) -> bool:
    """Whether a run has this in its folder before it has learned anything: it is in nobody's way."""
    if path.name != "metrics.jsonl":
        return IDLE.fullmatch(path.name) is not None
    try:
        with reading.opened(path) as stream:
            first = list(islice(stream, 2))
    except OSError:  # nobody knows what is in it
        return False
    # A line without its end is what a kill has left of the first.
    return all(line.startswith(b'{"step":0,') or not line.endswith(b"\n") for line in first)


def refuse_unfinished(path: Path, *, resume: bool) -> None:
    """Raises UsageError where `path` is taken, or unfinished work is in the way and `resume` is not set."""
    refuse_existing(path)
    if has_begun(path) and not resume:
        raise UsageError(
            f"{partial_of(path)} holds an unfinished run; add --resume to go on with it, or delete it"
        )


@contextlib.contextmanager
def appearing(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A new directory to fill, which appears as `path` when the block ends without an error.

    What stands at `path` by then is an error, unless it is to be replaced.
    """
    with writing(path), atomic.directory(path, replace=replace) as directory:
        yield directory
        if not replace:
            refuse_existing(path)


def take_over(parent: str, directory: Path, *, generates: bool = True) -> None:
    """Copies what `parent` has beside its weights and `directory` has not: processors, code, licences, and
    how to generate where the model `generates`.

    Of a name on the hub it is what has been downloaded.
    """
    source = folder_of(parent)
    if source is None:
        return
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if any(LEFT.fullmatch(part) for part in name.parts) or not path.is_file():
            continue
        target = directory / name
        if name.name.endswith(WEIGHTS) or target.exists():
            continue
        if name.name == "generation_config.json" and not generates:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with naming("read", path), reading.opened(path) as stream:
            content = stream.read()
        target.write_bytes(content)


def dtype_of(model: str) -> str:
    """What a model's weights are kept in: float32, bfloat16 or float16, where `config.json` says so."""
    folder = folder_of(model)
    if folder is None:
        return "float32"
    path = folder / "config.json"
    try:
        with naming("read", path):
            config = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except ValueError:
        return "float32"
    inner = config.get("text_config") or {}
    named = config.get("dtype") or config.get("torch_dtype") or inner.get("dtype")
    return named if named in ("float32", "bfloat16", "float16") else "float32"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises StreamError where the block cannot write `path`, whatever library it writes with."""
    try:
        with atomic.writing(path):
            yield
    except R1Error:
        raise
    except Exception as error:
        known = OS_ERROR.search(str(error))
        if known is None:
            raise
        raise StreamError(f"cannot write {path}: {os.strerror(int(known[1]))}") from error


def write_manifest(
    directory: Path,
    *,
    stage: str,
    options: Mapping[str, Any],
    parent: tuple[str, str] | None,
    inputs: Mapping[str, Any],
    metrics: Mapping[str, Any],
    computes: str = "",
) -> dict[str, Any]:
    """Writes `r1.json` into `directory` and returns it. `parent` is a model and its revision; `computes` the
    type of the passes that it was trained in.
    """
    manifest: dict[str, Any] = {
        "stage": stage,
        "options": dict(options),
        "parent": {"model": parent[0], "revision": parent[1]} if parent else None,
        "inputs": dict(inputs),
        "versions": versions(),
        **({"computes": computes} if computes else {}),
        "metrics": dict(metrics),
        "revision": revision(str(directory)),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False, default=str)
    (directory / MANIFEST).write_text(text + "\n", "utf-8")
    return manifest


def read_manifest(directory: Path) -> dict[str, Any]:
    """What `r1.json` says, or {} for a checkpoint that another program made.

    Raises BadInput where it is there and says nothing that can be read.
    """
    path = directory / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise BadInput(f"not JSON ({why})", place=str(path), remedy=BROKEN) from None
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror}") from error
    options = manifest.get("options", {}) if isinstance(manifest, dict) else None
    if not isinstance(options, dict):
        raise BadInput("not a manifest of r1", place=str(path), remedy=BROKEN)
    return manifest


def revision(model: str) -> str:
    """A short name of a model's content: its weights, configuration, tokenizer and chat template.

    A directory is named by a digest of the size, first and last MiB of each of these files; a hub name stands
    for itself.
    """
    directory = Path(model)
    if not os.path.isdir(directory):
        return model
    state = hashlib.blake2b(digest_size=8)
    for path in sorted(directory.iterdir()):
        if path.name in CONFIGS or path.name.endswith(".safetensors"):
            with naming("read", path), reading.opened(path) as stream:
                size = os.fstat(stream.fileno()).st_size
                state.update(f"{path.name} {size} ".encode())
                state.update(stream.read(1 << 20))
                if size > 2 << 20:
                    stream.seek(-(1 << 20), os.SEEK_END)
                    state.update(stream.read())
    return state.hexdigest()


def versions(*more: str) -> dict[str, str]:
    """Versions of this program and of what it computes with, for `r1.json`, and of `more` packages."""
    packages = ("torch", "transformers", "tokenizers", "peft", *more)
    found = {name: _version(name) for name in packages}
    return {"r1cli": code_version(), **{name: number for name, number in found.items() if number is not None}}


@functools.cache  # 4 ms each, at every state that is saved
def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
