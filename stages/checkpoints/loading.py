"""What may be wrong with a model that is loaded, said in one line: it is not there, not whole, not known.

transformers fills in missing weights at random with a warning, and meets broken files with a dozen
kinds of errors; here each ends the run before anything is computed.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from stages.checkpoints.files_in_use import guard_mapped
from stages.checkpoints.parse import AGAIN
from stages.runtime.errors import BadInput, R1Error, StreamError, Unavailable, said
from stages.runtime.pip import UNNEEDED

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
INSTALL = re.compile(r"pip install [\w.\[\]-]*\w")  # what an ImportError of transformers says to do
REMEDY = "give a checkpoint directory, or a hub name this machine can reach"


def hold_memory() -> None:
    """Keeps memory that is freed for what is allocated next, where the C library is glibc.

    It would give large blocks back to the system at once and zero them, page by page, when it gets them
    again: a fifth of the time of training on a CPU.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Gives the system what is free, where the C library is glibc: blocks that no larger one fits into."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@functools.cache
def hide_unneeded() -> None:
    """Makes libraries look absent to transformers that it would load for nothing.

    scikit-learn and scipy, for assisted generation and objects in images, which are a fifth of the time of
    each start. Libraries for images and sound, where they cannot be loaded, as builds for CUDA beside a CPU's
    torch: transformers fails with them.
    """
    from transformers.utils import import_utils

    for name in {"sklearn", "scipy"} - sys.modules.keys():
        sys.modules[name] = None  # type: ignore[assignment]
        getattr(import_utils, f"is_{name}_available")()  # which remembers its answer
        del sys.modules[name]
    for name in UNNEEDED:
        if importlib.util.find_spec(name) is None:
            continue
        try:
            importlib.import_module(name)
        except Exception:
            for part in [part for part in sys.modules if part.partition(".")[0] == name]:
                del sys.modules[part]
            sys.modules[name] = None  # type: ignore[assignment]
            for known in (f"is_{name}_available", f"is_{name}_v2_available"):
                if hasattr(import_utils, known):
                    getattr(import_utils, known).cache_clear()


@contextmanager
def loading(
    model: str, what: str = "", file: str = "config.json", *, trust: bool | None = None
) -> Iterator[None]:
    """Turns whatever keeps `what` of the model from being read in the block into one line that names `file`.

    Raises BadInput where the model is a directory, StreamError where the system cannot read it, Unavailable
    where it is a name on the hub or a library is missing. What the libraries warn of is an error here, so
    they are told to be silent. A directory is read without the network, unless its own code is trusted.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    guard_mapped()
    local = Path(model).is_dir()
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            _offline() if local and not trust else nullcontext(),
        ):
            yield
    except (R1Error, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        # A panic of the tokenizers' Rust is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if "not enough memory" in str(error) or "out of memory" in str(error):  # torch's own
            raise MemoryError from error
        text = said(error)
        if isinstance(error, KeyError):
            text = f"there is no {text}"
        why = text.partition(". ")[0][:240].rstrip(".")
        if "trust_remote_code" in text:
            raise Unavailable(
                f"{model} cannot do without code of its own; read it, and add --trust-remote-code to run it"
            ) from error
        if isinstance(error, OSError) and error.strerror:
            raise StreamError(f"cannot read {what}{model}: {error.strerror}") from error
        if isinstance(error, ImportError) or not local:
            install = INSTALL.search(text)
            remedy = install[0] if install else REMEDY
            raise Unavailable(f"cannot load {what}{model}: {why}; {remedy}") from error
        raise BadInput(
            f"cannot load {what}this model: {why}", place=str(Path(model) / file), remedy=AGAIN
        ) from error


@contextmanager
def _offline() -> Iterator[None]:
    """Nothing in the block is looked up on the hub: a directory's files may name what is there."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def refuse_gaps(model: str, info: dict[str, Any], remedy: str = AGAIN) -> None:
    """Raises BadInput where weights were not in the files or of another shape than `config.json` says.

    `info` is what transformers says under `output_loading_info`.
    """
    wrong = [(name, "of another shape") for name, *_ in sorted(info["mismatched_keys"])]
    wrong += [(name, "missing") for name in sorted(info["missing_keys"])]
    if wrong:
        name, why = wrong[0]
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise BadInput(
            f"the weights do not fit the configuration: {name} is {why}{more}",
            place=model,
            remedy=remedy,
        )
