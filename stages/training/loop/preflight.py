"""What would end a run before it learns anything: looked over before torch is loaded or a file made."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from stages.checkpoints import checkpoint
from stages.checkpoints.contents import check_files, check_template
from stages.evaluation.held_out import HeldOut, held_out
from stages.records.templates import Template
from stages.runtime.errors import NoRecords, Unavailable
from stages.settings.groups import check, check_device
from stages.training.parallel.configuration import check_parallelism

INSTALL = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio"}  # by what --track says


def due(
    settings: Any, stage: str, template: Template | None, *, resume: bool, lessons: bool | None = False
) -> list[HeldOut] | None:
    """What is held out of a run that is to be made; None where `resume` finds the checkpoint of `stage`
    finished.

    `settings` are those of a stage that trains; `template` is None where nothing is rendered; `lessons` says
    whether the stage learns from completions, and so can be measured by them; None: what measures it is
    looked at elsewhere. Raises UsageError where something is in the way of `out` or options contradict each
    other, Unavailable where model, tracker or library is missing, and BadInput where a file is broken.
    """
    out = settings.out
    manifest = checkpoint.read_manifest(out) if resume and out.is_dir() else {}
    if manifest.get("stage") == stage:
        return None
    checkpoint.refuse_unfinished(out, resume=resume)
    check_device(settings.engine.device)
    for group in (settings.optimizer, settings.lora, settings.saving, settings.parallelism):
        check(group)
    check_tracker(settings.saving.track)
    check_parallelism(
        settings.parallelism,
        dtype=settings.engine.dtype,
        lora=bool(settings.lora.lora),
        planned=getattr(settings, "dry_run", False),
    )
    check_files(settings.model)
    if template is not None:
        check_template(settings.model, template)
    return [] if lessons is None else held_out(settings.evaluation, learns=lessons)


def check_tracker(kind: str | None) -> None:
    """Raises Unavailable where the library of a tracker is not installed."""
    if kind in INSTALL and find_spec(INSTALL[kind]) is None:
        raise Unavailable(f"--track {kind} needs a library", install=f"pip install {INSTALL[kind]}")


def nothing_to_train_on() -> NoRecords:
    """The error for an empty input."""
    return NoRecords("no records to train on", remedy="see what the stage before kept")
