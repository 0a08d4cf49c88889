"""A run of GRPO: what it needs is loaded and checked, then `step` is called for each batch of problems."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from stages.checkpoints.checkpoint import Checkpoint
from stages.evaluation.held_out import Timetable, identity, prompt_of, sampling_of, tell_shared, timetable
from stages.inference.backends import Remote, open_follower, resolved
from stages.inference.complete import Plan
from stages.inference.encoding import fingerprint_of, load_tokenizer
from stages.inference.interface import Follower
from stages.inference.transformers.backend import TransformersBackend
from stages.inference.transformers.execution import note_slow
from stages.inference.transformers.model import load_model
from stages.objectives.rates import note_faster
from stages.records import templates
from stages.records.record import Record, group_of, said_by
from stages.records.templates import Template
from stages.runtime.errors import DryRun, UsageError
from stages.runtime.report import speed
from stages.scoring.scorer import Scorer
from stages.settings.groups import Engine
from stages.settings.grpo import Settings
from stages.training.grpo import invariance
from stages.training.grpo.ahead import ahead
from stages.training.grpo.checks import check_rollouts, check_room
from stages.training.grpo.learner import Learner
from stages.training.grpo.sampler import Given, OnPolicy, Sampler
from stages.training.grpo.step import step
from stages.training.learned_text import tell_first
from stages.training.loop.evaluations import Asked, Evaluations
from stages.training.loop.job import Job, digest_of
from stages.training.loop.run import Run
from stages.training.parallel.memory import needs
from stages.training.policy import Policy


def train(records: Iterable[Record], settings: Settings, job: Job, teacher: str = "") -> Checkpoint:
    """Trains on problems, `settings.problems` a step, or under `rollouts` one step on scored completions.

    With a `teacher` it is the reference, and nothing but the divergence from it is learned. Raises BadInput
    for a problem that leaves no room for an answer, before anything is sampled; R1Error where a guard of
    `Learner` or `Run` finds something wrong.
    """
    template = templates.load(settings.template, prefill=settings.prefill)
    done = job.finished(records)
    if done is not None:
        return done
    sets = job.held
    items = list(records)
    if settings.rollouts:
        settings = replace(settings, steps=1, problems=len(set(map(group_of, items))))
    engine = resolved(job.world.placed(settings.engine))
    tokenizer = load_tokenizer(settings.model, engine.trust_remote_code)
    if settings.dry_run:
        engine = replace(engine, deterministic=False)  # that is measured, with weights
    if settings.batch_invariant:  # under which fixed shapes add nothing
        engine = replace(engine, deterministic=False)
    policy = job.policy(settings, engine)
    if settings.batch_invariant:
        invariance.begin(policy, settings.sampling, ranks=job.world.size, planned=settings.dry_run)
    note_slow(policy.unwrapped, job.report)
    note_faster(policy.unwrapped, engine, job.report.note)
    if job.world.parallelism.checkpointing:
        policy.recompute()
    backend = TransformersBackend(policy.unwrapped, tokenizer, engine)
    size = len(items) if settings.rollouts else settings.problems * settings.samples
    table = timetable(settings.evaluation, sets, settings.steps, size)
    updates = _check(items, settings, job, policy, backend, table, teacher)
    plan = _plan(settings, template, engine, policy, tokenizer)
    # Before the run, which puts a resumed run's weights into the policy: the reference is the parent.
    reference = _reference(settings, engine, policy, tokenizer, teacher)
    given = digest_of(items)
    run = Run(
        job,
        policy,
        tokenizer,
        updates=updates,
        depends_on={"records": given, "parent": plan.revision, **identity(sets)},
        inputs={"records": len(items), "digest": given},
    )
    if reference is not None and not teacher:
        reference.to(getattr(torch, policy.weights_dtype))
    learner = Learner(policy, settings, reference, rewarded=not teacher, world=job.world)
    with run.learning(), ExitStack() as scope:
        sampler, evaluations = _sampler(scope, items, learner, plan, run, table)
        if run.step and reference is not None and settings.objective.ref_reset:
            run.load_reference(reference)
        job.report.start(settings.steps, "steps")
        job.report.advance(run.step)
        evaluations.begin()
        while run.step < settings.steps and not evaluations.stopped:
            step(run, sampler, learner, evaluations)
        said = evaluations.summary()
    return _published(run, said)


def _plan(settings: Settings, template: Template, engine: Engine, policy: Policy, tokenizer: Any) -> Plan:
    """How the completions that are learned are made."""
    return Plan(
        settings.model,
        template,
        settings.sampling,
        settings.seed,
        settings.samples,
        engine,
        policy.revision,
        tokens=True,
        tokenizer=fingerprint_of(tokenizer),
    )


def _check(
    items: Sequence[Record],
    settings: Settings,
    job: Job,
    policy: Policy,
    backend: TransformersBackend,
    table: Timetable,
    teacher: str,
) -> int:
    """Looks the input over and says what will be done; ends a dry run. Returns the number of updates."""
    objective, report = settings.objective, job.report
    template = templates.load(settings.template, prefill=settings.prefill)
    size = len(items) if settings.rollouts else settings.problems * settings.samples
    if settings.rollouts:
        vocabulary = policy.unwrapped.config.get_text_config().vocab_size
        check_rollouts(items, settings.sampling, vocabulary)
    else:
        check_room(items, template, backend, settings.sampling, report)
    updates = settings.steps * min(objective.minibatches, settings.problems) * objective.inner_epochs
    said = [f"{settings.steps} steps of {settings.problems} problems, {size} completions, {updates} updates"]
    if table.sets or not settings.rollouts:
        said.append(table.told("steps"))
    if not 0 < settings.saving.save_every < settings.steps and settings.steps > 1:
        said.append("nothing is saved before the end (--save-every)")
    report.note("; ".join([*said, f"watch {settings.out}.partial/metrics.jsonl"]))
    tell_shared(table.sets, {prompt_of(record) for record in items}, report)
    if settings.dry_run:
        tell_first(items[0], settings.rollouts, template, backend, report)
        report.note(f"options: {json.dumps(job.options)}")
        own = settings.lora.lora and not teacher  # then the model without its adapters is the reference
        copies = int(objective.beta > 0 and not own) + int(settings.staleness > 0)
        raise DryRun(needs(policy, job.world, settings.row_tokens, models=1 + copies, samples=True))
    return updates


def _reference(settings: Settings, engine: Engine, policy: Policy, tokenizer: Any, teacher: str) -> Any:
    """The model that KL is measured from: the teacher, or the policy as it is; None where none is needed."""
    if not teacher:
        wanted = settings.objective.beta and not settings.lora.lora
        if wanted and policy.unread is not None:
            return load_model(settings.model, replace(engine, dtype="float32"))
        return copy.deepcopy(policy.model).eval() if wanted else None
    if load_tokenizer(teacher, engine.trust_remote_code).get_vocab() != tokenizer.get_vocab():
        raise UsageError(
            f"--teacher {teacher} has other tokens than the student, and on-policy distillation compares "
            "token by token; leave out --on-policy"
        )
    return load_model(teacher, replace(engine, dtype="float32"))


def _sampler(
    scope: ExitStack, items: list[Record], learner: Learner, plan: Plan, run: Run, table: Timetable
) -> tuple[Sampler, Evaluations]:
    """Where the completions of each step come from, and what measures the policy; closed with `scope`."""
    settings, world = learner.settings, learner.world
    workers = settings.workers or world.cores
    sampler: Sampler
    if settings.rollouts:
        made = (said_by(record, "generate").get("revision") == plan.revision for record in items)
        sampler = Given(items, on_policy=all(made))
        if not table.sets:
            return sampler, Evaluations(run, table, None, scope)
    backend = _follower(scope, learner, plan, run)
    if not settings.rollouts:
        scorer = scope.enter_context(Scorer(list(settings.reward), workers, scheduled=True))
        share = world.new_group() if settings.staleness else world
        sampler = inner = OnPolicy(items, settings, backend, scorer, plan, run, share)
        if settings.staleness:
            sampler = scope.enter_context(ahead(inner, settings.steps, settings.staleness))
    sampling = sampling_of(settings.evaluation, settings.sampling)
    measured = Plan(str(run.out), plan.template, sampling, 0, 1, plan.engine)
    return sampler, Evaluations(run, table, Asked(backend, measured, workers, sampler.rest), scope)


def _follower(scope: ExitStack, learner: Learner, plan: Plan, run: Run) -> Follower:
    """The backend that samples with the policy's weights, closed with `scope`."""
    settings, policy = learner.settings, learner.policy
    engine = replace(plan.engine, dtype=policy.weights_dtype) if policy.sharded else plan.engine
    backend = open_follower(
        engine,
        settings.model,
        None if policy.sharded else policy.unwrapped,
        separate=settings.staleness > 0,
        remote=Remote(settings.endpoint, settings.transfer, settings.sampling.temperature, run.is_main),
        report=run.report,
    )
    scope.callback(backend.close)
    return backend


def _published(run: Run, said: str) -> Checkpoint:
    published = run.publish()
    last = run.last["reward"]
    if run.last["frac_reward_zero_std"] == 1:
        run.report.note("in the last step no problem had rewards that differ: it taught nothing")
    run.report.summary(
        f"{run.step} steps, reward {'none' if last is None else format(last, '.3f')} in the last"
        f"{speed(run.last.get('num_tokens'), run.last.get('step_time'))} -> {run.out}{said}"
    )
    return published
