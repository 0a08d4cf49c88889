"""What GRPO is given, looked over before anything is sampled or learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stages.evaluation.held_out import HeldOut
from stages.inference.backends import check_follower
from stages.inference.chat import unshown
from stages.records import templates
from stages.records.notes import Notes
from stages.records.problem import GENERATED, check_problems
from stages.records.record import Record, bad_record, need, place_of, reward_of, said_by
from stages.records.templates import Template
from stages.runtime.errors import NoRecords, UsageError
from stages.runtime.report import Report
from stages.scoring.preflight import check_held, check_judgeable, ready, span_of
from stages.settings.groups import Sampling
from stages.settings.grpo import Settings
from stages.training.loop.preflight import due
from stages.training.parallel.configuration import stage_of

if TYPE_CHECKING:
    from stages.inference.transformers.backend import TransformersBackend

SCORE = "pipe the rollouts through r1 score"
LARGEST = 2**63 - 1  # tokens of a vocabulary that is not known yet
GENERATE = "make the rollouts with `r1 generate --tokens`"


def looked_over(
    records: Iterable[Record],
    settings: Settings,
    stage: str,
    report: Report,
    *,
    resume: bool,
    teacher: str = "",
) -> tuple[Iterable[Record], list[HeldOut]]:
    """The records of a run and what is held out, all read and checked as far as that goes without a model.

    Where `resume` finds the run finished they are as they came. Raises what `due` and the checks here
    raise, UsageError for a reward that is none, and NoRecords for no record.
    """
    template = templates.load(settings.template, prefill=settings.prefill)
    samples = not settings.rollouts or bool(settings.evaluation.eval)
    sets = due(settings, stage, template if samples else None, resume=resume)
    if sets is None:
        return records, []
    check_settings(settings, teacher)
    if samples:
        check_follower(settings.engine, settings.endpoint, settings.transfer)
    given = [] if settings.rollouts else ready(settings.reward, scheduled=True)
    items = list(records)
    if not items:
        raise NoRecords("no records to train on", remedy="give problems, or rollouts")
    if settings.rollouts:
        check_rollouts(items, settings.sampling)
        return items, sets
    check_problems(items, template, f"{GENERATED}; `r1 grpo --rollouts` takes scored ones")
    check_held(items, given, report, span := span_of(settings.steps))
    if not teacher:  # with one, rewards are only measured
        check_judgeable(items, settings.reward, report, span)
    return items, sets


def check_settings(settings: Settings, teacher: str) -> None:
    """Raises UsageError for options that contradict each other, or what is learned."""
    sampling, objective = settings.sampling, settings.objective
    counts = (settings.steps, settings.problems, objective.minibatches, objective.inner_epochs)
    if min(counts) < 1:
        raise UsageError("--steps, --problems, --minibatches and --inner-epochs must be at least 1")
    if settings.samples < 2 and not teacher:
        raise UsageError(f"-n {settings.samples}: a group needs at least two completions")
    if 0 < objective.dual_clip <= 1:
        raise UsageError(f"--dual-clip {objective.dual_clip:g}: must be above 1, or 0 for none")
    if sampling.top_p < 1 or sampling.top_k:
        raise UsageError(
            "--top-p and --top-k cut the distribution that GRPO takes its ratio over; leave them at 1 and 0"
        )
    if sampling.temperature <= 0:
        raise UsageError("--temperature must be above 0: equal completions teach nothing")
    if settings.endpoint.fields:
        raise UsageError("--extra-body: grpo draws tokens in a way of vLLM's own, and not by such requests")
    if sampling.think_extend or sampling.think_budget is not None:
        raise UsageError("--think-budget and --think-extend are for generate and eval, not for grpo")
    if settings.staleness > 1 and stage_of(settings.parallelism) == 3:
        raise UsageError(
            f"--staleness {settings.staleness}: under ZeRO 3 the weights are gathered from all ranks, which "
            "then may not learn meanwhile; give --staleness 1, or --zero 2"
        )
    if settings.staleness > 1 and settings.engine.deterministic:
        raise UsageError(
            f"--staleness {settings.staleness}: which weights draw a completion depends on time, and "
            "--deterministic promises the same ones; give --staleness 1, or leave it out"
        )
    if settings.batch_invariant:
        _check_invariant(settings)
    if settings.lora.lora and objective.beta and 0 < objective.ref_reset < settings.steps:
        raise UsageError(
            f"--ref-reset {objective.ref_reset}: under --lora the reference is the model without its "
            "adapters and cannot be replaced; give --ref-reset 0"
        )


def _check_invariant(settings: Settings) -> None:
    """Raises UsageError where sampler and trainer cannot agree in every bit."""
    engine, parallelism = settings.engine, settings.parallelism
    why = {
        f"--backend {engine.backend}": engine.backend not in ("auto", "transformers")
        and "its kernels are not the trainer's; use --backend transformers",
        f"--device {engine.device}": engine.device.startswith("cuda") and "it is for --device cpu",
        "--one-step-off" if settings.one_step_off else f"--staleness {settings.staleness}": settings.staleness
        and "the policy has learned since its completions were drawn",
        "--rollouts": settings.rollouts and "they were drawn by another program",
        f"--zero {parallelism.zero}": parallelism.zero and "DeepSpeed holds the weights",
        "--deepspeed": parallelism.deepspeed and "DeepSpeed holds the weights",
    }
    for option, reason in why.items():
        if reason:
            raise UsageError(f"--batch-invariant: not with {option}: {reason}; leave one of them out")


def check_room(
    items: Sequence[Record],
    template: Template,
    backend: TransformersBackend,
    sampling: Sampling,
    report: Report,
) -> None:
    """Raises BadInput for a problem that leaves no room for an answer."""
    notes = Notes()
    for record in items:
        rendered = template.render(record)
        for what in unshown(backend.tokenizer, rendered, place_of(record)):
            notes.add(f"the template does not show {what} of the prompt", record)
        ids, _ = backend.encode(rendered, place_of(record))
        if len(ids) + sampling.max_tokens > backend.limit:
            raise bad_record(
                record,
                f"the prompt has {len(ids)} tokens; with --max-tokens {sampling.max_tokens} it does "
                f"not fit the model's context of {backend.limit}",
                "lower --max-tokens or drop the problem",
            )
    notes.tell(report)


def check_rollouts(items: Sequence[Record], sampling: Sampling, vocabulary: int = LARGEST) -> None:
    """Raises BadInput for what is no scored rollout, drawn under `sampling` by a model of so many tokens."""
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
                    raise bad_record(
                        record,
                        f"{field} holds {value!r}, which the model of {vocabulary} tokens did not make",
                        GENERATE,
                    )
        name = str(need(record, "id", (str, int), GENERATE))
        if name in seen:
            raise bad_record(
                record, f"id {name!r} stands twice", "each completion counts once; give each file once"
            )
        seen.add(name)
        made = said_by(record, "generate")
        for name, wanted in (("temperature", sampling.temperature), ("top_p", 1.0), ("top_k", 0)):
            if made.get(name, wanted) != wanted:
                flag = "--" + name.replace("_", "-")
                raise bad_record(
                    record,
                    f"sampled with {flag} {made[name]}, trained with {wanted}",
                    f"the ratio needs one distribution: give {flag} the same value in both",
                )
