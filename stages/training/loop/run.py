"""A training run: updates of the policy's weights, and metrics of each step."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from stages.inference.interface import Follower
from stages.inference.transformers.execution import packing
from stages.objectives.schedule import learning_rate
from stages.records import jsonl
from stages.runtime import atomic
from stages.runtime.errors import R1Error
from stages.training.loop.state import State
from stages.training.parallel.world import World
from stages.training.policy import gathered
from stages.training.rows import Row, Sample, rows

Loss = Callable[[Row, Tensor, Tensor], tuple[Tensor, dict[str, float]]]


class Run(State):
    """One training run: `update` the policy, `log` what happened, `save` now and then, `publish`."""

    _synced: tuple[Follower, int, int] | None = None  # who has the weights, of which update, and their name

    def update(self, batch: Iterable[Row], loss: Loss, *, temperature: float = 1.0) -> dict[str, float]:
        """One optimiser step on the summed loss of all rows. Returns summed statistics.

        `loss(row, logp, entropy)` gives a row's part of the update's loss. Raises R1Error where loss or
        gradient is not finite, before any weight has changed.
        """
        self.world.does(f"learns in step {self.step}")
        self.strategy.begin()
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
            self.strategy.backward(part, last=last)
        self.world.agree(failure)
        total: dict[str, float] = {}
        for stats, computed in self.world.gather((mine, tokens)):
            self.count_work(computed, 6)
            for name, figure in stats.items():
                total[name] = total.get(name, 0.0) + figure
        rate = learning_rate(self.updates, self.updates_planned, self.job.settings.optimizer)
        with self.changing:
            norm = self.strategy.step(rate) if begun else 0.0
            self.updates += int(math.isfinite(norm))
        if not math.isfinite(norm):
            told = (
                f"step {self.step}: the gradient's norm is {norm} and no weight was changed; "
                f"its samples are in {self._offend(*used)}"
            )
            self.world.agree(R1Error(told))
        return {**total, "grad_norm": norm, "lr": rate}

    def rows(self, samples: Sequence[Sample]) -> Iterator[Row]:
        """This rank's rows of `samples`, each of at most the `row_tokens` of the run."""
        return rows(
            samples,
            self.job.settings.row_tokens,
            self.policy.device,
            packing=packing([self.policy.unwrapped]),
            rank=self.world.rank,
            ranks=self.world.size,
        )

    def sync(self, backend: Follower, world: World | None = None) -> int:
        """Gives the backend the policy's weights; it refuses to sample with any others. Their fingerprint.

        Nothing is done where it has them since the last update. Raises R1Error where the processes have
        different ones. Another thread than the trainer's gives the `world` of its own, and holds `changing`.
        """
        world = world or self.world
        if self._synced is None or self._synced[:2] != (backend, self.updates):
            world.does(f"gives the sampler the weights of step {self.step}")
            held = backend.follow(self.policy.unwrapped, gathered)
            if len(set(world.gather(held))) > 1:
                world.agree(R1Error("the processes train different weights: their checksums differ"))
            self._synced = backend, self.updates, held
        return self._synced[2]

    def _part(self, row: Row, loss: Loss, logp: Tensor, entropy: Tensor) -> tuple[Tensor, dict[str, float]]:
        """A row's part of the loss, with its value among its statistics."""
        part, stats = loss(row, logp, entropy)
        value = float(part.detach())
        if not math.isfinite(value):
            raise R1Error(f"step {self.step}: the loss is {value}; its samples are in {self._offend(row)}")
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
        name = "offending.jsonl" if self.is_main else f"offending_{self.world.rank}.jsonl"
        jsonl.write(self.work / name, samples)
        return self.work / name

    def log(self, metrics: Mapping[str, Any], *shown: str) -> None:
        """Ends a step: its line of metrics.jsonl; `shown` are the figures of the live line."""
        self.append(metrics)
        good = self.last["reward"] if "reward" in self.last else -self.last["loss"]
        self.extra.setdefault("goodness", []).append(good)
        self.report.advance(
            **{
                name.rpartition("/")[2] if name.count("/") < 2 else name: self.last[name]
                for name in shown
                if name in self.last
            }
        )

    def append(self, metrics: Mapping[str, Any]) -> None:
        """Appends a line to metrics.jsonl, and tells the tracker."""
        figures = {k: _short(v) for k, v in metrics.items()}
        self.last = {"step": self.step, **figures, "total_flos": self.extra.get("flos", 0)}
        if self.is_main:
            with atomic.writing(self.metrics_path), open(self.metrics_path, "ab") as stream:
                stream.write(jsonl.encode(self.last))
        if self.tracker is not None:
            self.tracker.log(self.step, self.last)


def _marked(batch: Iterable[Row]) -> Iterator[tuple[Row, bool]]:
    """Each row, and whether it is the last."""
    held: Row | None = None
    for row in batch:
        if held is not None:
            yield held, False
        held = row
    if held is not None:
        yield held, True


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
