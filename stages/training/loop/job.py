"""What a run of training is part of: what was asked for, by which stage, in which processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from stages.checkpoints import checkpoint
from stages.checkpoints.checkpoint import Checkpoint
from stages.checkpoints.contents import check_files
from stages.checkpoints.unread import files_of
from stages.evaluation.held_out import HeldOut
from stages.records.record import digest
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.groups import Engine
from stages.settings.options import binding, recorded, usual
from stages.training.parallel.agreement import check_alike, check_common
from stages.training.parallel.world import World
from stages.training.policy import Policy

# Options that may be others on each machine: how it computes or whom it asks, and paths, of whose content
# there is a digest.
LOCAL = frozenset((
    "model", "teacher", "out", "deepspeed", "threads", "workers", "batch_size", "gpu_memory", "vllm", "tp",
    "dp", "base_url", "patience", "request_timeout", "weights_dir",
))  # fmt: skip
S = TypeVar("S", bound=Any)
RATE = 1e-5  # peak learning rate of supervised training, where none is given
LORA_TIMES = 10  # Schulman et al. 2025, LoRA Without Regret: the best rate is ten times that for all weights


@dataclass(frozen=True)
class Job:
    """A stage's `settings`, and where they are carried out. `also` is recorded and compared like them;
    `held` is what the run is measured on.

    They have `model`, `out`, `optimizer` and `saving`.
    """

    stage: str
    settings: Any
    world: World = field(default_factory=World)
    report: Report = SILENT
    resume: bool = False
    held: Sequence[HeldOut] = ()
    also: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """What `r1.json` says was asked for."""
        return {**recorded(self.settings), **self.also}

    @property
    def binding(self) -> dict[str, Any]:
        """What of it a resumed run must have in common with the one it goes on with."""
        return {**binding(self.settings), **self.also}

    def policy(self, settings: Any, engine: Engine) -> Policy:
        """The model that is trained, of which each process is to hold what ZeRO leaves it."""
        return Policy(
            settings.model,
            engine,
            settings.lora,
            settings.seed,
            planned=settings.dry_run,
            shared=self.reads_shares(engine),
        )

    def reads_shares(self, engine: Engine) -> bool:
        """Whether each process is to read its share of the weights: all or none, as they then wait for
        each other in other places.
        """
        if self.world.stage != 3 or engine.deterministic:  # which is measured with weights
            return False
        return all(self.world.gather(bool(files_of(self.settings.model))))

    def compare(self) -> None:
        """Returns where all ranks were started alike: versions, options, a common folder for `out`, the model
        and what an earlier run left. Raises what the functions of `agreement` raise.
        """
        if self.world.size == 1:
            return
        out, parent = self.settings.out, self.settings.model
        check_alike(self.world, "version", checkpoint.versions("deepspeed"))
        check_alike(self.world, "option", _flags({**recorded(self.settings), "stage": self.stage}))
        if not getattr(self.settings, "dry_run", False):
            check_common(self.world, checkpoint.partial_of(out))
        manifest = checkpoint.read_manifest(out) if self.resume and out.is_dir() else {}
        config = self.settings.parallelism.deepspeed
        facts = {
            "the revision of the checkpoint -o": manifest.get("revision"),
            "the revision of the model": checkpoint.revision(parent),
            "the digest of --deepspeed": config and digest(config.read_text("utf-8", "replace")),
            **{f"the {name.replace('_', ' ')}": value for name, value in self.also.items()},
        }
        check_alike(self.world, "input", facts)

    def finished(self, records: Iterable[Mapping[str, Any]]) -> Checkpoint | None:
        """Under --resume: the checkpoint, where an earlier run completed it already.

        The input is then read to its end, so that a pipe that feeds it does not break. Raises UsageError
        where the checkpoint was made with other options, from another parent or input, or something else is
        in the way of `out`; Unavailable where `model` is none: at once, and not when a pipe has filled; and
        what `compare` raises.
        """
        self.compare()
        out, parent = self.settings.out, self.settings.model
        manifest = checkpoint.read_manifest(out) if self.resume and out.is_dir() else {}
        if manifest.get("stage") != self.stage:
            checkpoint.refuse_unfinished(out, resume=self.resume)
            check_files(parent)
            return None
        other = [
            *(
                f"option {name}"
                for name in _other(self.binding, manifest.get("options"), usual(self.settings))
            ),
            *(["model"] if _said(manifest, "parent", "revision") != checkpoint.revision(parent) else []),
            *(["records"] if _said(manifest, "inputs", "digest") != digest_of(records) else []),
        ]
        if other:
            raise UsageError(
                f"{out} is complete, but made with another {', '.join(other)}; "
                "choose another -o, or delete it first"
            )
        shutil.rmtree(checkpoint.partial_of(out), ignore_errors=True)
        self.report.summary(f"{out} is complete already")
        return Checkpoint(out, manifest)


def with_rate(settings: S, usual: float, *, resume: bool, report: Report) -> S:
    """`settings` with a peak learning rate: the given one, else `usual`, under --lora ten times `usual`.

    Where a run that is resumed is complete, it is the one that it was made with. Raises BadInput where its
    `r1.json` cannot be read.
    """
    optimizer, out = settings.optimizer, settings.out
    if optimizer.lr is not None:
        return settings
    rate = usual * (LORA_TIMES if settings.lora.lora else 1)
    made = checkpoint.read_manifest(out) if resume and out.is_dir() else {}
    held = _said(made, "options", "optimizer")
    if isinstance(held, dict) and isinstance(held.get("lr"), float):
        rate = held["lr"]
    elif settings.lora.lora:
        report.note(f"--lr {rate:g}: under --lora {LORA_TIMES} times the {usual:g} of full training")
    return replace(settings, optimizer=replace(optimizer, lr=rate))


def _other(asked: Mapping[str, Any], had: Any, defaults: Mapping[str, Any]) -> list[str]:
    """The options that a checkpoint was made with others of; of a group, what is asked for counts.

    One that it does not know, as there was none then, is at its default.
    """
    found = []
    for name, value in asked.items():
        held = had.get(name, defaults.get(name)) if isinstance(had, dict) else None
        if isinstance(value, dict) and isinstance(held, dict):
            of_group = defaults.get(name) or {}
            held = {part: held.get(part, of_group.get(part)) for part in value}
        if value != held:
            found.append(name)
    return found


def _flags(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that all ranks must have in common, groups taken apart, under their spellings."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, dict):
            found |= _flags(value)
        elif name not in LOCAL:
            found[f"--{name.replace('_', '-')}"] = value
    return found


def digest_of(records: Iterable[Mapping[str, Any]]) -> str:
    """Names a run's input: the same records in the same order, the same digest."""
    return digest([digest(record) for record in records])


def _said(manifest: Mapping[str, Any], part: str, key: str) -> Any:
    """What a manifest says there, or None where it says nothing."""
    inner = manifest.get(part)
    return inner.get(key) if isinstance(inner, dict) else None
