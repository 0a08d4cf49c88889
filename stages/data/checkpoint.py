"""Checkpoints: plain Hugging Face directories with an `r1.json` that says where they come from.

A checkpoint is written under a temporary name and renamed, so a directory that exists is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.data.errors import BadInput, R1Error, StreamError, UsageError
from stages.data.record import code_version

MANIFEST = "r1.json"
CONFIGS = ("config.json", "adapter_config.json")
# How Rust names the system's error; safetensors and tokenizers say it in the text of their own errors.
OS_ERROR = re.compile(r"\(os error (\d+)\)")
BROKEN = "the model may be whole: delete this file to use it without its history"


@dataclass(frozen=True)
class Checkpoint:
    """What a training stage returns: the directory, and what its `r1.json` holds."""

    path: Path
    manifest: dict[str, Any]


def refuse_existing(path: Path) -> None:
    """Raises UsageError where `path` is taken: a checkpoint is never overwritten."""
    if path.exists():
        raise UsageError(f"{path} exists; choose another -o, or delete it first")


def partial_of(path: Path) -> Path:
    """Where an unfinished run keeps its work: `OUT.partial` beside `OUT`."""
    return path.with_name(path.name + ".partial")


def refuse_unfinished(path: Path, *, resume: bool) -> None:
    """Raises UsageError where `path` is taken, or unfinished work is in the way and `resume` is not set."""
    refuse_existing(path)
    work = partial_of(path)
    begun = any(made.is_file() and made.stat().st_size for made in work.rglob("*"))
    if begun and not resume:
        raise UsageError(
            f"{work} holds an unfinished run; add --resume to go on with it, or delete it"
        )


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A new directory to fill, renamed to `path` when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            mask = os.umask(0)
            os.umask(mask)
            for made in temporary.rglob("*"):  # safetensors keeps its files from everyone else
                if made.is_file():
                    made.chmod(0o666 & ~mask)
            if path.exists():
                old = path.with_name(f".{path.name}.old.{os.getpid()}")
                os.rename(path, old)
                os.rename(temporary, path)
                shutil.rmtree(old)
            else:
                os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises StreamError where the block cannot write `path`, whatever library it writes with."""
    try:
        yield
    except R1Error:
        raise
    except Exception as error:
        known = OS_ERROR.search(str(error))
        if known is not None:
            reason = os.strerror(int(known[1]))
        elif isinstance(error, OSError):
            reason = error.strerror or str(error)
        else:
            raise
        raise StreamError(f"cannot write {path}: {reason}") from error


def write_manifest(
    directory: Path,
    *,
    stage: str,
    options: Mapping[str, Any],
    parent: str | None,
    inputs: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes `r1.json` into `directory` and returns it."""
    manifest: dict[str, Any] = {
        "stage": stage,
        "options": dict(options),
        "parent": {"model": parent, "revision": revision(parent)} if parent else None,
        "inputs": dict(inputs),
        "versions": versions(),
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
    except ValueError as error:
        raise BadInput(f"not JSON ({error})", place=str(path), remedy=BROKEN) from None
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror}") from error
    options = manifest.get("options", {}) if isinstance(manifest, dict) else None
    if not isinstance(options, dict):
        raise BadInput("not a manifest of r1", place=str(path), remedy=BROKEN)
    return manifest


def revision(model: str) -> str:
    """A short name of a model's content: equal weights and configuration, equal revision.

    A directory is named by a digest of its configuration and of each weight file's size, first and last
    MiB; a hub name stands for itself.
    """
    directory = Path(model)
    if not directory.is_dir():
        return model
    state = hashlib.blake2b(digest_size=8)
    for path in sorted(directory.iterdir()):
        if path.name in CONFIGS or path.name.endswith(".safetensors"):
            size = path.stat().st_size
            state.update(f"{path.name} {size} ".encode())
            with open(path, "rb") as stream:
                state.update(stream.read(1 << 20))
                if size > 2 << 20:
                    stream.seek(-(1 << 20), os.SEEK_END)
                    state.update(stream.read())
    return state.hexdigest()


def versions() -> dict[str, str]:
    """Versions of this program and of what it computes with, for `r1.json`."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"r1cli": code_version()}
    for name in ("torch", "transformers", "tokenizers", "peft"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
