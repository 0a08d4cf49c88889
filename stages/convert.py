"""Turn a model into what others take: a GGUF file into a checkpoint, a checkpoint into either.

Of the weights that a run writes into --weights-dir, DIR/NUMBER.json is a version, which becomes a checkpoint.

OUT is a GGUF file where its name ends in .gguf, else a directory: the weights in another type, in files of
another size, with an adapter merged; or an adapter by itself. What r1 trained gets a model card with its
data, options, figures and curves; rollouts and the state of the run stay behind. A GGUF file that is read is
dequantised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from stages.checkpoints.adapter import largest_rank
from stages.checkpoints.checkpoint import (
    Checkpoint,
    appearing,
    completed,
    refuse_existing,
    write_manifest,
)
from stages.checkpoints.versions import layout
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.groups import Adapter, ShardSize
from stages.settings.options import Doc, Flag

if TYPE_CHECKING:
    from stages.conversion.plan import Plan

EXAMPLES = (
    "r1 convert SmolLM2-135M-Instruct.Q4_1.gguf -o ckpt/smollm2",
    "r1 convert ckpt/rl -o share/rl --dtype bfloat16 --push me/rl",
    "r1 convert ckpt/rl -o rl.gguf --dtype float16",
    "r1 convert weights/000012.json -o ckpt/at12",
    "r1 convert ckpt/base --adapter ckpt/lora/adapter -o ckpt/merged",
)
GGUF = ".gguf"


@dataclass(frozen=True)
class Sharing:
    """The files that others get, and where."""

    shard_size: ShardSize = 50.0
    push: Annotated[
        str | None,
        Doc("Upload it to this repository on the hub, which is made, private, where it is not there."),
        Flag("--push", metavar="OWNER/NAME"),
    ] = None
    public: Annotated[bool, Doc("Make it a public one; one that is there stays as it is.")] = False


def run(
    source: Annotated[
        Path, Doc("A .gguf file, a checkpoint, an adapter as peft saves it, or a version of weights.")
    ],
    *,
    out: Annotated[Path, Doc("Directory or .gguf file to make."), Flag("-o", "--out")],
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Doc("What the weights are kept in; auto is what they have, float32 for a GGUF file."),
    ] = "auto",
    tie: Annotated[
        bool,
        Doc("Share one matrix between input and output, for a model that did before it was quantised."),
    ] = False,
    adapter: Adapter = None,
    sharing: Sharing = Sharing(),
    resume: bool = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Reads `source`, writes `out`, and uploads it where `sharing` says so.

    Raises UsageError where `out` exists or options contradict each other, BadInput for a broken file,
    Unavailable for a model that GGUF is not written for, and where the hub cannot be reached.
    """
    if not resume:
        refuse_existing(out)
    if sharing.push is not None:
        from stages.conversion import upload

        upload.check(sharing.push)  # before the work
    elif sharing.public:
        raise UsageError("--public is for the repository that is made: add --push OWNER/NAME")
    if source.is_dir():
        if tie:
            raise UsageError(f"--tie is for a GGUF file, and {source} is a directory")
        if adapter is not None:
            largest_rank(adapter)  # refuses what is none, before torch is loaded
        from stages.conversion.plan import planned

        plan = planned(source, dtype, adapter, sharing.shard_size)
        made = _of_checkpoint(plan, out, resume, report)
    elif adapter is not None or out.suffix.lower() == GGUF:
        if layout.NAME.fullmatch(source.name) is None:
            _check_source(source)
        raise UsageError(f"{source} is no directory: make a checkpoint of it first, and convert that")
    elif layout.NAME.fullmatch(source.name) is not None:
        if tie:
            raise UsageError(f"--tie is for a GGUF file, and {source} is a version of weights")
        made = _of_version(source, out, dtype, sharing.shard_size, resume, report)
    else:
        options = {
            "dtype": "float32" if dtype == "auto" else dtype, "tie": tie, "shard_size": sharing.shard_size
        }  # fmt: skip
        _check_source(source)
        made = _of_gguf(source, out, options, resume, report)
    if sharing.push is not None:
        address = upload.upload(made.path, sharing.push, public=sharing.public)
        report.note(f"{out} is at {address}")
    return made


def _check_source(file: Path) -> None:
    """Raises what keeps `file` from being read as GGUF."""
    from stages.conversion import from_gguf

    from_gguf.check(file)


def _of_gguf(file: Path, out: Path, options: dict[str, Any], resume: bool, report: Report) -> Checkpoint:
    """A checkpoint of the GGUF `file`."""
    from stages.conversion import from_gguf

    with from_gguf.reading(file):
        described, _ = from_gguf.metadata(file)
        inputs = {"file": file.name, "bytes": file.stat().st_size, **described}
    return _whole(out, partial(from_gguf.write, file), options, inputs, file.name, resume, report)


def _of_version(
    source: Path, out: Path, dtype: str, shard_size: float, resume: bool, report: Report
) -> Checkpoint:
    """A checkpoint of the version of weights whose index is `source`."""
    from stages.conversion import from_version

    made_of = from_version.found(source)
    options: dict[str, Any] = {
        "dtype": made_of.index.dtype if dtype == "auto" else dtype,
        "shard_size": shard_size,
    }
    inputs = from_version.inputs_of(made_of)
    return _whole(out, partial(from_version.write, made_of), options, inputs, str(source), resume, report)


def _whole(
    out: Path,
    write: Callable[..., int],
    options: dict[str, Any],
    inputs: dict[str, Any],
    source: str,
    resume: bool,
    report: Report,
) -> Checkpoint:
    """The checkpoint `out` of what `write` puts into a directory, which returns how many weights that has."""
    done = completed(out, "convert", options=options, resume=resume, **inputs)
    if done is not None:
        report.summary(f"{out} is complete already")
        return done
    with appearing(out) as directory:
        parameters = write(directory, **options)
        manifest = write_manifest(
            directory,
            stage="convert",
            options=options,
            parent=None,
            inputs=inputs,
            metrics={"parameters": parameters},
        )
    report.summary(f"{source} → {out}: {parameters / 1e6:.1f}M parameters in {options['dtype']}")
    return Checkpoint(out, manifest)


def _of_checkpoint(plan: Plan, out: Path, resume: bool, report: Report) -> Checkpoint:
    """A directory, or a GGUF file where `out` is called one."""
    from stages.conversion import directory, to_gguf

    into: Any = to_gguf if out.suffix.lower() == GGUF else directory
    held = into.manifest_of(out) if resume and out.exists() else {}
    done = completed(out, "convert", options=plan.options, resume=resume, held=held, **plan.inputs)
    if done is not None:
        report.summary(f"{out} is complete already")
        return done
    manifest = into.make(plan, out)
    files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    many = manifest["metrics"]["parameters"] / 1e6
    report.summary(f"{plan.source} → {out}: {many:.1f}M parameters in {plan.dtype}, {size:.1f} MB")
    return Checkpoint(out, manifest)
