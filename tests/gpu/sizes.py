"""How large the kit's models, inputs and runs are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz012345"


@dataclass(frozen=True)
class Shape:
    """A Llama as `r1 init` makes it."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int


@dataclass(frozen=True)
class Size:
    """`letters` is the length of a word, of which there are 32 to that power."""

    models: dict[str, Shape]  # by billions of weights; the first serves the other sections too
    letters: int
    speeds: tuple[str, ...]  # the types that speed is measured in
    problems: int
    samples: int
    tokens: int  # of a completion
    steps: int
    examples: int  # of an update of sft
    length: int  # of an example
    row_tokens: int
    lengths: tuple[int, ...]
    limit: float  # seconds of a process
    together: bool = False  # most parts share a process


SMALLEST = Size(
    {"tiny": Shape(64, 2, 4, 2)}, 2, ("float32",), 2, 4, 16, 2, 4, 32, 512, (256, 2048), 120.0, True
)  # fmt: skip
TENTH = Shape(576, 30, 9, 3)
QUICK = Size(
    {"0.1": TENTH}, 3, ("bfloat16",), 4, 8, 64, 3, 8, 256, 4096, (1024, 4096), 300.0
)  # fmt: skip
FULL = Size(
    {"0.1": TENTH, "0.5": Shape(1280, 26, 20, 4), "1.5": Shape(2048, 32, 16, 4)},
    3, ("bfloat16",), 4, 8, 256, 3, 16, 512, 8192, (1024, 4096, 8192, 16384, 32768), 240.0,
)  # fmt: skip
SIZES = {"smallest": SMALLEST, "quick": QUICK, "full": FULL}


def words(size: Size) -> tuple[str, ...]:
    """Texts that are one token each."""
    return tuple(map("".join, itertools.product(LETTERS, repeat=size.letters)))


def model(size: Size, name: str, work: Path) -> Path:
    """The fresh model of that name, made once."""
    from stages import init

    made = work / f"model-{name}-{size.letters}"
    if not made.exists():
        context = max(4096, max(size.lengths) + 64)
        shape: Any = vars(size.models[name])
        init.run(init.Settings(out=made, context=context, words=words(size), **shape))
    return made


def text(size: Size, tokens: int, seed: int) -> str:
    """A text of so many tokens."""
    import random

    known, draw = words(size), random.Random(seed)
    return "".join(draw.choice(known) for _ in range(tokens))
