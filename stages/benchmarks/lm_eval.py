"""lm-eval: any task of that package, with its prompts, its examples and its own scoring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.harness import asking
from stages.harness.tasks import is_file, load
from stages.records.record import Record
from stages.runtime.errors import UsageError

SPLITS = ()
REWARDS = ("lm_eval",)
SAMPLES = 1
OFFICIAL: dict[str, Any] = {}


def problems(
    *, task: str, split: str | None = None, data: Path | None = None, shots: int | None = None
) -> Iterator[Record]:
    """The items of `task`, a name or a YAML file, after `shots` examples, or as many as it says.

    Raises Unavailable where the package or the data cannot be had, UsageError for a split: the task says it.
    """
    if split is not None:
        raise UsageError(f"lm_eval:{task} says itself which part of its data it asks; name no split")
    return asking.asked(task, shots, load(task))


def declared(task: str) -> dict[str, Any]:
    """What the task says besides: how it is sampled and judged."""
    found = load(task)
    made = {
        "protocol": "official",
        "template": "none",
        "sampling": asking.sampling(task, found.config),
        "samples": max(found.config.repeats, 1),
    }
    if is_file(task):  # no record may name a file whose functions are run
        if re.search(r"[,*\s]", task):
            raise UsageError(f"lm_eval:{task}: rename the file, without comma, * and white space")
        made["rewards"] = (f"lm_eval:task={task}",)
    return made
