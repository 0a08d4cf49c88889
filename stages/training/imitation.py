"""Supervised fine-tuning on completions: the loop behind `sft` and the last step of `distill`."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from stages.data.checkpoint import Checkpoint, revision
from stages.data.errors import BadInput, DryRun, UsageError
from stages.data.options import Engine, Lora, Optimizer, Saving
from stages.data.record import Record, digest, place_of, seed_of
from stages.data.report import Report
from stages.data.templates import Template
from stages.inference.encoding import load_tokenizer
from stages.inference.transformers import TransformersBackend
from stages.training.examples import example, lessons
from stages.training.memory import needs
from stages.training.policy import Policy
from stages.training.rows import Row, Sample, rows
from stages.training.run import Clock, Run, finished
from stages.training.world import World


def imitate(
    records: Iterable[Record],
    *,
    stage: str,
    model: str,
    out: Path,
    template: Template,
    epochs: float,
    batch: int,
    row_tokens: int,
    context: int,
    saving: Saving,
    seed: int,
    optimizer: Optimizer,
    lora: Lora,
    engine: Engine,
    world: World,
    options: Mapping[str, Any],
    resume: bool,
    dry_run: bool,
    report: Report,
    inputs: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Trains on all of `records` for `epochs` and publishes the checkpoint `out`.

    `inputs` is what its `r1.json` names as the input where that is not `records`.
    The loss of an update is the mean over the completion tokens of its `batch` examples, whatever rows they are
    packed in. Raises BadInput for a record that cannot be used, or where there are none.
    """
    report = world.speaker(report)
    done = finished(out, stage, resume, records, report, options=options, parent=model)
    if done is not None:
        return done
    if batch < 1 or epochs <= 0 or row_tokens < 1:
        raise UsageError("--batch, --epochs and --row-tokens must be above 0")
    tokenizer = load_tokenizer(model)
    policy = Policy(model, world.placed(engine), lora, seed)
    if world.parallelism.checkpointing:
        policy.recompute()
    backend = TransformersBackend(policy.plain, tokenizer, Engine())
    samples, taught, given = _examples(records, template, backend, context, report)
    per_epoch = -(-len(samples) // batch)
    updates = max(1, round(epochs * per_epoch))
    tokens = sum(len(s.prompt_ids) + len(s.completion_ids) for s in samples)
    report.note(
        f"{len(samples)} examples of {tokens / len(samples):.0f} tokens on average, "
        f"{batch} an update, {updates} updates"
    )
    if dry_run:
        report.note(f"options: {json.dumps(dict(options), default=str)}")
        raise DryRun(needs(policy, world, row_tokens))
    run = Run(
        out,
        policy,
        tokenizer,
        optimizer,
        updates=updates,
        identity={**options, "records": taught, "parent": revision(model)},
        resume=resume,
        report=report,
        about={
            "stage": stage,
            "options": options,
            "inputs": {"records": len(samples), "digest": given, **(inputs or {})},
        },
        saving=saving,
        world=world,
    )
    report.start(updates, "updates")
    report.advance(run.step)
    clock = Clock()
    for chosen in _batches(samples, batch, seed, run.step, updates):
        trained = sum(len(sample.completion_ids) for sample in chosen)
        weighed = [replace(s, weight=[1 / trained] * len(s.completion_ids)) for s in chosen]
        run.step += 1
        mine = rows(weighed, row_tokens, policy.device, rank=world.rank, ranks=world.size)
        stats = run.update(mine, imitation_loss)
        seconds = clock.lap()
        run.log(
            {
                "loss": stats["loss"],
                "entropy": stats["entropy"] / trained,
                "grad_norm": stats["grad_norm"],
                "learning_rate": stats["lr"],
                "num_tokens": trained,
                "epoch": run.step / per_epoch,
                "step_time": seconds,
            },
            "loss",
            "grad_norm",
        )
        if run.save_due() and run.step < updates:
            run.save()
    made = run.publish()
    report.summary(
        f"{updates} updates on {len(samples)} examples, loss {run.last['loss']:.4f} -> {out}"
    )
    return made


def imitation_loss(row: Row, logp: Tensor, entropy: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Weighted negative log-likelihood of a row's completion tokens."""
    return -(row.weight * logp).sum(), {"entropy": float(entropy.sum())}


def _examples(
    records: Iterable[Record],
    template: Template,
    backend: TransformersBackend,
    context: int,
    report: Report,
) -> tuple[list[Sample], str, str]:
    """The examples, a digest of their tokens, and one of the records they were made of."""
    samples: list[Sample] = []
    taught: list[str] = []
    given: list[str] = []
    limit = min(context or backend.limit, backend.limit)
    cut = 0
    for record in (record for line in records for record in lessons(line)):
        sample = example(record, template, backend)
        if len(sample.prompt_ids) >= limit:
            raise BadInput(
                f"the prompt has {len(sample.prompt_ids)} tokens, the limit is {limit}",
                place=place_of(record),
                remedy="raise --context or drop the record",
            )
        room = limit - len(sample.prompt_ids)
        if len(sample.completion_ids) > room:
            cut += 1
            sample = replace(
                sample, completion_ids=sample.completion_ids[:room], weight=sample.weight[:room]
            )
        samples.append(sample)
        taught.append(digest(sample.prompt_ids, sample.completion_ids))
        given.append(digest(record))
    if not samples:
        raise BadInput(
            "no records to train on", place="stdin", remedy="see what the stage before kept"
        )
    if cut:
        report.note(f"{cut} completions were cut at --context {limit} tokens")
    return samples, digest(taught), digest(given)


def _batches(
    samples: list[Sample], batch: int, seed: int, start: int, updates: int
) -> Iterator[list[Sample]]:
    """The examples of updates `start` to `updates`; each epoch has an order of its own."""
    per_epoch = -(-len(samples) // batch)
    order: list[int] = []
    for update in range(start, updates):
        epoch, place = divmod(update, per_epoch)
        if not order or place == 0:
            order = list(range(len(samples)))
            random.Random(seed_of("order", seed, epoch)).shuffle(order)
        yield [samples[i] for i in order[place * batch : (place + 1) * batch]]
