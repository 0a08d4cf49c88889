"""GRPO: sample groups, score them, move the policy towards what scored above its group.

The rollouts come from the very code that `generate` and `score` run, with the policy's own weights in
memory, so sampler and trainer cannot hold different ones; their log-probabilities are still
compared at each step. A step is one batch of problems; it makes `minibatches` x `inner_epochs` updates.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from stages.data.errors import BadInput, R1Error
from stages.data.options import Objective, Sampling
from stages.data.record import Record, group_of, need, place_of, seed_of
from stages.data.text import mixing, split_thinking, target_language
from stages.inference.backend import Follower
from stages.inference.complete import Plan, run_plan
from stages.objectives.advantage import EQUAL, advantages
from stages.objectives.policy import importance, kl, policy_loss, weights
from stages.rewards.habits import reflects
from stages.rewards.scorer import Scorer
from stages.training.policy import Policy, whole
from stages.training.rows import Row, Sample, packs, rows
from stages.training.run import Loss, Run
from stages.training.world import World


@dataclass
class Learner:
    """The policy under training with what it needs to sample, score and learn."""

    policy: Policy
    backend: Follower
    scorer: Scorer
    objective: Objective
    sampling: Sampling
    plan: Plan
    row_tokens: int
    gap_limit: float
    reference: Any = None  # a frozen copy of the model, where KL needs one
    rewarded: bool = True  # False: nothing but the divergence from the reference is learned
    world: World = field(default_factory=World)
    # The same processes; each samples for its share of a step's problems.
    samplers: World = field(default_factory=World)
    largest_gap: float = 0.0  # of the step, between the sampler's log-probability and the policy's

    def sync(self) -> None:
        """Gives the sampler the policy's weights; it refuses to sample with any others."""
        held = self.backend.follow(self.policy.plain, whole)
        if len(set(self.world.gather(held))) > 1:
            raise R1Error("the processes train different weights: their checksums differ")

    def collect(self, problems: Sequence[Record], step: int) -> list[Record]:
        """Scored completions of `problems`, a group after the other; each rank makes those of its share."""
        plan = replace(self.plan, seed=seed_of(self.plan.seed, step))
        share = problems[self.samplers.rank :: self.samplers.size]
        made = run_plan(share, plan, self.backend, ahead=len(share) + 1)
        parts = self.samplers.gather(list(self.scorer.score(made)))
        each = self.plan.samples
        found: list[Record] = []
        for index in range(len(problems)):
            turn, of = divmod(index, self.samplers.size)
            found.extend(parts[of][turn * each : (turn + 1) * each])
        return found

    def learn(self, rollouts: Sequence[Record], run: Run) -> tuple[dict[str, Any], list[Record]]:
        """Updates the policy on one step's rollouts. Returns metrics, and the records with their advantage.

        Raises R1Error where the sampler's log-probabilities are not the policy's.
        """
        o = self.objective
        names = {name: index for index, name in enumerate(dict.fromkeys(map(group_of, rollouts)))}
        groups = torch.tensor([names[group_of(record)] for record in rollouts])
        rewards = torch.tensor([_reward(record) for record in rollouts], dtype=torch.float64)
        paid, divergence = rewards, math.nan
        if o.beta and o.kl_in == "reward":
            costs = self._divergence(rollouts)
            paid, divergence = rewards - o.beta * costs, costs.mean().item()
        gains = advantages(paid, groups, scale=o.scale, baseline=o.baseline).tolist()
        if not self.rewarded:
            gains = [0.0] * len(gains)
        judged = [
            not (self.rewarded and math.isnan(r))
            and not (o.mask_truncated and record["finish"] == "length")
            for r, record in zip(rewards.tolist(), rollouts, strict=True)
        ]
        lengths = [sum(p is not None for p in record["logprobs"]) for record in rollouts]
        batches = self._batches(rollouts, gains, judged)
        in_loss = o.beta if o.kl_in == "loss" else 0.0
        if o.correction != "none" and len(batches) * o.inner_epochs > 1:
            for batch in batches:
                self._fill("own_logp", batch)  # before the first update changes the policy
        stats: dict[str, float] = {}
        updates, self.largest_gap = 0, 0.0
        for epoch in range(o.inner_epochs):
            for batch in batches:
                if in_loss and not epoch:
                    self._refer(batch)
                useful = [s for s in batch if in_loss or s.advantage]
                figures = run.update(
                    self._rows(useful),
                    self._loss(check=updates == 0),
                    temperature=self.sampling.temperature,
                )
                updates += 1
                for name, value in figures.items():
                    stats[name] = stats.get(name, 0.0) + value
        self.largest_gap = max(self.world.gather(self.largest_gap))
        traced = [
            record.adding(advantage=gain) for record, gain in zip(rollouts, gains, strict=True)
        ]
        metrics = self._metrics(rollouts, rewards, groups, stats, updates)
        if not math.isnan(divergence):
            metrics["kl"] = divergence / max(statistics.fmean(lengths), 1)
        return metrics, traced

    def _batches(
        self, rollouts: Sequence[Record], gains: Sequence[float], judged: Sequence[bool]
    ) -> list[list[Sample]]:
        """The samples of each update, with the weights that make it a mean over its own completions."""
        o = self.objective
        order = list(dict.fromkeys(map(group_of, rollouts)))
        count = min(o.minibatches, len(order))
        part = {name: index * count // len(order) for index, name in enumerate(order)}
        batches: list[list[Sample]] = [[] for _ in range(count)]
        for record, gain, known in zip(rollouts, gains, judged, strict=True):
            if known:
                batches[part[group_of(record)]].append(_sample(record, gain))
        for batch in batches:
            pieces = list(packs(batch, self.row_tokens)) if o.aggregate == "local" else [batch]
            for piece in pieces:
                lengths = [_drawn(sample) for sample in piece]
                each = weights(
                    torch.tensor(lengths, dtype=torch.float32),
                    aggregate="token" if o.aggregate == "local" else o.aggregate,
                    completions=len(piece),
                    tokens=sum(lengths),
                    constant=self.plan.sampling.max_tokens,
                )
                for sample, weight in zip(piece, (each / len(pieces)).tolist(), strict=True):
                    sample.weight = [0.0 if math.isnan(p) else weight for p in sample.old_logp]
        return batches

    def _loss(self, check: bool) -> Loss:
        o = self.objective

        def loss(row: Row, logp: Tensor, entropy: Tensor) -> tuple[Tensor, dict[str, float]]:
            if row.old_logp is None:
                raise R1Error("a rollout has no log-probabilities; make it with generate --tokens")
            old = torch.where(row.old_logp.isnan(), logp.detach(), row.old_logp)  # forced tokens
            drawn = ~row.old_logp.isnan()
            before, factor = old, None
            if o.correction != "none":
                before = logp.detach() if row.own_logp is None else row.own_logp
                factor = importance(
                    before,
                    old,
                    correction=o.correction,
                    cap=o.correction_cap,
                    sequences=row.sequences if o.correction_of == "sequence" else None,
                    drawn=drawn,
                )
            out = policy_loss(
                logp,
                before,
                row.advantage,
                low=o.clip_low,
                high=o.clip_high,
                ref_logp=row.ref_logp,
                beta=o.beta,
                estimator=o.kl,
                surrogate=o.surrogate,
                dual_clip=o.dual_clip,
                sequences=row.sequences if o.ratio == "sequence" else None,
                drawn=drawn,
                importance=factor,
            )
            gap = (logp.detach() - old).abs()
            stats = {
                "tokens": float(drawn.sum()),
                "entropy": float(entropy[drawn].sum()),
                "kl": float(out.kl[drawn].sum()),
                "clipped_low": float(out.clipped_low[drawn].sum()),
                "clipped_high": float(out.clipped_high[drawn].sum()),
                "ratio": float(out.ratio[drawn].sum()),
            }
            if factor is not None:
                stats["importance"] = float(factor[drawn].sum())
            if check:
                mean = float(gap[drawn].mean()) if bool(drawn.any()) else 0.0
                if mean > self.gap_limit:  # NaN is for the guard of the loss
                    raise R1Error(
                        f"the sampler's log-probabilities are off the policy's by {mean:.3g} on average "
                        f"(limit {self.gap_limit:g}): it did not sample from the weights that are trained"
                    )
                most = float(gap[drawn].max()) if bool(drawn.any()) else 0.0
                self.largest_gap = max(self.largest_gap, most)
                stats |= {"gap": float(gap[drawn].sum()), "checked": stats["tokens"]}
            return (row.weight * out.loss).sum(), stats

        return loss

    def _refer(self, batch: list[Sample]) -> None:
        """Fills in the reference model's log-probabilities."""
        if self.reference is None:
            with self.policy.reference():
                self._fill("ref_logp", batch)
            return
        with self.policy.replaced(self.reference):
            self._fill("ref_logp", batch)

    @torch.no_grad()
    def _fill(self, name: str, batch: list[Sample]) -> None:
        """Fills in the present model's log-probabilities as `name` of each sample."""
        mine: list[list[list[float]]] = []  # of each row of this rank, and each sample in it
        for row in self._rows(batch):
            logp, _ = self.policy.logprobs(row, self.sampling.temperature)
            sizes = [len(sample.completion_ids) for sample in row.samples]
            if not row.idle:
                mine.append([part.tolist() for part in logp.split(sizes)])
        parts = self.world.gather(mine)
        every = (parts[i % len(parts)][i // len(parts)] for i in range(sum(map(len, parts))))
        for sample, values in zip(batch, (v for row in every for v in row), strict=True):
            setattr(sample, name, values)

    def _rows(self, batch: Sequence[Sample]) -> Iterator[Row]:
        """This rank's rows of a batch."""
        world = self.world
        return rows(batch, self.row_tokens, self.policy.device, rank=world.rank, ranks=world.size)

    def _divergence(self, rollouts: Sequence[Record]) -> Tensor:
        """The sum `[N]` over the drawn tokens of each completion of its KL from the reference, float64."""
        samples = [_sample(record, 0.0) for record in rollouts]
        self._refer(samples)
        found = []
        for sample in samples:
            old, ref = (
                torch.tensor(x, dtype=torch.float64) for x in (sample.old_logp, sample.ref_logp)
            )
            drawn = ~old.isnan()
            found.append(kl(old[drawn], ref[drawn], self.objective.kl).sum())
        return torch.stack(found)

    def _metrics(
        self,
        rollouts: Sequence[Record],
        rewards: Tensor,
        groups: Tensor,
        stats: Mapping[str, float],
        updates: int,
    ) -> dict[str, Any]:
        known = rewards[~rewards.isnan()]
        # Of a group with one reward or none there is no standard deviation: NaN.
        spreads = [_spread(rewards[groups == g]) for g in range(int(groups.max()) + 1)]
        flat = sum(not spread > EQUAL for spread in spreads)
        spreads = [spread for spread in spreads if not math.isnan(spread)]
        lengths = [len(record["completion_ids"]) for record in rollouts]
        cut = [record["finish"] == "length" for record in rollouts]
        whole = [n for n, c in zip(lengths, cut, strict=True) if not c]
        metrics: dict[str, Any] = {
            "loss": stats.get("loss", 0.0) / updates,
            "reward": known.mean().item() if len(known) else None,
            "reward_std": statistics.fmean(spreads) if spreads else None,
        }
        for name in rollouts[0]["rewards"]:
            values = [r["rewards"][name] for r in rollouts if r["rewards"][name] is not None]
            metrics[f"rewards/{name}/mean"] = statistics.fmean(values) if values else None
            metrics[f"rewards/{name}/std"] = statistics.pstdev(values) if values else None
        mixed = [share for r in rollouts if (share := _mixing(r)) is not None]
        reflecting = sum(reflects(r["completion"]) for r in rollouts)
        return metrics | {
            "completions/mean_length": statistics.fmean(lengths),
            "completions/min_length": min(lengths),
            "completions/max_length": max(lengths),
            "completions/mean_terminated_length": statistics.fmean(whole) if whole else 0.0,
            "completions/clipped_ratio": sum(cut) / len(cut),
            "completions/reflection": reflecting / len(rollouts),
            "completions/language_mixing": statistics.fmean(mixed) if mixed else None,
            "completions/unjudged": int(rewards.isnan().sum()),
            "frac_reward_zero_std": flat / (int(groups.max()) + 1),
            "entropy": _mean(stats, "entropy"),
            "kl": _mean(stats, "kl"),
            "clip_ratio/low_mean": _mean(stats, "clipped_low"),
            "clip_ratio/high_mean": _mean(stats, "clipped_high"),
            "ratio": _mean(stats, "ratio"),
            "sampling/importance_mean": _mean(stats, "importance")
            if "importance" in stats
            else None,
            "sampling/logp_gap_mean": _mean(stats, "gap", "checked"),
            "sampling/logp_gap_max": self.largest_gap if stats.get("checked") else None,
            "grad_norm": stats.get("grad_norm", 0.0) / updates,
            "learning_rate": stats.get("lr", 0.0) / updates,
            "num_tokens": sum(lengths),
        }


def _reward(record: Record) -> float:
    value = record.get("reward")
    return math.nan if value is None else float(value)


def _spread(rewards: Tensor) -> float:
    known = rewards[~rewards.isnan()]
    return known.std().item() if len(known) > 1 else math.nan


def _mean(stats: Mapping[str, float], name: str, per: str = "tokens") -> float | None:
    """A mean over tokens; None where the step had none to learn from, which is not 0."""
    return stats[name] / stats[per] if stats.get(per) else None


def _mixing(record: Record) -> float | None:
    """Share of the thinking's words that are not in the target language."""
    text = split_thinking(record["completion"], record.get("prefill") or "").thinking
    lang = target_language(record)
    return mixing(text, lang) if text and lang else None


def _drawn(sample: Sample) -> int:
    """How many of its tokens were drawn, not forced."""
    return sum(not math.isnan(p) for p in sample.old_logp)


def _sample(record: Record, gain: float) -> Sample:
    remedy = "make rollouts with `r1 generate --tokens`"
    prompt_ids = need(record, "prompt_ids", list, remedy)
    completion_ids = need(record, "completion_ids", list, remedy)
    logprobs = need(record, "logprobs", list, remedy)
    if not prompt_ids or not len(completion_ids) == len(logprobs) > 0:
        raise BadInput(
            f"{len(prompt_ids)} prompt_ids, {len(completion_ids)} completion_ids, {len(logprobs)} logprobs",
            place=place_of(record),
            remedy=remedy,
        )
    return Sample(
        prompt_ids,
        completion_ids,
        [0.0] * len(completion_ids),
        gain,
        [math.nan if p is None else p for p in logprobs],
        group=group_of(record),
    )


def problem_order(count: int, seed: int) -> Iterator[int]:
    """Indices of problems without end: each epoch visits all of them once, in an order of its own."""
    epoch = 0
    while True:
        order = list(range(count))
        random.Random(seed_of("problems", seed, epoch)).shuffle(order)
        yield from order
        epoch += 1
