"""GRPO on one page: what a step does, in the order and the words of the paper.

    sync        the sampler takes over the policy's weights             grpo/sampler.py
    sample      o_1 .. o_G ~ pi_old(q) for each problem q                inference/
    score       r_i = R(q, o_i)                                         scoring/, rewards/
    advantages  A_i = (r_i - mean r) / std r                            objectives/advantage.py
    old, ref    log pi_old(o_it) and log pi_ref(o_it)                   grpo/learner.py
    loss        -min(rho A, clip(rho) A) + beta KL, weighed             objectives/policy.py
    update      AdamW on the summed, clipped gradient                   loop/run.py
    measure     the policy on held-out problems, where it is due        loop/evaluations.py
    log, save   metrics, rollouts, state to resume from                 loop/run.py

Sources: DeepSeek-R1 (arXiv 2501.12948) eq. 1 to 3, DeepSeekMath (2402.03300) eq. 3 and 4.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from stages.records import jsonl
from stages.records.record import Record, group_of, stamp
from stages.training.grpo import idle, metrics
from stages.training.grpo.learner import Learner
from stages.training.grpo.sampler import Sampler
from stages.training.loop.evaluations import Evaluations
from stages.training.loop.run import Clock, Run

SHOWN = ("reward", "completions/mean_length", "grad_norm")  # in the live line


def step(run: Run, sampler: Sampler, learner: Learner, evaluations: Evaluations) -> None:
    """One step: completions of a batch of problems, the updates that they teach, and what came of them."""
    clock = Clock()
    run.step += 1
    batch = sampler.batch(run.step)  # sync, sample, score
    run.count_work(batch.computed, 2)
    if learner.rewarded:
        idle.refuse_unjudged(run, learner.settings, batch.rollouts)
    learner.logp_diff_limit = learner.settings.logp_diff_limit if batch.on_policy else math.inf
    sampled = clock.lap()
    figures, traced = learn(run, learner, batch.rollouts)  # advantages to update
    learned = clock.lap()
    if run.is_main:
        origin = {"step": run.step} | ({} if batch.version is None else {"policy_step": batch.version})
        made = (each.adding(meta=stamp(each, run.job.stage, **origin)) for each in traced)
        jsonl.write(run.work / "rollouts" / f"step_{run.step:06d}.jsonl", made)
    learner.renew_reference(run)
    times = {"step_time": sampled + learned, "time/generate": sampled, "time/learn": learned}
    run.log({**figures, **batch.metrics, **times, **evaluations.measure()}, *SHOWN)
    if run.step == 1 and figures["completions/clipped_ratio"] == 1:
        run.report.note(
            f"all {len(traced)} completions of the first step were cut off at --max-tokens "
            f"{learner.settings.sampling.max_tokens}: raise it, or teach the model to end its answers first"
        )
    if learner.rewarded:
        idle.tell_idle(run, learner.settings, batch.rollouts, figures)
    if run.save_due() and run.step < learner.settings.steps:
        sampler.hold()
        run.save()


def learn(run: Run, learner: Learner, rollouts: Sequence[Record]) -> tuple[dict[str, Any], list[Record]]:
    """Updates the policy on one step's rollouts. Returns metrics, and the records with their advantage and,
    where wanted, the policy's log-probabilities.

    Raises R1Error where the sampler's log-probabilities are not the policy's.
    """
    o = learner.settings.objective
    names = {name: index for index, name in enumerate(dict.fromkeys(map(group_of, rollouts)))}
    groups = torch.tensor([names[group_of(record)] for record in rollouts])
    rewards = torch.tensor([_reward(record) for record in rollouts], dtype=torch.float64)
    costs = learner.divergence(rollouts)
    gains = learner.advantages(rewards, groups, costs)
    batches = learner.minibatches(rollouts, gains)
    learner.add_old_logprobs(batches)
    sums: dict[str, float] = {}
    updates, learner.largest_gap, learner.kept = 0, 0.0, {}
    for _ in range(o.inner_epochs):
        for batch in batches:
            learner.add_reference_logprobs(batch)
            loss = partial(learner.loss, first=not updates)
            made = run.update(learner.rows(batch), loss, temperature=learner.settings.sampling.temperature)
            for name, value in made.items():
                sums[name] = sums.get(name, 0.0) + value
            updates += 1
    largest = max(learner.world.gather(learner.largest_gap))
    learned = metrics.of_updates(sums, updates, largest)
    figures = {
        "loss": learned.pop("loss"),
        **metrics.of_rollouts(rollouts, rewards, groups),
        **learned,
        "num_tokens": sum(len(record["completion_ids"]) for record in rollouts),
    }
    if costs is not None:
        drawn = [sum(p is not None for p in record["logprobs"]) for record in rollouts]
        figures["kl"] = costs.mean().item() / max(statistics.fmean(drawn), 1)
    traced = [record.adding(advantage=gain) for record, gain in zip(rollouts, gains, strict=True)]
    if learner.settings.policy_logprobs:
        return figures, learner.policy_logprobs(traced)
    for record in traced:
        record.pop("policy_logprobs", None)  # of the run that made these rollouts: another policy's
    return figures, traced


def _reward(record: Record) -> float:
    value = record.get("reward")
    return math.nan if value is None else float(value)
