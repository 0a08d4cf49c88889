"""reasoning-gym: about 100 kinds of puzzles made on the spot, judged by the library's own scorer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.records.record import Record, seed_of
from stages.runtime.errors import Unavailable, UsageError, near

SPLITS = ("train", "test")
REWARDS = ("reasoning_gym",)
SAMPLES = 4
OURS = ("seed", "size")


def problems(
    *,
    task: str,
    split: str = "train",
    data: Path | None = None,
    limit: int = 1000,
    seed: int = 0,
    **config: Any,
) -> Iterator[Record]:
    """`limit` problems of `task`; further settings are those of the task's configuration.

    The splits draw from different seeds. That keeps a large space of problems apart; a small one may
    give the same problem to both, which `r1 filter --decontaminate` finds. `gym` holds what the
    reward `reasoning_gym` needs to make the puzzle again and judge an answer to it.
    """
    library = gym()
    _known(task)
    drawn = seed_of("reasoning_gym", task, split, seed) % 2**31
    try:
        puzzles = library.create_dataset(task, seed=drawn, size=limit, **config)
    except (AssertionError, ValueError, TypeError) as error:
        raise UsageError(f"reasoning_gym:{task} refuses these settings: {error}") from error
    for index in range(limit):
        puzzle = puzzles[index]
        answer = puzzle["answer"]
        yield Record(
            id=f"{task}-{split}-{seed}-{index}",
            prompt=puzzle["question"],
            answer=answer if answer is None else str(answer),
            kind="reasoning_gym",
            gym={"task": task, "seed": drawn, "size": limit, "index": index, "config": config},
        )


def settings(task: str) -> dict[str, type]:
    """What a task can be told besides its size and seed: the plain fields of its configuration."""
    gym()
    from reasoning_gym.factory import DATASETS  # type: ignore[import-untyped]

    _known(task)
    kinds = {"int": int, "float": float, "bool": bool, "str": str}
    return {
        field.name: kinds[str(getattr(field.type, "__name__", field.type)).removesuffix(" | None")]
        for field in dataclasses.fields(DATASETS[task][1])
        if field.name not in OURS
        and str(getattr(field.type, "__name__", field.type)).removesuffix(" | None") in kinds
    }


def gym() -> Any:
    """The library. Raises Unavailable where it is not installed."""
    try:
        import reasoning_gym  # type: ignore[import-untyped]
    except ImportError:
        raise Unavailable(
            "reasoning_gym tasks need reasoning-gym", install="pip install reasoning-gym"
        ) from None
    return reasoning_gym


def _known(task: str) -> None:
    from reasoning_gym.factory import DATASETS

    if task not in DATASETS:
        meant = near(task, DATASETS, 3)
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        raise UsageError(f"reasoning-gym has no task {task!r}{hint}")
