"""Training a reward model: the rewards of an update's texts, their loss, and its gradient through each text.

The loss is of pairs, whose texts may lie in different rows or processes. So all rewards are computed first,
without a gradient; the loss says how much it changes with each of them; then each row is computed with its
gradient, times that. What a row holds changes nothing but rounding.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from stages.checkpoints.checkpoint import Checkpoint
from stages.evaluation.calibration import agreement
from stages.evaluation.held_out import HeldOut, identity, timetable
from stages.inference.encoding import load_tokenizer
from stages.inference.transformers.classifier import longest_of, padded_by
from stages.inference.transformers.execution import note_slow, packing
from stages.objectives.preference import Preference, preference
from stages.objectives.rates import note_faster
from stages.records.record import Record
from stages.runtime.errors import DryRun
from stages.runtime.report import SILENT
from stages.settings.groups import Lora
from stages.settings.reward_model import Settings
from stages.training.learned_text import tell_text
from stages.training.loop.evaluations import Evaluations
from stages.training.loop.job import Job
from stages.training.loop.order import learn_in_order, per_epoch
from stages.training.loop.run import Run
from stages.training.parallel.memory import needs
from stages.training.policy import Policy
from stages.training.reward_model.examples import Example, Reader
from stages.training.rows import Row, Sample


def train(records: Iterable[Record], settings: Settings, job: Job) -> Checkpoint:
    """Trains on all of `records` for `settings.epochs` and publishes the checkpoint `settings.out`.

    Raises BadInput for a record that cannot be used, or where there are none.
    """
    world, report = job.world, job.report
    done = job.finished(records)
    if done is not None:
        return done
    sets = job.held
    tokenizer = load_tokenizer(settings.model, settings.engine.trust_remote_code)
    engine = world.placed(settings.engine)
    policy = Policy(
        settings.model,
        engine,
        Lora(),
        rewards=True,
        planned=settings.dry_run,
        shared=job.reads_shares(engine),
    )
    note_slow(policy.unwrapped, report)
    note_faster(policy.unwrapped, settings.engine, report.note)
    if world.parallelism.checkpointing:
        policy.recompute()
    reader = _reader(policy, tokenizer, settings)
    data = reader.read(records, report)
    count = len(data.examples)
    updates = max(1, round(settings.epochs * per_epoch(count, settings.batch)))
    table = timetable(settings.evaluation, sets, updates, min(settings.batch, count))
    what = "pairs" if data.are_pairs else "labelled completions"
    when = f"; {table.told('updates')}" if sets else ""
    report.note(f"{count} {what}, {settings.batch} an update, {updates} updates{when}")
    if settings.dry_run:
        ids = data.examples[0].samples[0]
        tell_text("the first text", tokenizer.decode([*ids.prompt_ids, *ids.completion_ids[:-1]]), report)
        report.note(f"options: {json.dumps(job.options)}")
        raise DryRun(needs(policy, world, settings.row_tokens))
    run = Run(
        job,
        policy,
        tokenizer,
        updates=updates,
        depends_on={"records": data.learned, "parent": policy.revision, **identity(sets)},
        inputs={"records": count, "digest": data.given},
    )
    with run.learning(), ExitStack() as scope:
        lessons = {each.name: partial(measured, run, _held(each, reader)) for each in sets}
        evaluations = Evaluations(run, table, None, scope, lessons)
        learn = partial(_learn, run, settings=settings)
        learn_in_order(run, data.examples, settings, evaluations, learn, "accuracy")
        said = _told(evaluations) + evaluations.summary()
    made = run.publish()
    report.summary(f"{run.step} updates on {count} {what}, loss {run.last['loss']:.4f} -> {run.out}{said}")
    return made


def _reader(policy: Policy, tokenizer: Any, settings: Settings) -> Reader:
    """What makes examples for the model, which is told what it is padded with."""
    model = policy.unwrapped
    longest = longest_of(model)
    return Reader(
        tokenizer,
        padded_by(model, tokenizer),
        model.config.get_text_config().vocab_size,
        min(settings.context or longest, longest),
        settings.part,
        together=not packing([model]).alone,
    )


def _held(source: HeldOut, reader: Reader) -> list[Example]:
    return reader.read(source.lessons, SILENT).examples


def _learn(run: Run, chosen: Sequence[Example], settings: Settings) -> dict[str, Any]:
    """One update, and its figures, under the names that TRL gives them."""
    samples = [sample for example in chosen for sample in example.samples]
    rewards = rewards_of(run, samples)
    found = _compared(rewards, chosen, settings.center)
    weights = found.gradient.tolist()
    weighed = [
        replace(sample, weight=[*sample.weight[:-1], weight])
        for sample, weight in zip(samples, weights, strict=True)
    ]
    stats = run.update(run.rows(weighed), weighted_rewards)
    return {
        "loss": float(found.loss.mean()),
        "accuracy": agreement(found.difference.tolist(), [e.problem for e in chosen])["accuracy"],
        "margin": float(found.difference.mean()),
        "min_reward": float(rewards.min()),
        "mean_reward": float(rewards.mean()),
        "max_reward": float(rewards.max()),
        "grad_norm": stats["grad_norm"],
        "learning_rate": stats["lr"],
        "num_tokens": sum(len(s.prompt_ids) + len(s.completion_ids) - 1 for s in samples),
    }


def weighted_rewards(row: Row, rewards: Tensor, _: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The row's part of what has the loss's gradient: each reward times how much the loss changes with it."""
    return (row.weight.index_select(0, row.lasts) * rewards).sum(), {}


@torch.no_grad()
def rewards_of(run: Run, samples: Sequence[Sample]) -> Tensor:
    """Rewards `[n]` of texts, in float64; all processes compute a share and get all of them."""
    place = {id(sample): k for k, sample in enumerate(samples)}
    mine: dict[int, float] = {}
    tokens = 0
    for row in run.rows(samples):
        values, _ = run.policy.logprobs(row)
        if not row.idle:
            tokens += len(row.ids)
            mine |= zip((place[id(sample)] for sample in row.samples), values.tolist(), strict=True)
    found: dict[int, float] = {}
    for part, computed in run.world.gather((mine, tokens)):
        found |= part
        run.count_work(computed, 2)
    return torch.tensor([found[k] for k in range(len(samples))], dtype=torch.float64)


def _compared(rewards: Tensor, examples: Sequence[Example], center: float) -> Preference:
    signs = [sign for example in examples for sign in example.signs]
    of = [k for k, example in enumerate(examples) for _ in example.signs]
    margins = [example.margin for example in examples]
    return preference(
        rewards, torch.tensor(signs), torch.tensor(of), torch.tensor(margins, dtype=torch.float64), center
    )


def measured(run: Run, examples: Sequence[Example]) -> dict[str, Any]:
    """How well the model judges held-out examples; the loss is without margins, as judging knows none."""
    rewards = rewards_of(run, [sample for example in examples for sample in example.samples])
    found = _compared(rewards, [replace(example, margin=0.0) for example in examples], 0.0)
    figures = agreement(found.difference.tolist(), [example.problem for example in examples])
    return {"loss": float(found.loss.mean()), "examples": len(examples), **figures}


def _told(evaluations: Evaluations) -> str:
    """The last figures of each file, in words."""
    last = [line for line in evaluations.lines if line["step"] == evaluations.run.step]
    return "".join(
        f"; {line['name']} {100 * line['accuracy']:.1f} % right "
        f"({100 * line['accuracy_low']:.1f} – {100 * line['accuracy_high']:.1f} %), "
        f"{100 * line['confidence']:.1f} % sure, calibration error {100 * line['ece']:.1f} %"
        for line in last
    )
