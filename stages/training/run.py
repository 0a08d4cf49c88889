"""A training run: updates of the weights, and everything on disk that lets it be watched and resumed.

While it runs, `OUT.partial/` holds `metrics.jsonl`, `rollouts/` and `state/`; at its end the
checkpoint appears as `OUT`, with the metrics and rollouts inside.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from stages.data import checkpoint, jsonl
from stages.data.checkpoint import Checkpoint
from stages.data.errors import R1Error, StreamError, UsageError
from stages.data.lock import hold
from stages.data.options import Optimizer, Saving
from stages.data.record import code_version, digest
from stages.data.report import Report
from stages.inference.loading import check_files
from stages.training import shards
from stages.training.policy import Policy
from stages.training.rows import Row
from stages.training.spread import MOMENTS, Replicas, Spread
from stages.training.track import Tracker
from stages.training.world import World

Loss = Callable[[Row, Tensor, Tensor], tuple[Tensor, dict[str, float]]]


class Run:
    """One training run: `update` the policy, `log` what happened, `save` now and then, `publish`."""

    def __init__(
        self,
        out: Path,
        policy: Policy,
        tokenizer: Any,
        optimizer: Optimizer,
        *,
        updates: int,
        identity: Mapping[str, Any],
        resume: bool,
        report: Report,
        about: Mapping[str, Any] = MappingProxyType({}),
        saving: Saving = Saving(),
        world: World = World(),
    ) -> None:
        """`identity` is what the run depends on; state made under another one is refused.

        `about` has `stage`, `options` and `inputs` for `r1.json`. Raises UsageError where `out` or unfinished work is in the way and `resume` is not set.
        """
        self.out, self.policy, self.tokenizer, self.report = out, policy, tokenizer, report
        self.options, self.updates_planned = optimizer, max(updates, 1)
        self.about, self.saving, self.world = about, saving, world
        self.leads = world.rank == 0  # writes what all have made
        self.identity = digest(identity, code_version())
        self.work = checkpoint.partial_of(out)
        self.step = self.updates = 0
        self.extra: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        self.tracker: Tracker | None = None
        self.size = sum(p.numel() for p in policy.model.parameters())  # before they are shared out
        if len(set(world.gather(self.identity))) > 1:
            raise UsageError("the processes have different options, models or records to train on")
        world.agree(self._begin(resume))
        with self._writing():
            state = self._position()
        self.spread = _spread(policy, optimizer, world)
        if state is not None:
            self._restore(state)
        if self.leads:
            with self._writing():
                jsonl.write(self.metrics_path, self._kept_metrics())
                key = digest(self.identity, str(out.resolve()))[:16]
                if saving.track:
                    self.tracker = Tracker(saving.track, self.work, out.name, key)

    def _begin(self, resume: bool) -> R1Error | None:
        """Takes the folder of the run; what keeps it from that, for all ranks to raise."""
        if not self.leads:
            return None
        try:
            checkpoint.refuse_unfinished(self.out, resume=resume)
            with self._writing():
                self.work.mkdir(parents=True, exist_ok=True)
                self._lock = open(self.work / "lock", "ab")  # noqa: SIM115 - held as long as the run
                hold(self._lock, str(self.work))
        except R1Error as error:
            return error
        return None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StreamError(f"cannot write {self.work}: {error.strerror or error}") from error

    @property
    def metrics_path(self) -> Path:
        return self.work / "metrics.jsonl"

    def rate(self) -> float:
        """The learning rate of the next update: a linear warm-up, then the schedule."""
        o, total = self.options, self.updates_planned
        warm = math.ceil(o.warmup * total)
        if self.updates < warm:
            return o.lr * (self.updates + 1) / warm
        done = (self.updates - warm) / max(total - warm, 1)
        if o.schedule == "constant":
            share = 1.0
        elif o.schedule == "linear":
            share = 1 - (1 - o.min_lr) * done
        else:
            share = o.min_lr + (1 - o.min_lr) * 0.5 * (1 + math.cos(math.pi * min(done, 1)))
        return o.lr * share

    def update(
        self, batch: Iterable[Row], loss: Loss, *, temperature: float = 1.0
    ) -> dict[str, float]:
        """One optimiser step on the summed loss of all rows. Returns summed statistics.

        `loss(row, logp, entropy)` gives a row's part of the update's loss. Raises R1Error where loss or gradient
        is not finite, before any weight has changed.
        """
        self.spread.begin()
        mine: dict[str, float] = {"loss": 0.0}
        used: list[Row] = []
        tokens = 0
        failure: R1Error | None = None
        begun = False
        for row, last in _marked(batch):
            begun = True
            logp, entropy = self.policy.logprobs(row, temperature)
            part = 0 * logp.sum()
            if not row.idle and failure is None:
                used.append(row)
                tokens += len(row.ids)
                try:
                    part, stats = self._part(row, loss, logp, entropy)
                    for name, figure in stats.items():
                        mine[name] = mine.get(name, 0.0) + figure
                except R1Error as error:
                    failure = error
            self.spread.backward(part, last=last)
        self.world.agree(failure)
        total: dict[str, float] = {}
        for stats, computed in self.world.gather((mine, tokens)):
            self.count_work(computed, 6)
            for name, figure in stats.items():
                total[name] = total.get(name, 0.0) + figure
        rate = self.rate()
        norm = self.spread.step(rate) if begun else 0.0
        if not math.isfinite(norm):
            raise R1Error(
                f"step {self.step}: the gradient's norm is {norm} and no weight was changed; "
                f"its samples are in {self._offend(*used)}"
            )
        self.updates += 1
        return {**total, "grad_norm": norm, "lr": rate}

    def _part(
        self, row: Row, loss: Loss, logp: Tensor, entropy: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """A row's part of the loss, with its value among its statistics."""
        part, stats = loss(row, logp, entropy)
        value = float(part.detach())
        if not math.isfinite(value):
            raise R1Error(
                f"step {self.step}: the loss is {value}; its samples are in {self._offend(row)}"
            )
        return part, {**stats, "loss": value}

    def count_work(self, tokens: int, per_weight: int) -> None:
        """Adds to `total_flos`: a weight costs 2 operations a token forwards, 6 with the backward pass."""
        self.extra["flos"] = self.extra.get("flos", 0) + per_weight * self.size * tokens

    def _offend(self, *rows: Row) -> Path:
        """Writes the samples of rows, and says where."""

        def finite(value: Any) -> Any:
            if isinstance(value, list):
                return [finite(each) for each in value]
            return None if isinstance(value, float) and not math.isfinite(value) else value

        samples = (
            {name: finite(value) for name, value in dataclasses.asdict(sample).items()}
            for row in rows
            for sample in row.samples
        )
        name = "offending.jsonl" if self.leads else f"offending_{self.world.rank}.jsonl"
        jsonl.write(self.work / name, samples)
        return self.work / name

    def log(self, metrics: Mapping[str, Any], *shown: str) -> None:
        """Appends a line to metrics.jsonl; `shown` are the figures of the live line."""
        figures = {k: _short(v) for k, v in metrics.items()}
        self.last = {"step": self.step, **figures, "total_flos": self.extra.get("flos", 0)}
        if self.leads:
            try:
                with open(self.metrics_path, "ab") as stream:
                    stream.write(jsonl.encode(self.last))
            except OSError as error:
                raise StreamError(f"cannot write {self.metrics_path}: {error.strerror}") from error
        if self.tracker is not None:
            self.tracker.log(self.step, self.last)
        good = self.last["reward"] if "reward" in self.last else -self.last["loss"]
        self.extra.setdefault("goodness", []).append(good)
        self.report.advance(
            **{
                name.rpartition("/")[2] if name.count("/") < 2 else name: self.last[name]
                for name in shown
                if name in self.last
            }
        )

    def _kept_metrics(self) -> list[dict[str, Any]]:
        """Metrics up to the restored step; what a killed run logged after it is made again."""
        if not self.metrics_path.exists():
            return []
        kept = []
        with open(self.metrics_path, "rb") as stream:
            for line in stream:
                try:
                    entry = jsonl.decode(line)
                except ValueError:
                    break  # torn by the kill
                if entry["step"] <= self.step:
                    kept.append(entry)
        return kept

    def save_due(self) -> bool:
        """Whether the step just logged is one after which to `save`."""
        return self.saving.save_every > 0 and self.step % self.saving.save_every == 0

    def save(self) -> None:
        """State to resume from: trained weights, optimiser, position. The one before it is deleted."""
        self._keep()
        target = self.work / "state" / f"step_{self.step:06d}"
        with self._appearing(target) as directory:
            shards.write(directory, "state", self.spread.state())
            position = {
                "identity": self.identity,
                "step": self.step,
                "updates": self.updates,
                "extra": self.extra,
                "last": self.last,
            }
            if directory is not None:
                (directory / "state.json").write_bytes(jsonl.encode(position))
        if not self.leads:
            return
        for old in target.parent.glob("step_*"):
            if old != target:
                shutil.rmtree(old)
        for outdated in self._references()[:-1]:
            outdated.unlink()

    def _appearing(self, path: Path) -> contextlib.AbstractContextManager[Path | None]:
        """A new directory for rank 0 to fill, as `checkpoint.appearing`; None for the others."""
        if not self.leads:
            return contextlib.nullcontext()
        path.parent.mkdir(parents=True, exist_ok=True)
        return checkpoint.appearing(path)

    def _keep(self) -> None:
        """The weights as a checkpoint among the last `keep_last`, and as the best where none was better.

        Better is a higher mean reward over the steps since the state before, or, without rewards, a lower loss.
        """
        known = [value for value in self.extra.pop("goodness", []) if value is not None]
        if not self.saving.keep_last:
            return
        target = self.work / "steps" / f"step_{self.step:06d}"
        with self._appearing(target) as directory:
            self._write(directory)
        good = statistics.fmean(known) if known else None
        best = good is not None and good > self.extra.get("best", -math.inf)
        if best:
            self.extra["best"] = good
        if not self.leads:
            return
        kept = sorted(target.parent.glob("step_*"))
        later = kept.index(target) + 1  # what a killed run made after the state it is resumed from
        for old in [*kept[:later][: -self.saving.keep_last], *kept[later:]]:
            shutil.rmtree(old)
        if best:
            with checkpoint.appearing(self.work / "best") as directory:
                shutil.copytree(target, directory, copy_function=os.link, dirs_exist_ok=True)

    def save_reference(self, reference: Any) -> None:
        """Keeps the weights of a reference model that is no longer the parent."""
        if not self.leads:
            return
        from safetensors.torch import save_file

        tensors = {name: p.detach().contiguous() for name, p in reference.named_parameters()}
        path = self.work / f"reference_{self.step:06d}.safetensors"
        with checkpoint.writing(path):
            save_file(tensors, path.with_suffix(".new"))
            os.replace(path.with_suffix(".new"), path)

    def load_reference(self, reference: Any) -> None:
        """The newest reference kept up to the restored step, where there is one."""
        from safetensors.torch import load_file

        kept = self._references()
        if kept:
            reference.load_state_dict(load_file(kept[-1]), strict=False)

    def _references(self) -> list[Path]:
        """References kept up to this step, the newest last."""
        found = sorted(self.work.glob("reference_*.safetensors"))
        return [path for path in found if int(path.stem.rpartition("_")[2]) <= self.step]

    def _position(self) -> Path | None:
        """Where the newest state is, its weights given to the policy and its position to the run; None without one."""
        found = sorted((self.work / "state").glob("step_*"))
        if not found:
            return None
        position = jsonl.decode((found[-1] / "state.json").read_bytes())
        if position["identity"] != self.identity:
            raise UsageError(
                f"{self.work} was made with other options, input or code version; "
                "run with the same ones, or delete it"
            )
        weights = dict(self.policy.parameters())
        with torch.no_grad():
            for name, value in shards.read(found[-1], "state", "weight."):
                weights[name].copy_(value)
        self.step, self.updates = position["step"], position["updates"]
        self.extra, self.last = position["extra"], position["last"]
        return found[-1]

    def _restore(self, state: Path) -> None:
        """Gives the spread what `save` took from it, on whatever number of processes that was."""
        for key in ("weight", *MOMENTS):
            for name, value in shards.read(state, "state", f"{key}."):
                self.spread.restore(key, name, value)
        self.report.note(f"resumed after step {self.step}")

    def publish(self) -> Checkpoint:
        """The checkpoint, with metrics, rollouts and traces beside the weights."""
        if self.tracker is not None:
            self.tracker.close()
        manifest: dict[str, Any] = {}
        with self._appearing(self.out) as directory:
            if directory is not None:
                self._take_along(directory)
            manifest = self._write(directory)
        if self.leads:
            self._lock.close()
            shutil.rmtree(self.work)
        return Checkpoint(self.out, manifest)

    def _take_along(self, directory: Path) -> None:
        for made in self.work.iterdir():
            if made.is_dir() and made.name != "state":
                shutil.copytree(
                    made,
                    directory / made.name,
                    copy_function=os.link,
                    ignore=shutil.ignore_patterns(".*"),  # what a kill left half-written
                )
            elif made.suffix == ".jsonl":
                os.link(made, directory / made.name)

    def _write(self, directory: Path | None) -> dict[str, Any]:
        """The present weights as a checkpoint in `directory`; returns its manifest, on rank 0."""
        self.policy.save(directory, self.tokenizer, self.spread.weights())
        if directory is None:
            return {}
        return checkpoint.write_manifest(
            directory, **self.about, parent=self.policy.name, metrics=self.last
        )


def _spread(policy: Policy, optimizer: Optimizer, world: World) -> Spread:
    if not world.shares:
        return Replicas(policy, optimizer, world)
    from stages.training.zero import Zero

    return Zero(policy, optimizer, world)


def _marked(batch: Iterable[Row]) -> Iterator[tuple[Row, bool]]:
    """Each row, and whether it is the last."""
    held: Row | None = None
    for row in batch:
        if held is not None:
            yield held, False
        held = row
    if held is not None:
        yield held, True


def digest_of(records: Iterable[Mapping[str, Any]]) -> str:
    """Names a run's input: the same records in the same order, the same digest."""
    return digest([digest(record) for record in records])


def finished(
    out: Path,
    stage: str,
    resume: bool,
    records: Iterable[Mapping[str, Any]],
    report: Report,
    *,
    options: Mapping[str, Any],
    parent: str,
) -> Checkpoint | None:
    """Under --resume: the checkpoint, where an earlier run completed it already.

    The input is then read to its end, so that a pipe that feeds it does not break. Raises UsageError where
    the checkpoint was made with other options, from another parent or input, or something else is in the
    way of `out`; Unavailable where `parent` is no model: at once, and not when a pipe has filled.
    """
    manifest = checkpoint.read_manifest(out) if resume and out.is_dir() else {}
    if manifest.get("stage") != stage:
        checkpoint.refuse_unfinished(out, resume=resume)
        check_files(parent)
        return None
    asked = json.loads(json.dumps(dict(options), default=str))
    other = [
        *(f"option {name}" for name in asked if manifest["options"].get(name) != asked[name]),
        *(["model"] if manifest["parent"]["revision"] != checkpoint.revision(parent) else []),
        *(["records"] if manifest["inputs"]["digest"] != digest_of(records) else []),
    ]
    if other:
        raise UsageError(
            f"{out} is complete, but made with another {', '.join(other)}; "
            "choose another -o, or delete it first"
        )
    shutil.rmtree(checkpoint.partial_of(out), ignore_errors=True)
    report.summary(f"{out} is complete already")
    return Checkpoint(out, manifest)


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


class Clock:
    """Seconds since it was made, or since the last `lap`."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        spent, self._start = now - self._start, now
        return spent
