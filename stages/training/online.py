"""The steps of an on-line GRPO run: problems in, rollouts and metrics on disk, a checkpoint out."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from stages.data import jsonl
from stages.data.checkpoint import Checkpoint, revision
from stages.data.errors import BadInput, DryRun, UsageError
from stages.data.options import Endpoint, Engine, Lora, Objective, Optimizer, Sampling, Saving
from stages.data.record import Record, group_of, need, place_of, reward_of, said_by
from stages.data.report import Report
from stages.data.templates import Template
from stages.inference.backend import Follower, open_follower, resolved
from stages.inference.complete import Plan
from stages.inference.encoding import load_tokenizer
from stages.inference.transformers import TransformersBackend, load_model
from stages.rewards.scorer import Scorer
from stages.training.ahead import Ahead, Batch
from stages.training.memory import needs
from stages.training.policy import Policy
from stages.training.reinforce import Learner, problem_order
from stages.training.run import Clock, Run, digest_of, finished
from stages.training.world import World

OFF_POLICY = float("inf")
SCORE = "pipe the rollouts through r1 score"
GENERATE = "make the rollouts with `r1 generate --tokens`"


def reinforce(
    records: Iterable[Record],
    *,
    model: str,
    out: Path,
    template: Template,
    rewards: Sequence[str],
    steps: int,
    problems: int,
    samples: int,
    rollouts: bool,
    row_tokens: int,
    gap_limit: float,
    saving: Saving,
    workers: int,
    seed: int,
    sampling: Sampling,
    objective: Objective,
    optimizer: Optimizer,
    lora: Lora,
    engine: Engine,
    endpoint: Endpoint,
    world: World,
    options: Mapping[str, Any],
    resume: bool,
    dry_run: bool,
    report: Report,
    one_step_off: bool = False,
    stage: str = "grpo",
    teacher: str = "",
) -> Checkpoint:
    """Trains for `steps` steps on the problems in `records`, or one step on the rollouts they are.

    With `one_step_off` the next step's completions are sampled while this step's are learned. With a `teacher` it is
    the reference, and nothing but the divergence from it is learned. Raises BadInput for a problem that leaves no room for an
    answer, before anything is sampled; R1Error where a guard of `Learner` or `Run` finds something wrong.
    """
    report, engine = world.speaker(report), world.placed(engine)
    done = finished(out, stage, resume, records, report, options=options, parent=model)
    if done is not None:
        return done
    _check(steps, problems, samples, sampling, objective, lora, teacher)
    items = list(records)
    if not items:
        raise BadInput("no records to train on", place="stdin", remedy="give problems, or rollouts")
    engine = resolved(engine)
    tokenizer = load_tokenizer(model)
    policy = Policy(model, engine, lora, seed)
    if world.parallelism.checkpointing:
        policy.recompute()
    backend = TransformersBackend(policy.plain, tokenizer, engine)
    if rollouts:
        steps, problems = 1, len(set(map(group_of, items)))
        _check_rollouts(items, sampling, policy.plain.config.get_text_config().vocab_size)
    else:
        _check_problems(items, template, backend, sampling)
    updates = steps * min(objective.minibatches, problems) * objective.inner_epochs
    size = len(items) if rollouts else problems * samples
    report.note(
        f"{steps} steps of {problems} problems, {size} completions, {updates} updates; watch {out}.partial/metrics.jsonl"
    )
    if dry_run:
        report.note(f"options: {json.dumps(dict(options), default=str)}")
        own = lora.lora and not teacher  # then the model without its adapters is the reference
        copies = int(objective.beta > 0 and not own) + int(one_step_off)
        raise DryRun(needs(policy, world, row_tokens, models=1 + copies, samples=True))
    plan = Plan(
        model,
        revision(model),
        template,
        sampling,
        seed,
        samples,
        engine,
        tokens=True,
    )
    # Before `run`, which puts a resumed run's weights into the policy: the reference is the parent.
    reference: Any = None
    if teacher:
        reference = _teacher(teacher, tokenizer, engine)
    elif objective.beta and not lora.lora:
        reference = copy.deepcopy(policy.model).eval()
    given = digest_of(items)
    run = Run(
        out,
        policy,
        tokenizer,
        optimizer,
        updates=updates,
        identity={**options, "records": given, "parent": plan.revision},
        resume=resume,
        report=report,
        about={
            "stage": stage,
            "options": options,
            "inputs": {"records": len(items), "digest": given},
        },
        saving=saving,
        world=world,
    )
    if reference is not None and not teacher:
        reference.to(getattr(torch, policy.weights_dtype))
    on_policy = not one_step_off and (not rollouts or _same_model(items, plan.revision))
    with ExitStack() as scope:
        sampler: Follower = backend
        if not rollouts:
            sampling_on = (
                replace(engine, dtype=policy.weights_dtype) if policy.scattered else engine
            )
            trained = None if policy.scattered else policy.plain
            sampler = open_follower(
                sampling_on,
                model,
                trained,
                apart=one_step_off,
                temperature=sampling.temperature,
                endpoint=endpoint,
                report=report,
                leads=run.leads,
            )
            scope.callback(sampler.close)
        scorer = scope.enter_context(Scorer(list(rewards), workers=workers or world.cores))
        learner = Learner(
            policy,
            sampler,
            scorer,
            objective,
            sampling,
            plan,
            row_tokens,
            gap_limit if on_policy else OFF_POLICY,
            reference,
            rewarded=not teacher,
            world=world,
            samplers=world.apart() if one_step_off else world,
        )
        if run.step and reference is not None and objective.ref_reset:
            run.load_reference(reference)
        report.start(steps, "steps")
        report.advance(run.step)
        clock = Clock()
        order = _from(problem_order(len(items), seed), run.extra.get("consumed", 0))

        def sample(step: int) -> Batch:
            return _sampled(learner, items, order, problems, run, step)

        ahead = scope.enter_context(Ahead(sample, learner, run, steps)) if one_step_off else None
        while run.step < steps:
            run.step += 1
            if rollouts:
                batch, extra = items, dict[str, Any]()
            else:
                if ahead is None:
                    learner.sync()
                    batch, extra = sample(run.step)
                else:
                    batch, extra = ahead.batch(run.step)
                    learner.gap_limit = gap_limit if ahead.fresh else OFF_POLICY
                prompts = {group_of(record): len(record["prompt_ids"]) for record in batch}
                made = sum(len(record["completion_ids"]) for record in batch)
                run.count_work(made + sum(prompts.values()), 2)
            sampled = clock.lap()
            metrics, traced = learner.learn(batch, run)
            learned = clock.lap()
            if run.leads:
                jsonl.write(run.work / "rollouts" / f"step_{run.step:06d}.jsonl", traced)
            if (
                reference is not None
                and objective.ref_reset
                and run.step % objective.ref_reset == 0
            ):
                policy.copy_to(reference)
                run.save_reference(reference)
            run.log(
                {
                    **metrics,
                    **extra,
                    "step_time": sampled + learned,
                    "time/generate": sampled,
                    "time/learn": learned,
                },
                "reward",
                "completions/mean_length",
                "grad_norm",
            )
            if run.save_due() and run.step < steps:
                if ahead is not None:
                    ahead.hold()
                run.save()
    published = run.publish()
    last = run.last["reward"]
    if run.last["frac_reward_zero_std"] == 1:
        report.note("in the last step no problem had rewards that differ: it taught nothing")
    report.summary(
        f"{steps} steps, reward {'none' if last is None else format(last, '.3f')} in the last -> {out}"
    )
    return published


def _teacher(name: str, tokenizer: Any, engine: Engine) -> Any:
    """The teacher's model. Raises UsageError where its tokens are not the student's."""
    if load_tokenizer(name).get_vocab() != tokenizer.get_vocab():
        raise UsageError(
            f"--teacher {name} has other tokens than the student, and on-policy distillation compares "
            "token by token; leave out --on-policy"
        )
    return load_model(name, replace(engine, dtype="float32"))


def _sampled(
    learner: Learner,
    items: Sequence[Record],
    order: Iterator[int],
    problems: int,
    run: Run,
    step: int,
) -> Batch:
    """One step's scored completions; with dynamic sampling, of groups that have something to teach."""
    rounds = learner.objective.dynamic_sampling
    kept: list[Record] = []
    found = dropped = 0
    for turn in range(rounds + 1):
        missing = problems - found
        chosen = [items[next(order)] for _ in range(missing)]
        run.extra["consumed"] = run.extra.get("consumed", 0) + missing
        # A small set of problems may come round twice in one step: the turn keeps their groups apart.
        named = [
            record.adding(id=f"{record['id']}@{step}.{turn}.{i}")
            if sum(r is record for r in chosen) > 1 or turn
            else record
            for i, record in enumerate(chosen)
        ]
        made = learner.collect(named, step)
        if not rounds:
            return made, {}
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
        if found >= problems:
            break
    return kept, {"dynamic_sampling/dropped": dropped, "dynamic_sampling/kept": found}


def _from(order: Iterator[int], start: int) -> Iterator[int]:
    for _ in range(start):
        next(order)
    return order


def _check(
    steps: int,
    problems: int,
    samples: int,
    sampling: Sampling,
    objective: Objective,
    lora: Lora,
    teacher: str,
) -> None:
    if steps < 1 or problems < 1 or objective.minibatches < 1 or objective.inner_epochs < 1:
        raise UsageError("--steps, --problems, --minibatches and --inner-epochs must be at least 1")
    if samples < 2 and not teacher:
        raise UsageError(f"-n {samples}: a group needs at least two completions")
    if 0 < objective.dual_clip <= 1:
        raise UsageError(f"--dual-clip {objective.dual_clip:g}: must be above 1, or 0 for none")
    if sampling.top_p < 1 or sampling.top_k:
        raise UsageError(
            "--top-p and --top-k cut the distribution that GRPO takes its ratio over; leave them at 1 and 0"
        )
    if sampling.temperature <= 0:
        raise UsageError("--temperature must be above 0: equal completions teach nothing")
    if sampling.think_extend or sampling.think_budget is not None:
        raise UsageError(
            "--think-budget and --think-extend are for generate and eval, not for grpo"
        )
    if lora.lora and objective.beta and 0 < objective.ref_reset < steps:
        raise UsageError(
            f"--ref-reset {objective.ref_reset}: under --lora the reference is the model without its "
            "adapters and cannot be replaced; give --ref-reset 0"
        )


def _check_problems(
    items: Sequence[Record], template: Template, backend: TransformersBackend, sampling: Sampling
) -> None:
    names: set[str] = set()
    for record in items:
        name = str(need(record, "id", (str, int), "give each problem a unique id"))
        if name in names:  # two problems of one name would share a group, and its mean
            raise BadInput(
                f"id {name!r} stands twice",
                place=place_of(record),
                remedy="give each problem a unique id",
            )
        names.add(name)
        if "completion" in record:
            raise BadInput(
                "already has a completion",
                place=place_of(record),
                remedy="give problems, or scored rollouts with --rollouts",
            )
        ids, _ = backend.encode(template.render(record), place_of(record))
        if len(ids) + sampling.max_tokens > backend.limit:
            raise BadInput(
                f"the prompt has {len(ids)} tokens; with --max-tokens {sampling.max_tokens} it does "
                f"not fit the model's context of {backend.limit}",
                place=place_of(record),
                remedy="lower --max-tokens or drop the problem",
            )


def _check_rollouts(items: Sequence[Record], sampling: Sampling, vocabulary: int) -> None:
    seen: set[str] = set()
    for record in items:
        for reward in need(record, "rewards", dict, SCORE):
            reward_of(record, reward, SCORE)
        if record.get("reward", "missing") is not None:
            need(record, "reward", (int, float), SCORE)
        need(record, "finish", str, GENERATE)
        for field, fits in (
            ("prompt_ids", lambda i: type(i) is int and 0 <= i < vocabulary),
            ("completion_ids", lambda i: type(i) is int and 0 <= i < vocabulary),
            ("logprobs", lambda p: p is None or type(p) in (int, float)),
        ):
            for value in need(record, field, list, GENERATE):
                if not fits(value):
                    raise BadInput(
                        f"{field} holds {value!r}, which the model of {vocabulary} tokens did not make",
                        place=place_of(record),
                        remedy=GENERATE,
                    )
        name = str(need(record, "id", (str, int), GENERATE))
        if name in seen:
            raise BadInput(
                f"id {name!r} stands twice",
                place=place_of(record),
                remedy="each completion counts once; give each file once",
            )
        seen.add(name)
        made = said_by(record, "generate")
        for name, wanted in (("temperature", sampling.temperature), ("top_p", 1.0), ("top_k", 0)):
            if made.get(name, wanted) != wanted:
                flag = "--" + name.replace("_", "-")
                raise BadInput(
                    f"sampled with {flag} {made[name]}, trained with {wanted}",
                    place=place_of(record),
                    remedy=f"the ratio needs one distribution: give {flag} the same value in both",
                )


def _same_model(items: Sequence[Record], revision: str) -> bool:
    return all(said_by(record, "generate").get("revision") == revision for record in items)


def described(**parts: Any) -> dict[str, Any]:
    """Options as they go into `r1.json`: dataclasses opened, everything else as it is."""
    return {
        name: asdict(value) if hasattr(value, "__dataclass_fields__") else value
        for name, value in parts.items()
    }
