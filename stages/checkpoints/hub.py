"""Models by their names on the hub: whether there is one, and where it lies on this machine.

A model is a directory where there is one of that name. Else it is a path, which the hub is never asked for,
where it begins with `/`, `~`, `./` or `../`, has more than one `/` or ends in one, ends like a file, or its
first part is a directory here: `ckpt/zoro` is a path where there is a `ckpt`, and a name where there is none.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable
from pathlib import Path

from stages.runtime.errors import Unavailable, near, said

NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)?")  # what a name on the hub looks like
FILES = (".gguf", ".safetensors", ".json", ".bin", ".pt", ".partial")
LONGEST = 10.0  # seconds that the hub has to answer, its name's look-up and all attempts included


def folder_of(model: str) -> Path | None:
    """Where a model's files are on this machine."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def check_name(model: str) -> None:
    """Raises Unavailable where `model`, which is no directory, is no name on the hub that can be asked."""
    directory = Path(model)
    if directory.exists():
        more = ": r1 convert makes a directory of it" if model.lower().endswith(".gguf") else ""
        raise Unavailable(f"{model} is a file, and a checkpoint is a directory{more}")
    if is_path(model):
        raise Unavailable(f"no checkpoint {model}: there is no such directory{_near(directory)}")
    _ask(model)


def is_path(model: str) -> bool:
    """Whether `model` names a directory, there or not, and no model on the hub; the rule stands above."""
    parts = Path(model).parts
    return (
        not NAME.fullmatch(model)
        or model.lower().endswith(FILES)
        or (len(parts) > 1 and Path(parts[0]).is_dir())
    )


def _near(directory: Path) -> str:
    """Checkpoints beside where `directory` would be whose names are like its own, as a remedy."""
    try:
        beside = [path.name for path in directory.parent.iterdir() if (path / "config.json").is_file()]
    except OSError:
        return ""
    meant = near(directory.name, beside, 3)
    if meant:
        return f"; did you mean {' or '.join(str(directory.parent / name) for name in meant)}?"
    here = f"; {directory.parent} has {', '.join(sorted(beside)[:5])}" if beside else ""
    return here if len(directory.parts) > 1 else ""


@functools.cache
def _ask(model: str) -> None:
    """Raises Unavailable where the hub has no such model for us, or cannot be asked: at once."""
    from huggingface_hub import constants, model_info, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        if isinstance(try_to_load_from_cache(model, "config.json"), str):
            return
        if constants.HF_HUB_OFFLINE:
            raise Unavailable(
                f"no checkpoint {model}: there is no such directory, it is not in the hub's cache, and "
                "HF_HUB_OFFLINE is set"
            )
        _within(LONGEST, lambda: model_info(model, timeout=LONGEST))
    except RepositoryNotFoundError:
        why = "there is no such directory, and no such model on the hub, or none that you may read"
    except Unavailable:
        raise
    except Exception as error:  # of the network, of the hub, or of what the name is
        reason = said(error).partition(". ")[0][:200]
        why = f"there is no such directory, and the hub cannot be asked ({reason})"
    else:
        return
    near = _near(Path(model))
    raise Unavailable(
        f"no checkpoint {model}: {why}"
        + (near or "; give a checkpoint directory, or a hub name this machine can reach")
    )


def _within(seconds: float, ask: Callable[[], object]) -> None:
    """Calls `ask` in a thread, and raises what it raises; TimeoutError where that takes longer."""
    failed: list[BaseException] = []

    def call() -> None:
        try:
            ask()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if failed:
        raise failed[0]
