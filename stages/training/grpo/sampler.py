"""Where a step's scored completions come from: given, or sampled on policy; ahead.py samples before its time.

Completions come from the very code that `generate` and `score` run, with the policy's own weights in memory,
so sampler and trainer cannot hold different ones; their log-probabilities are still compared at each step.

"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

from stages.inference.complete import Plan, run_plan
from stages.inference.interface import Follower
from stages.records.record import Record, group_of, seed_of
from stages.runtime.errors import R1Error
from stages.scoring.scorer import Scorer
from stages.scoring.spec import held
from stages.settings.grpo import Settings
from stages.training.loop.run import Run
from stages.training.parallel.world import World


class Batch(NamedTuple):
    """Scored completions of a step, a group after the other, and figures of how they were chosen."""

    rollouts: list[Record]
    metrics: dict[str, Any]
    on_policy: bool  # whether the weights that drew them are those that learn from them
    sampled: bool = True  # in this run
    version: int | None = None  # the steps that the weights that drew them had learned; None: unknown

    @property
    def computed(self) -> int:
        """Tokens that passed through the model for it: each prompt once, and each completion."""
        prompts = {group_of(record): len(record["prompt_ids"]) for record in self.rollouts if self.sampled}
        made = sum(len(record["completion_ids"]) for record in self.rollouts if self.sampled)
        return made + sum(prompts.values())


class Sampler(Protocol):
    """What gives each step its completions; a step that is resumed gets the same ones again."""

    def batch(self, step: int) -> Batch:
        """The scored completions of `step`."""

    def hold(self) -> None:
        """Puts what it has in hand into the run's state, before that is saved; by default nothing."""
        return

    def rest(self) -> None:
        """Waits until the backend is free for other work; by default it is."""
        return


@dataclass
class Given(Sampler):
    """Rollouts that were sampled and scored before: one step's."""

    rollouts: list[Record]
    on_policy: bool

    def batch(self, step: int) -> Batch:
        """See `Sampler`."""
        return Batch(self.rollouts, {}, self.on_policy, sampled=False)


@dataclass
class OnPolicy(Sampler):
    """Samples each step's completions with the weights that will learn from them."""

    items: Sequence[Record]
    settings: Settings
    backend: Follower
    scorer: Scorer
    plan: Plan
    run: Run
    world: World  # each of its processes samples for its share of a step's problems

    def __post_init__(self) -> None:
        self.order = problem_order(len(self.items), self.settings.seed, self.settings.order)
        self.consumed = int(self.run.extra.get("consumed", 0))  # problems taken from the order
        for _ in range(self.consumed):
            next(self.order)

    def batch(self, step: int) -> Batch:
        """See `Sampler`."""
        self.run.sync(self.backend)
        return self.sample(step)._replace(version=step - 1)

    def hold(self) -> None:
        """See `Sampler`."""
        self.run.extra["consumed"] = self.consumed

    def sample(self, step: int) -> Batch:
        """The step's completions; with dynamic sampling, of groups that have something to teach."""
        wanted, rounds = self.settings.problems, self.settings.objective.dynamic_sampling
        kept: list[Record] = []
        found = dropped = 0
        for turn in range(rounds + 1):
            made = self.collect(self._problems(wanted - found, step, turn), step)
            if not rounds:
                return Batch(made, {}, True)
            groups: dict[str, list[Record]] = {}
            for record in made:
                groups.setdefault(group_of(record), []).append(record)
            for group in groups.values():
                values = {record["reward"] for record in group if record["reward"] is not None}
                if len(values) > 1 or (turn == rounds and not kept):
                    kept.extend(group)
                    found += 1
                else:
                    dropped += 1
            if found >= wanted:
                break
        return Batch(kept, {"dynamic_sampling/dropped": dropped, "dynamic_sampling/kept": found}, True)

    def _problems(self, count: int, step: int, turn: int) -> list[Record]:
        """The next problems, each under a name of its own."""
        chosen = [self._next(step) for _ in range(count)]
        # A small set of problems may come round twice in one step: the turn keeps their groups apart.
        return [
            record.adding(id=f"{record['id']}@{step}.{turn}.{i}")
            if sum(r is record for r in chosen) > 1 or turn
            else record
            for i, record in enumerate(chosen)
        ]

    def _next(self, step: int) -> Record:
        """The next problem for which a reward holds at `step`; those before it are left out."""
        for _ in range(2 * len(self.items)):
            record = self.items[next(self.order)]
            self.consumed += 1
            if held(self.scorer.parts, record, step):
                return record
        raise R1Error(f"step {step}: no reward holds for any problem")

    def collect(self, problems: Sequence[Record], step: int) -> list[Record]:
        """Scored completions of `problems`, a group after the other; each rank makes those of its share."""
        plan = replace(self.plan, seed=seed_of(self.plan.seed, step))
        self.world.does(f"samples and scores for step {step}")
        share = problems[self.world.rank :: self.world.size]
        made = run_plan(share, plan, self.backend, ahead=len(share) + 1)
        parts = self.world.gather(list(self.scorer.score(made, step=step)))
        each = self.plan.samples
        found: list[Record] = []
        for index in range(len(problems)):
            turn, of = divmod(index, self.world.size)
            found.extend(parts[of][turn * each : (turn + 1) * each])
        return found


def problem_order(count: int, seed: int, order: Literal["shuffled", "given"] = "shuffled") -> Iterator[int]:
    """Indices of problems without end: each epoch visits all of them once, shuffled anew or as they came."""
    epoch = 0
    while True:
        indices = list(range(count))
        if order == "shuffled":
            random.Random(seed_of("problems", seed, epoch)).shuffle(indices)
        yield from indices
        epoch += 1
