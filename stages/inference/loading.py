"""What may be wrong with a model that is loaded, said in one line: it is not there, not whole, not known.

transformers fills in missing weights at random with a warning, and meets broken files with a dozen
kinds of errors; here each ends the run before anything is computed.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.data.errors import R1Error, Unavailable

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
HUB = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)?")  # what a name on the hub looks like
REMEDY = "give a checkpoint directory, or a hub name this machine can reach"


def hold_memory() -> None:
    """Keeps memory that is freed for what is allocated next, where the C library is glibc.

    It would give large blocks back to the system at once and zero them, page by page, when it gets them again:
    a fifth of the time of training on a CPU.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@functools.cache
def hide_broken_media() -> None:
    """Makes libraries for images and sound look absent where they cannot be loaded, as builds for CUDA beside a CPU's torch.

    transformers loads them wherever they are installed, and fails with them; text needs none.
    """
    for name in ("torchvision", "torchaudio", "torchcodec"):
        if importlib.util.find_spec(name) is None:
            continue
        try:
            importlib.import_module(name)
        except Exception:
            for part in [part for part in sys.modules if part.partition(".")[0] == name]:
                del sys.modules[part]
            sys.modules[name] = None  # type: ignore[assignment]
            from transformers.utils import import_utils

            for known in (f"is_{name}_available", f"is_{name}_v2_available"):
                if hasattr(import_utils, known):
                    getattr(import_utils, known).cache_clear()


@contextmanager
def loading(model: str, what: str = "", *, checked: bool = True) -> Iterator[None]:
    """Raises Unavailable for whatever keeps `what` of the model from being loaded in the block.

    What the libraries warn of is an error here, so their loggers are told to be silent. `checked` looks at its files first.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if checked:
        check_files(model)
    try:
        yield
    except (R1Error, MemoryError):
        raise
    except Exception as error:
        if "not enough memory" in str(error) or "out of memory" in str(error):  # torch's own
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        why = said.partition(". ")[0][:240].rstrip(".")
        raise Unavailable(f"cannot load {what}{model}: {why}; {REMEDY}") from error


def check_files(model: str) -> None:
    """Raises Unavailable where the directory `model` is no checkpoint or its weight files are cut short.

    Only the headers of the weights are read. A name on the hub is not looked up.
    """
    directory = Path(model)
    if not directory.is_dir():
        if directory.exists():
            more = ": r1 convert makes a directory of it" if model.endswith(".gguf") else ""
            raise Unavailable(f"{model} is a file, and a checkpoint is a directory{more}")
        if not HUB.fullmatch(model):
            raise Unavailable(f"no checkpoint {model}: there is no such directory")
        return
    if not (directory / "config.json").is_file():
        raise Unavailable(f"{model} is no checkpoint: it has no config.json")
    paths = sorted(directory.glob("*.safetensors"))
    if not paths:
        raise Unavailable(
            f"{model} has no weights: no .safetensors file, and others are not loaded"
        )
    for path in paths:
        if (why := _broken(path)) is not None:
            raise Unavailable(f"{path} is broken: {why}; copy or make the checkpoint again")


def _broken(path: Path) -> str | None:
    """Why a safetensors file is none: 8 bytes of length, a header of so many bytes, then the tensors."""
    try:
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            size = path.stat().st_size
            if not 0 < length <= size - 8:
                return "it has no header"
            header: dict[str, Any] = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name[:2] != "__"]
            missing = 8 + length + max(ends, default=0) - size
            return f"{missing} bytes are missing" if missing > 0 else None
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its header cannot be read"


def refuse_gaps(model: str, info: dict[str, Any]) -> None:
    """Raises Unavailable where weights were not in the files or of another shape than `config.json` says.

    `info` is what transformers says under `output_loading_info`.
    """
    wrong = [(name, "of another shape") for name, *_ in sorted(info["mismatched_keys"])]
    wrong += [(name, "missing") for name in sorted(info["missing_keys"])]
    if wrong:
        name, why = wrong[0]
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise Unavailable(
            f"{model}: the weights and config.json do not fit: {name} is {why}{more}; "
            "copy or make the checkpoint again"
        )
