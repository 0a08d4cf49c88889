"""Python that a checkpoint brings along: it runs where --trust-remote-code says so, and nowhere else.

A configuration may name classes in files of the checkpoint (`auto_map`), a generation loop
(`custom_generate/`) or kernels on the hub. transformers would ask on stdin whether to run them, which is
where the records are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from stages.runtime.errors import Unavailable

KERNELS = "_implementation"  # attn_implementation, experts_implementation, perhaps with a _ before it
LOOP = "custom_generate/generate.py"
VOCABULARY = "tokenizer.json"
REMEDY = "read it, and add --trust-remote-code to run it; --no-trust-remote-code does without it"


def refuse_code(model: str, trust: bool | None) -> None:
    """Raises Unavailable where files of `model` want Python of its own to run and `trust` is not settled.

    With `trust` False it is passed over, and transformers says where it cannot do without. Kernels it would
    get from the hub or its cache without asking for that, so they are refused.
    """
    if trust:
        return
    for path, what in code_in(Path(model)):
        if trust is None or KERNELS in what:
            raise Unavailable(f"{path} wants code of the checkpoint's own to run ({what}); {REMEDY}")


def code_in(directory: Path) -> Iterator[tuple[Path, str]]:
    """Each file of a checkpoint that asks for code, and what code."""
    for path in sorted(directory.glob("*.json")):
        with suppress(OSError, ValueError, RecursionError):  # what is broken is said elsewhere
            # A vocabulary asks for nothing, and takes long to read.
            if path.name != VOCABULARY and path.is_file() and path.stat().st_size < 1 << 24:
                yield from ((path, what) for what in _asked(json.loads(path.read_text("utf-8"))))
    if (directory / LOOP).is_file():
        yield directory / LOOP, "a generation loop"


def _asked(config: Any) -> Iterator[str]:
    """Descriptions of the code that a value of JSON asks for."""
    left = [config]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left.extend(value)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key == "auto_map" and inner:
                    yield f"auto_map names {_first(inner)}"
                elif key.endswith(KERNELS) and "/" in str(inner)[:200]:
                    yield f"{key} names {str(inner)[:80]}"
                else:
                    left.append(inner)


def _first(names: Any) -> str:
    """The first class that an `auto_map` names, shortened."""
    while isinstance(names, dict | list) and names:
        options = list(names.values()) if isinstance(names, dict) else [each for each in names if each]
        names = options[0] if options else ""
    return str(names)[:80]
