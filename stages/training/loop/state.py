"""What a run has on disk: its lock, state to resume from, kept checkpoints, and the checkpoint at its end.

While it runs, `OUT.partial/` holds `metrics.jsonl`, `rollouts/` and `state/`; at its end the
checkpoint appears as `OUT`, with the metrics and rollouts inside.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import statistics
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from stages.checkpoints import checkpoint, shares
from stages.checkpoints.checkpoint import Checkpoint
from stages.checkpoints.companions import rehearse
from stages.inference.fingerprint import fingerprint
from stages.records import jsonl
from stages.records.record import code_version, digest
from stages.runtime import atomic
from stages.runtime.errors import BadInput, R1Error, StreamError, UsageError, said
from stages.runtime.lock import hold
from stages.settings.groups import Optimizer, Saving
from stages.training.loop.job import Job
from stages.training.loop.track import Tracker
from stages.training.parallel.agreement import appears, check_alike, together
from stages.training.parallel.replicas import Replicas, Strategy
from stages.training.parallel.world import World
from stages.training.policy import Policy

TRIED = 2e8  # bytes of weights that are saved once before the first update, to see that they can be


class State:
    """What a run resumes from: restored where it begins, saved now and then; at the end it is published."""

    def __init__(
        self,
        job: Job,
        policy: Policy,
        tokenizer: Any,
        *,
        updates: int,
        depends_on: Mapping[str, Any] = MappingProxyType({}),
        inputs: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """`depends_on` is what the result hangs on beside the job's options; state of others is refused.

        `inputs` go into `r1.json`. Raises UsageError where `out` or unfinished work is in the way and the job
        does not resume.
        """
        settings, world = job.settings, job.world
        self.job, self.policy, self.tokenizer, self.inputs = job, policy, tokenizer, inputs
        self.out: Path = settings.out
        self.saving: Saving = settings.saving
        self.report, self.world = job.report, world
        self.updates_planned = max(updates, 1)
        self.is_main = world.rank == 0  # writes what all have made
        self.identity = digest({**job.binding, **depends_on}, code_version())
        self.work = checkpoint.partial_of(self.out)
        self.step = self.updates = 0
        self.changing = threading.Lock()  # held while the weights change
        self.extra: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        self.tracker: Tracker | None = None
        self.size = sum(p.numel() for p in policy.model.parameters())  # before they are shared out
        given = {f"the digest of {name}": value for name, value in depends_on.items()}
        check_alike(world, "input", {**given, "the digest of options and input": self.identity})
        world.agree(self._begin(job.resume))
        with self.learning():
            with together(world), self._writing():
                state = self._position()
            if policy.unread is None:
                self._compare(fingerprint(policy.model.parameters()) if world.size > 1 else 0)
            self.strategy = _strategy(policy, settings.optimizer, world)
            if policy.unread is not None:
                self._compare(policy.checksum)
            if state is not None:
                self._restore(state)
            if self.is_main:
                self._forget_later(state)
                self._open_logs()
            world.meet()

    def _compare(self, checksum: int) -> None:
        """Returns where all ranks have the same weights: the revision is of the ends of each file alone."""
        facts = {f"the checksum of the weights at step {self.step}": f"{checksum:016x}"}
        check_alike(self.world, "input", facts)

    def _open_logs(self) -> None:
        """The metrics of the steps that are restored, and the tracker."""
        with self._writing():
            jsonl.write(self.metrics_path, self._kept_metrics())
            key = digest(self.identity, str(self.out.resolve()))[:16]
            if self.saving.track:
                self.tracker = Tracker(self.saving.track, self.work, self.out.name, key)

    def _forget_later(self, state: Path | None) -> None:
        """Deletes what a killed run made after the state, or before any; its best becomes the state's again.

        It might be made otherwise this time, or not at all.
        """
        with self._writing():
            for folder in ("eval", "rollouts", "steps"):
                for made in (self.work / folder).glob("step_*"):
                    number = made.stem.removeprefix("step_")
                    if number.isdigit() and (state is None or int(number) > self.step):
                        _delete(made)
                with contextlib.suppress(OSError):  # not empty, or not there
                    (self.work / folder).rmdir()
            if state is None:
                _delete(self.work / "eval.jsonl")
            if state is None or not (state / "best").is_dir():
                _delete(self.work / "best")
            else:
                self._link(state / "best")

    def _link(self, made: Path) -> None:
        """Makes a checkpoint within the run its best, without a copy of its files."""
        with checkpoint.appearing(self.work / "best", replace=True) as directory:
            shutil.copytree(made, directory, copy_function=os.link, dirs_exist_ok=True)

    def _begin(self, resume: bool) -> R1Error | None:
        """Takes the folder of the run; what keeps it from that, for all ranks to raise."""
        if not self.is_main:
            return None
        try:
            checkpoint.refuse_unfinished(self.out, resume=resume)
            with self._writing():
                self.work.mkdir(parents=True, exist_ok=True)
                self._lock = open(self.work / "lock", "ab")  # noqa: SIM115 - held as long as the run
                hold(self._lock.fileno(), str(self.work))
                with self.learning():
                    if not checkpoint.has_begun(self.out):
                        self._clear("lock")
                    trial, weights = self.work / ".trial", 4 * self.size
                    rehearse(self.policy.unwrapped, self.tokenizer, trial, weights)
                    if weights <= TRIED and not self.policy.sharded:
                        self._try_weights(trial)
        except R1Error as error:
            return error
        return None

    @contextlib.contextmanager
    def learning(self) -> Iterator[None]:
        """The steps of a run: where the first fails, what it leaves goes, but for what its error names."""
        try:
            yield
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        """Leaves nothing in the way of the next run where this one has learned nothing."""
        if self.is_main and not checkpoint.has_begun(self.out):
            if self.tracker is not None:
                with contextlib.suppress(Exception):  # what failed is told, and not what follows from it
                    self.tracker.close()
            self._lock.close()
            self._clear("offending", ".offending")  # also what another process is writing
            with contextlib.suppress(OSError):  # not empty
                self.work.rmdir()

    def _clear(self, *kept: str) -> None:
        """Deletes what a run has in its folder before it has learned anything, but for `kept`.

        Completions of held-out problems stay: a run that asks the same takes them.
        """
        for path in self.work.iterdir():
            empty = path.is_file() and not path.stat().st_size
            if path.name.startswith(kept) or (path.suffix == ".journal" and not empty):
                continue
            if path.is_dir() and checkpoint.idle(path):
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_file() and (empty or checkpoint.idle(path)):
                path.unlink(missing_ok=True)

    def _try_weights(self, directory: Path) -> None:
        """Saves a whole checkpoint and deletes it. Raises R1Error for what the libraries refuse."""
        try:
            with checkpoint.writing(directory):
                directory.mkdir(exist_ok=True)
                self.policy.save(directory, self.tokenizer, dtype=self.saving.save_dtype)
        except (R1Error, MemoryError):
            raise
        # Whatever a library says of the weights, it would say after hours as well.
        except Exception as error:
            why = said(error)[:200]
            raise R1Error(f"the model could not be saved after training: {why}; mend its files") from error
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return atomic.writing(self.work)

    @property
    def metrics_path(self) -> Path:
        return self.work / "metrics.jsonl"

    def _kept_metrics(self) -> list[dict[str, Any]]:
        """Metrics up to the restored step; what a killed run logged after it is made again."""
        if not (self.step and self.metrics_path.exists()):
            return []
        kept = []
        with open(self.metrics_path, "rb") as stream:
            for line in stream:
                try:
                    entry = jsonl.decode(line)
                except ValueError:
                    break  # torn by the kill
                with _resuming(self.metrics_path):
                    if entry["step"] <= self.step:
                        kept.append(entry)
        return kept

    def save_due(self) -> bool:
        """Whether the step just logged is one after which to `save`."""
        return self.saving.save_every > 0 and self.step % self.saving.save_every == 0

    def save(self) -> None:
        """State to resume from: trained weights, optimiser, position. The one before it is deleted."""
        self.world.does(f"saves the state of step {self.step}")
        self._keep()
        if self.is_main:
            with self._writing():  # else a crash of the machine might keep the state and lose these
                for path in self.work.glob("*.jsonl"):
                    atomic.force(path)
        target = self.work / "state" / f"step_{self.step:06d}"
        with self._appearing(target) as directory:
            self._write_share(directory)
            position = {
                "identity": self.identity,
                "computes": self.policy.computes,
                "step": self.step,
                "updates": self.updates,
                "extra": self.extra,
                "last": self.last,
            }
            if directory is not None:
                (directory / "state.json").write_bytes(jsonl.encode(position))
                if (self.work / "best").is_dir():
                    shutil.copytree(self.work / "best", directory / "best", copy_function=os.link)
        if not self.is_main:
            return
        with self._writing():
            for old in target.parent.glob("step_*"):
                if old != target:
                    shutil.rmtree(old)
            for outdated in (*self._references()[:-1], *self.work.glob("eval_*.journal")):
                outdated.unlink()

    def _write_share(self, directory: Path | None) -> None:
        """Each rank its own share, into the directory that rank 0 fills."""
        place = Path(self.world.gather(str(directory))[0])
        with together(self.world), checkpoint.writing(place):
            if not self.is_main and not appears(place):
                raise StreamError(f"cannot write {place}: it is not to be seen here")
            for path in shares.write(place, self.world.rank, self.strategy.state()):
                atomic.force(path)

    @contextlib.contextmanager
    def _appearing(self, path: Path) -> Iterator[Path | None]:
        """A new directory for rank 0 to fill, as `checkpoint.appearing`; None for the others, who wait until
        it is on disk.
        """
        if self.is_main:
            with checkpoint.appearing(path, replace=path != self.out) as directory:
                yield directory
        else:
            yield None
        self.world.meet()

    def _keep(self) -> None:
        """The weights as a checkpoint among the last `keep_last`, and as the best where none was better.

        Better is a higher mean reward over the steps since the state before, or, without rewards, a lower
        loss. Where the run is measured on held-out problems they say what is best: see `save_best`.
        """
        known = [value for value in self.extra.pop("goodness", []) if value is not None]
        if not self.saving.keep_last:
            return
        target = self.work / "steps" / f"step_{self.step:06d}"
        with self._appearing(target) as directory:
            self._write(directory, self.last)
        if self.job.settings.evaluation.eval:
            known = []
        good = statistics.fmean(known) if known else None
        best = good is not None and good > self.extra.get("best", -math.inf)
        if best:
            self.extra["best"] = good
        if not self.is_main:
            return
        with self._writing():
            for old in sorted(target.parent.glob("step_*"))[: -self.saving.keep_last]:
                shutil.rmtree(old)
        if best:
            self._link(target)

    def save_best(self, metrics: Mapping[str, Any]) -> None:
        """The weights as the checkpoint `OUT/best`, in the place of the one before; `metrics` are of it."""
        with self._appearing(self.work / "best") as directory:
            self._write(directory, {"step": self.step, **metrics})

    def save_reference(self, reference: Any) -> None:
        """Keeps the weights of a reference model that is no longer the parent."""
        if not self.is_main:
            return
        from safetensors.torch import save_file

        tensors = {name: p.detach().contiguous() for name, p in reference.named_parameters()}
        path = self.work / f"reference_{self.step:06d}.safetensors"
        with checkpoint.writing(path):
            save_file(tensors, path.with_suffix(".new"))
            atomic.force(path.with_suffix(".new"))
            os.replace(path.with_suffix(".new"), path)

    def load_reference(self, reference: Any) -> None:
        """The newest reference kept up to the restored step, where there is one."""
        from safetensors.torch import load_file

        kept = self._references()
        if kept:
            with _resuming(kept[-1]):
                reference.load_state_dict(load_file(kept[-1]), strict=False)

    def _references(self) -> list[Path]:
        """References kept up to this step, the newest last."""
        found = sorted(self.work.glob("reference_*.safetensors"))
        return [path for path in found if int(path.stem.rpartition("_")[2]) <= self.step]

    def _newest(self) -> Path | None:
        """The newest state: rank 0 says which that is, as a listing may be stale; all have the same."""
        names = sorted(path.name for path in (self.work / "state").glob("step_*"))[-1:]
        names = self.world.gather(names)[0] or names
        state = self.work / "state" / names[0] if names else None
        if self.world.size > 1:
            seen = state if state is not None and appears(state) else None
            content = seen and digest(checkpoint.revision(str(seen)), _text(seen / "state.json"))
            check_alike(self.world, "input", {"the saved state": seen and f"{seen.name}, digest {content}"})
        return state

    def _position(self) -> Path | None:
        """Where the newest state is, its weights given to the policy and its position to the run; None
        without one.
        """
        found = self._newest()
        if found is None:
            return None
        with _resuming(found / "state.json"):
            position = jsonl.decode((found / "state.json").read_bytes())
            if position["identity"] != self.identity:
                raise UsageError(
                    f"{self.work} was made with other options, input or code version; "
                    "run with the same ones, or delete it"
                )
            now, before = self.policy.computes, position.get("computes", self.policy.computes)
            if before != now:
                raise UsageError(
                    f"{self.work} was computed in {before}, and --dtype auto is {now} on this device; resume "
                    f"it on a device like the first, or delete it"
                )
            self.step, self.updates = int(position["step"]), int(position["updates"])
            self.extra, self.last = dict(position["extra"]), dict(position["last"])
        with _resuming(found):
            stored = shares.Stored(found)

        def read(name: str, weight: Tensor) -> Tensor:
            with _resuming(found):
                return stored.whole(f"weight.{name}", weight)

        self.policy.begin_with(read)
        return found

    def _restore(self, state: Path) -> None:
        """Gives the spread what `save` took from it, on whatever number of processes that was."""
        with _resuming(state):
            self.strategy.restore(shares.Stored(state))
        self.report.note(f"resumed after step {self.step}")

    def publish(self) -> Checkpoint:
        """The checkpoint, with metrics, rollouts and traces beside the weights."""
        self.world.does("writes the checkpoint")
        if self.tracker is not None:
            self.tracker.close()
        manifest: dict[str, Any] = {}
        with self._appearing(self.out) as directory:
            if directory is not None:
                self._take_along(directory)
            manifest = self._write(directory, self.last)
        if self.is_main:
            with self._writing():
                self._lock.close()  # NFS keeps what is open under another name, and the folder with it
                shutil.rmtree(self.work)
        return Checkpoint(self.out, manifest)

    def _take_along(self, directory: Path) -> None:
        for made in self.work.iterdir():
            if made.name.startswith("."):
                continue  # what a kill left of trying to save
            if made.is_dir() and made.name != "state":
                shutil.copytree(
                    made,
                    directory / made.name,
                    copy_function=os.link,
                    ignore=shutil.ignore_patterns(".*"),  # what a kill left half-written
                )
            elif made.suffix == ".jsonl":
                os.link(made, directory / made.name)

    def _write(self, directory: Path | None, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The present weights as a checkpoint in `directory`; returns its manifest, on rank 0."""
        self.policy.save(
            directory,
            self.tokenizer,
            self.strategy.weights(),
            dtype=self.saving.save_dtype,
            shard=self.saving.shard_size,
        )
        if directory is None:
            return {}
        return checkpoint.write_manifest(
            directory,
            stage=self.job.stage,
            options=self.job.options,
            inputs=self.inputs,
            parent=(self.policy.name, self.policy.revision),
            metrics=metrics,
            computes=self.policy.computes,
        )


@contextlib.contextmanager
def _resuming(path: Path) -> Iterator[None]:
    """Raises BadInput for whatever is wrong with the kept state in the block: another program, or a disk, has
    changed it.
    """
    cause: Exception
    try:
        yield
        return
    except BadInput as error:
        why, place, cause = error.what, error.place or str(path), error
    except (R1Error, OSError, MemoryError):
        raise
    except Exception as error:
        why, place, cause = said(error), str(path), error
    missing = "there is no " if isinstance(cause, KeyError) else ""
    work = next(each for each in path.parents if each.suffix == ".partial")
    raise BadInput(
        f"cannot be resumed from: {missing}{why[:200]}",
        place=place,
        remedy=f"delete {work} to begin anew",
    ) from cause


def _text(path: Path) -> str:
    """What a file holds, or nothing where it is not there."""
    return path.read_text("utf-8", "replace") if path.exists() else ""


def _delete(path: Path) -> None:
    """Deletes a folder or a file, where it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _strategy(policy: Policy, optimizer: Optimizer, world: World) -> Strategy:
    if not world.sharded:
        return Replicas(policy, optimizer, world)
    from stages.training.parallel.zero import Zero

    return Zero(policy, optimizer, world)
