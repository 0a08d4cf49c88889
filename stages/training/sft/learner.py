"""Supervised fine-tuning on completions: the loop behind `sft` and the last step of `distill`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from stages.checkpoints.checkpoint import Checkpoint
from stages.evaluation.held_out import completions, identity, prompt_of, sampling_of, tell_shared, timetable
from stages.inference.backends import open_follower
from stages.inference.complete import Plan
from stages.inference.encoding import load_tokenizer, refuse_unknown
from stages.inference.transformers.backend import TransformersBackend
from stages.inference.transformers.execution import note_slow
from stages.objectives.rates import note_faster
from stages.records import templates
from stages.records.record import Record, bad_record, digest, place_of
from stages.records.templates import Template
from stages.runtime.errors import DryRun
from stages.runtime.report import Report, speed
from stages.settings.groups import Engine, Sampling
from stages.settings.sft import Settings
from stages.training.learned_text import marked, tell_text
from stages.training.loop.evaluations import Asked, Evaluations
from stages.training.loop.job import Job
from stages.training.loop.order import learn_in_order, per_epoch
from stages.training.loop.preflight import nothing_to_train_on
from stages.training.loop.run import Run
from stages.training.parallel.memory import needs
from stages.training.rows import Row, Sample
from stages.training.sft.examples import Examples
from stages.training.sft.lessons import lessons

DEAR = 10.0  # examples that are learned in the time in which a completion is sampled, token by token


def fine_tune(
    records: Iterable[Record], settings: Settings, job: Job, inputs: Mapping[str, Any] | None = None
) -> Checkpoint:
    """Trains on all of `records` for `settings.epochs` and publishes the checkpoint `settings.out`.

    `inputs` is what its `r1.json` names as the input where that is not `records`. The loss of an update is
    the mean over the learned tokens of its `batch` examples, whatever rows they are packed in. Raises
    BadInput for a record that cannot be used, or where there are none.
    """
    world, report = job.world, job.report
    template = templates.load(settings.template)
    done = job.finished(records)
    if done is not None:
        return done
    sets = job.held
    tokenizer = load_tokenizer(settings.model, settings.engine.trust_remote_code)
    engine = world.placed(settings.engine)
    policy = job.policy(settings, engine)
    note_slow(policy.unwrapped, report)
    note_faster(policy.unwrapped, engine, report.note)
    if world.parallelism.checkpointing:
        policy.recompute()
    backend = TransformersBackend(policy.unwrapped, tokenizer, Engine())
    examples = Examples(template, backend, settings.learn)
    limit = min(settings.context or backend.limit, backend.limit)
    data = _examples(records, examples, limit, report)
    tell_shared(sets, data.prompts, report)
    _name_ends(policy.unwrapped, tokenizer, data.samples, backend.ends, report)
    updates = max(1, round(settings.epochs * per_epoch(len(data.samples), settings.batch)))
    batch = min(settings.batch, len(data.samples))
    table = timetable(settings.evaluation, sets, updates, batch, dear=DEAR)
    report.note(data.told(settings.batch, updates) + (f"; {table.told('updates')}" if sets else ""))
    lessons = {
        each.name: _examples(each.lessons, examples, limit, report).samples for each in sets if each.lessons
    }
    if settings.dry_run:
        first = marked(tokenizer, data.samples[0])
        tell_text("the first example, what is learned of it between ⟦ and ⟧", first, report)
        report.note(f"options: {json.dumps(job.options)}")
        raise DryRun(needs(policy, world, settings.row_tokens))
    run = Run(
        job,
        policy,
        tokenizer,
        updates=updates,
        depends_on={"records": data.learned, "parent": policy.revision, **identity(sets)},
        inputs={"records": len(data.samples), "digest": data.given, **(inputs or {})},
    )
    with run.learning(), ExitStack() as scope:
        asked = _asked(scope, run, template) if completions(sets) else None
        losses = {name: partial(held_out_loss, run, samples) for name, samples in lessons.items()}
        evaluations = Evaluations(run, table, asked, scope, losses)
        learn_in_order(run, data.samples, settings, evaluations, partial(_learn, run), "grad_norm")
        said = evaluations.summary()
    made = run.publish()
    report.summary(
        f"{run.step} updates on {len(data.samples)} examples, loss {run.last['loss']:.4f}"
        f"{speed(run.last.get('num_tokens'), run.last.get('step_time'))} -> {run.out}{said}"
    )
    return made


def _asked(scope: ExitStack, run: Run, template: Template) -> Asked:
    """The model in training as what answers held-out problems, by transformers."""
    settings, policy = run.job.settings, run.policy
    engine = replace(run.world.placed(settings.engine), backend="transformers")
    if policy.sharded:
        engine = replace(engine, dtype=policy.weights_dtype)
    backend = open_follower(
        engine,
        settings.model,
        None if policy.sharded else policy.unwrapped,
        separate=False,
        report=run.report,
    )
    scope.callback(backend.close)
    # Of a student that learns traces: as many tokens as its teacher had.
    longest = getattr(settings, "sampling", Sampling()).max_tokens
    sampling = sampling_of(settings.evaluation, Sampling(max_tokens=longest))
    plan = Plan(str(run.out), template, sampling, 0, 1, engine)
    return Asked(backend, plan, run.world.cores)


def _learn(run: Run, chosen: Sequence[Sample]) -> dict[str, Any]:
    """One update, and its figures."""
    learned = [weight for sample in chosen for weight in sample.weight]
    whole = sum(learned)
    weighed = [replace(s, weight=[weight / whole for weight in s.weight]) for s in chosen]
    stats = run.update(run.rows(weighed), imitation_loss)
    trained = sum(weight > 0 for weight in learned)
    return {
        "loss": stats["loss"],
        "entropy": stats["entropy"] / trained,
        "grad_norm": stats["grad_norm"],
        "learning_rate": stats["lr"],
        "num_tokens": trained,
    }


@torch.no_grad()
def held_out_loss(run: Run, samples: Sequence[Sample]) -> dict[str, Any]:
    """The mean loss of a token that would be learned."""
    total = tokens = 0.0
    for row in run.rows(samples):
        logp, _ = run.policy.logprobs(row)
        if not row.idle:
            total -= float((row.weight * logp).sum())
            tokens += float(row.weight.sum())
    parts = run.world.gather((total, tokens))
    count = sum(part[1] for part in parts)
    return {"loss": sum(part[0] for part in parts) / count, "tokens": count, "examples": len(samples)}


def imitation_loss(row: Row, logp: Tensor, entropy: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Weighted negative log-likelihood of a row's learned tokens."""
    return -(row.weight * logp).sum(), {"entropy": float(entropy[row.weight > 0].sum())}


@dataclass(frozen=True)
class Data:
    """The examples, a digest of their tokens, one of the records they were made of, and of each prompt."""

    samples: list[Sample]
    learned: str
    given: str
    prompts: frozenset[str]

    @property
    def mean_length(self) -> float:
        """Tokens of an example, prompt and completion."""
        return sum(len(s.prompt_ids) + len(s.completion_ids) for s in self.samples) / len(self.samples)

    def told(self, batch: int, updates: int) -> str:
        """What is learned, in words."""
        return (
            f"{len(self.samples)} examples of {self.mean_length:.0f} tokens on average, "
            f"{batch} an update, {updates} updates"
        )


def _examples(records: Iterable[Record], examples: Examples, limit: int, report: Report) -> Data:
    """What `records` teach, cut at `limit` tokens. Raises BadInput where a prompt alone is longer."""
    samples: list[Sample] = []
    taught: list[str] = []
    given: list[str] = []
    prompts: set[str] = set()
    cut = 0
    for record in _taught(records, given):
        if "prompt" in record:
            prompts.add(prompt_of(record))
        for sample in examples.of(record):
            if len(sample.prompt_ids) >= limit:
                raise bad_record(
                    record,
                    f"the prompt has {len(sample.prompt_ids)} tokens, the limit is {limit}",
                    "raise --context or drop the record",
                )
            room = limit - len(sample.prompt_ids)
            if len(sample.completion_ids) > room:
                cut += 1
                sample = replace(
                    sample, completion_ids=sample.completion_ids[:room], weight=sample.weight[:room]
                )
            refuse_unknown(
                examples.tokenizer,
                [*sample.prompt_ids, *sample.completion_ids],
                examples.vocabulary,
                place_of(record),
            )
            samples.append(sample)
            some = [] if min(sample.weight) == max(sample.weight) == 1 else [sample.weight]
            taught.append(digest(sample.prompt_ids, sample.completion_ids, *some))
    if not samples:
        raise nothing_to_train_on()
    examples.notes.tell(report)
    if cut:
        report.note(f"{cut} completions were cut at --context {limit} tokens")
    return Data(samples, digest(taught), digest(given), frozenset(prompts))


def _taught(records: Iterable[Record], given: list[str]) -> Iterator[Record]:
    """The lessons of `records`; `given` gets a digest of each record as it came."""
    for line in records:
        given.append(digest(line))
        yield from lessons(line)


def _name_ends(
    model: Any, tokenizer: Any, samples: Iterable[Sample], ends: frozenset[int], report: Report
) -> None:
    """Ends that are learned go into the generation settings: else other programs would go on after them."""
    settings = getattr(model, "generation_config", None)
    if settings is None:
        return
    named = settings.eos_token_id
    known = named if isinstance(named, list) else [] if named is None else [named]
    last = {sample.completion_ids[-1] for sample in samples if sample.weight[-1]}
    new = sorted((last & ends) - {*known, tokenizer.eos_token_id})
    if new:
        settings.eos_token_id = [*(known or [tokenizer.eos_token_id]), *new]
        names = ", ".join(tokenizer.convert_ids_to_tokens(new))
        report.note(f"answers end with {names}: added to the ends in generation_config.json")
