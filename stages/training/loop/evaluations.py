"""Measuring the model of a run on problems that it does not learn from.

`eval.jsonl` has a line for each source and evaluation, with the figures of `r1 eval` and the step; the scored
completions lie under `eval/step_000012/NAME.jsonl`. Nothing that training depends on is touched: no random
number is drawn but those of the completions, which have seeds of their own.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stages.checkpoints.checkpoint import versions
from stages.evaluation.held_out import HeldOut, Timetable, best, completions, since_best
from stages.evaluation.measure import Tally, judge
from stages.inference.complete import Plan, computing, in_hand, run_plan
from stages.inference.interface import Follower
from stages.records import jsonl
from stages.records.jsonl import Journal
from stages.records.record import Record, stamp
from stages.runtime import atomic
from stages.training.loop.run import Clock, Run

# Of a source's figures, those in the line of metrics.
LOGGED = (
    "pass@1",
    "pass@1_low",
    "pass@1_high",
    "completions/mean_length",
    "completions/clipped_ratio",
    "loss",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "confidence",
    "ece",
)


@dataclass(frozen=True)
class Asked:
    """What answers held-out problems; `rest` waits until the backend is free for it."""

    backend: Follower
    plan: Plan
    workers: int  # processes that score
    rest: Callable[[], None] = lambda: None


@dataclass
class Evaluations:
    """The evaluations of a run. `lessons` give the figures of those sources that are not asked, or not only:
    a loss, and what else shows without a completion.
    """

    run: Run
    table: Timetable
    asked: Asked | None  # None where no problem is asked
    scope: contextlib.ExitStack  # ends the processes that score
    lessons: Mapping[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Takes up the lines of a run that is resumed, up to its restored step."""
        self.path = self.run.work / "eval.jsonl"
        if self.run.is_main and self.run.step and self.path.exists():
            with jsonl.open_input(self.path) as stream:
                kept = jsonl.read_lines(stream, str(self.path))
                self.lines = [dict(line) for line in kept if line["step"] <= self.run.step]
        self.lines = self.run.world.gather(self.lines)[0]
        workers = self.asked.workers if self.asked else 0
        self.judges = {
            each.name: judge(self.scope, each.rewards, workers, completions([each]))
            for each in self.table.sets
        }

    def begin(self) -> None:
        """The evaluation before the first step."""
        if not self.run.step:
            figures = self.measure()
            if figures:
                self.run.append(figures)

    def measure(self) -> dict[str, Any]:
        """Figures for the step's line of metrics, where an evaluation is due after it; else none.

        The model becomes `OUT/best` where no evaluation before was as good.
        """
        if not self.table.due(self.run.step):
            return {}
        clock = Clock()
        self.run.world.does(f"answers held-out problems after step {self.run.step}")
        found = self._lines()
        figures = {
            f"eval/{line['name']}/{key}": value
            for line in found
            for key, value in line.items()
            if key in LOGGED or key.startswith("rewards/") or (key.startswith("pass@") and key[5:].isdigit())
        }
        self.lines.extend(found)
        if best(self.lines) == self.run.step:
            self.run.save_best(figures)
        if self.run.is_main:
            jsonl.write(self.path, self.lines)
        seconds = clock.lap()
        self.run.report.note(f"step {self.run.step}: {'; '.join(map(_told, found))}; {seconds:.1f} s")
        return {**figures, "time/eval": seconds}

    def _lines(self) -> list[dict[str, Any]]:
        """The figures of each source."""
        revision = ""
        if self.asked:
            self.asked.rest()
            revision = f"{self.run.sync(self.asked.backend):016x}"
        found = []
        with self._journal() as journal:
            for each in self.table.sets:
                line: dict[str, Any] = {"step": self.run.step, "name": each.name}
                if each.name in self.lessons:
                    line |= self.lessons[each.name]()
                if self.asked and each.problems:
                    line |= self._asked(each, self.asked, revision, journal)
                found.append(line)
        return found

    @contextlib.contextmanager
    def _journal(self) -> Any:
        """What this process has sampled, until a state is saved that has been measured; None elsewhere."""
        world, work = self.run.world, self.run.work
        if not (self.asked and work.is_dir()):  # the folder may be another machine's
            yield None
            return
        with contextlib.closing(Journal(work / f"eval_{world.rank}.journal", resume=True)) as journal:
            yield journal

    def _asked(self, source: HeldOut, asked: Asked, revision: str, journal: Journal | None) -> dict[str, Any]:
        """The figures of completions that the model gives now; each process makes those of its share."""
        world = self.run.world
        engine = computing(asked.plan.engine, asked.backend)
        plan = replace(asked.plan, revision=revision, samples=source.samples, engine=engine)
        world.does(f"answers held-out problems of {source.name} after step {self.run.step}")
        share = source.problems[world.rank :: world.size]
        made = run_plan(share, plan, asked.backend, journal=journal, ahead=in_hand(plan.engine))
        parts = world.gather(list(self.judges[source.name](made)))
        stage = self.run.job.stage
        scored = [
            record.adding(meta=stamp(record, stage, step=self.run.step))
            for index in range(len(source.problems))
            for record in _of(parts[index % world.size], index // world.size, source.samples)
        ]
        tally = Tally(source.decide)
        counted = tally.count(scored, source.rewards, source.source)
        if self.run.is_main:
            folder = self.run.work / "eval" / f"step_{self.run.step:06d}"
            with atomic.writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            jsonl.write(folder / f"{source.name}.jsonl", counted)
        else:
            deque(counted, maxlen=0)
        (row,) = tally.rows.values()
        figures = row.figures([source.samples] if source.samples > 1 else [])
        figures["versions"] = {**(figures["versions"] or {}), **versions()}
        return figures

    @property
    def stopped(self) -> bool:
        """Whether so many evaluations have been no better than the best that the run ends."""
        patience: int = self.run.job.settings.evaluation.early_stopping
        return 0 < patience <= since_best(self.lines)

    def summary(self) -> str:
        """What the last line of the run says of them: the best, and what all took. Before `publish`."""
        found = best(self.lines)
        if found is None or not self.run.is_main:  # the folder may be gone already
            return ""
        with jsonl.open_input(self.run.metrics_path) as stream:
            steps = list(jsonl.read_lines(stream, str(self.run.metrics_path)))
        spent = sum(step.get("time/eval") or 0.0 for step in steps)
        whole = spent + sum(step.get("step_time") or 0.0 for step in steps)
        stopped = f"stopped after step {self.run.step}; " if self.run.step < self.table.steps else ""
        return (
            f"; {stopped}best at step {found} ({self.run.out / 'best'}), "
            f"evaluation took {spent:.0f} of {whole:.0f} s ({100 * spent / whole:.1f} %)"
        )


def _of(part: Sequence[Record], index: int, samples: int) -> Sequence[Record]:
    """The completions of a process's problem number `index`."""
    return part[index * samples : (index + 1) * samples]


def _told(line: Mapping[str, Any]) -> str:
    """A source's figures in words."""
    said = [f"loss {line['loss']:.4f}"] if "loss" in line else []
    if "accuracy" in line:
        low, high = (100 * line[f"accuracy_{end}"] for end in ("low", "high"))
        said.append(f"{100 * line['accuracy']:.1f} % right ({low:.1f} – {high:.1f} %)")
    if line.get("pass@1") is not None:
        low, high = (100 * line[f"pass@1_{end}"] for end in ("low", "high"))
        said.append(f"{100 * line['pass@1']:.1f} % right ({low:.1f} – {high:.1f} %)")
        said.append(f"{line['completions/mean_length']:.0f} {line['length_unit']}")
        if line["completions/clipped_ratio"]:
            said.append(f"{100 * line['completions/clipped_ratio']:.0f} % cut off")
    elif "pass@1" in line:
        said.append("nothing could be judged")
    return f"{line['name']} {', '.join(said)}"
