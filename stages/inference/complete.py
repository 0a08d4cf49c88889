"""Problems to completions: the same code for `generate`, `eval`, `distill` and `grpo`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from stages.checkpoints.checkpoint import revision
from stages.checkpoints.contents import check_files, check_template
from stages.inference.backends import check_engine, open_backend, refuse_one_seed, resolved
from stages.inference.chat import unshown
from stages.inference.choosing import chosen, continuations_of
from stages.inference.encoding import fingerprint_of
from stages.inference.interface import Backend, Completion, Request
from stages.inference.output import thinking_tokens
from stages.inference.prefetch import Prefetcher
from stages.inference.server.backend import check_served
from stages.records.jsonl import Journal
from stages.records.notes import Notes
from stages.records.problem import Problems, first_checked
from stages.records.record import Record, code_version, digest, seed_of, stamp
from stages.records.templates import Template
from stages.runtime.report import SILENT, Report
from stages.settings.groups import Endpoint, Engine, Sampling, check

LIMIT = "max_completion_tokens"  # what --max-tokens is called where the field of that name is refused


@dataclass(frozen=True)
class Plan:
    """Everything a completion depends on besides its problem and the model's weights."""

    model: str
    template: Template
    sampling: Sampling
    seed: int
    samples: int  # completions of each problem
    engine: Engine
    revision: str = ""  # of the model
    examples: tuple[Record, ...] = ()
    reflect: bool = False
    tokens: bool = False  # whether records hold ids and log-probabilities
    tokenizer: str = ""  # the fingerprint of what the token ids stand for
    extra: Mapping[str, Any] = field(default_factory=dict)  # fields of a server's requests; None: left out
    must_fit: bool = True  # False: a problem too long for the model's context is given out `unasked`

    def origin(self) -> dict[str, Any]:
        """What `meta.generate` says."""
        trust = self.engine.trust_remote_code
        return {
            "model": self.model,
            "revision": self.revision,
            "backend": self.engine.backend,
            "dtype": self.engine.dtype,
            "template": self.template.name,
            "style": self.template.style,
            **self._sampling(),
            "seed": self.seed,
            **({} if trust is None else {"trust_remote_code": trust}),
            **({"extra_body": dict(self.extra)} if self.extra else {}),
            **({"tokenizer": self.tokenizer} if self.tokenizer else {}),
        }

    def _sampling(self) -> dict[str, Any]:
        """The settings as they were asked for: those that `extra` replaces, or leaves out, as it says."""
        said = asdict(self.sampling)
        said |= {name: value for name, value in self.extra.items() if name in said}
        if self.extra.get(LIMIT) is not None:
            said["max_tokens"] = self.extra[LIMIT]
        return said

    def key(self) -> str:
        """Names the plan in a journal: a completion made under another key is not taken over."""
        return digest(
            {**self.origin(), "model": ""},
            asdict(self.template),
            list(self.examples),
            self.reflect,
            self.tokens,
            self.engine.deterministic,
            self.engine.vllm,
            code_version(),
        )


def complete(
    records: Iterable[Record],
    plan: Plan,
    *,
    endpoint: Endpoint = Endpoint(),
    adapter: Path | None = None,
    report: Report = SILENT,
    journal: Journal | None = None,
    unordered: bool = False,
) -> Iterator[Record]:
    """The completions of the plan's model, which is loaded for them, with its `adapter`."""
    check_plan(plan, endpoint, adapter)
    records = first_checked(records, plan.template, plan.examples)
    with loaded(plan, endpoint=endpoint, adapter=adapter, report=report) as model:
        yield from model.completions(records, plan, report=report, journal=journal, unordered=unordered)


@dataclass(frozen=True)
class Loaded:
    """A model that answers one plan after the other: plans of the model and engine it was loaded for."""

    backend: Backend
    known: Mapping[str, Any]  # fields of a plan that show once it is loaded

    def completions(
        self,
        records: Iterable[Record],
        plan: Plan,
        *,
        report: Report = SILENT,
        journal: Journal | None = None,
        unordered: bool = False,
    ) -> Iterator[Record]:
        """As `run_plan`."""
        plan = replace(plan, **self.known)
        return run_plan(
            records,
            plan,
            self.backend,
            report=report,
            journal=journal,
            ahead=in_hand(plan.engine),
            unordered=unordered,
        )


@contextmanager
def loaded(
    plan: Plan, *, endpoint: Endpoint = Endpoint(), adapter: Path | None = None, report: Report = SILENT
) -> Iterator[Loaded]:
    """The plan's model, with its `adapter`, until the block ends. Finds out revision and tokenizer."""
    engine = resolved(plan.engine)
    backend = open_backend(
        engine, plan.model, endpoint=endpoint, adapter=adapter, tokens=plan.tokens, report=report
    )
    try:
        named = backend.revision or revision(plan.model)
        here = plan.tokens and backend.tokenizer is not None  # else a server has it
        known = {
            "engine": computing(engine, backend),
            "revision": named if adapter is None else f"{named}+{revision(str(adapter))}",
            "tokenizer": fingerprint_of(backend.tokenizer) if here else "",
            "extra": endpoint.fields,
        }
        yield Loaded(backend, known)
    finally:
        backend.close()


def computing(engine: Engine, backend: Backend) -> Engine:
    """`engine` with what its dtype auto came to in `backend`: completions of another type are others."""
    dtype: Any = getattr(backend, "computes", "") or engine.dtype  # a backend of another's may not say
    return replace(engine, dtype=dtype)


def check_plan(plan: Plan, endpoint: Endpoint = Endpoint(), adapter: Path | None = None) -> None:
    """Raises what options, files and the templates say against a plan, with nothing loaded and no server
    asked: that takes seconds, or money."""
    check(plan.sampling)
    check_engine(plan.engine, endpoint, adapter)
    if plan.engine.backend == "openai":
        if plan.samples > 1:
            refuse_one_seed(endpoint)
        check_served(plan.sampling, endpoint, tokens=plan.tokens)
    elif plan.engine.backend != "echo":
        check_files(plan.model)
        check_template(plan.model, plan.template, adapter)


def run_plan(
    records: Iterable[Record],
    plan: Plan,
    backend: Backend,
    *,
    report: Report = SILENT,
    journal: Journal | None = None,
    ahead: int = 256,
    unordered: bool = False,
) -> Iterator[Record]:
    """The completions of `records`, one record each, in input order or, `unordered`, as they are finished.

    At most `ahead` problems are read before the first of them is finished and given out.
    """
    work = _Work(plan, backend, journal)
    source = Prefetcher(records, ahead)
    completions = backend.generate(work.requests(source, ahead), plan.sampling)
    try:
        for completion in chain(completions, [None]):
            if completion is not None:
                work.take(completion)
            for record in work.finished(unordered):
                report.advance()
                yield record
        work.notes.tell(report)
    finally:
        source.close()
        close = getattr(completions, "close", None)
        if close is not None:
            close()


@dataclass
class _Pending:
    record: Record
    missing: int
    done: dict[int, Record] = field(default_factory=dict)


class _Work:
    """Problems from when they are read until all of their completions are given out."""

    def __init__(self, plan: Plan, backend: Backend, journal: Journal | None) -> None:
        self.plan, self.backend, self.tokenizer, self.journal = plan, backend, backend.tokenizer, journal
        self.notes = Notes()
        self._plan_key = plan.key()
        self._pending: dict[int, _Pending] = {}
        self._problems = Problems()
        self._count = 0

    def requests(self, source: Prefetcher[Record], ahead: int) -> Iterator[Request | None]:
        """What is to be generated; a None where nothing is to be read at present."""
        while True:
            idle = not any(entry.missing for entry in self._pending.values())
            # What is finished is given out before more is waited for.
            if len(self._pending) >= ahead or (idle and self._pending):
                yield None
                continue
            try:
                record = source.take(wait=idle)
            except StopIteration:
                return
            if record is None:
                yield None
            elif (request := self._admit(record)) is not None:
                yield request

    def _admit(self, record: Record) -> Request | None:
        """What of the problem is to be generated; None where the journal has it all."""
        plan = self.plan
        name = self._problems.name(record)
        rendered = plan.template.render(record, examples=plan.examples, reflect=plan.reflect)
        for what in unshown(self.tokenizer, rendered, record.place):
            self.notes.add(f"the template does not show {what} of the prompt", record)
        entry = _Pending(record, plan.samples)
        for k in range(plan.samples):
            made = None if self.journal is None else self.journal.get(self._line_key(record, k))
            if made is not None:
                entry.done[k] = Record(made, place=record.place)
                entry.missing -= 1
        key = self._count
        self._count += 1
        self._pending[key] = entry
        missing = tuple(k for k in range(plan.samples) if k not in entry.done)
        seeds = tuple(seed_of(plan.seed, name, k) for k in missing)
        request = Request(
            key, rendered, missing, seeds, record.place, logprobs=plan.tokens, must_fit=plan.must_fit
        )
        if missing and "continuations" in record:
            pairs = continuations_of(record, rendered)
            for completion in chosen(self.backend, request, pairs, plan.engine.backend):
                self.take(completion)
            return None
        return request if missing else None

    def take(self, completion: Completion) -> None:
        """Keeps a completion, in the journal too; not one that was not asked for, which costs nothing."""
        entry = self._pending[completion.key]
        made = _record(entry.record, completion, self.plan, self._thinking(completion))
        if self.journal is not None and not completion.unasked:
            self.journal.put(self._line_key(entry.record, completion.sample), made)
        entry.done[completion.sample] = made
        entry.missing -= 1

    def _thinking(self, completion: Completion) -> int | None:
        """Tokens of thinking, where the plan controls it and the tokens are known."""
        sampling = self.plan.sampling
        if self.tokenizer is None or not (sampling.think_extend or sampling.think_budget is not None):
            return None
        return thinking_tokens(self.tokenizer, completion)

    def finished(self, unordered: bool) -> Iterator[Record]:
        """Gives out the problems that have all of their completions, up to the first that has not."""
        for key in tuple(self._pending):
            if self._pending[key].missing:
                if unordered:
                    continue
                return
            entry = self._pending.pop(key)
            yield from (entry.done[k] for k in range(self.plan.samples))

    def _line_key(self, record: Record, sample: int) -> str:
        return digest(self._plan_key, record, sample)


def in_hand(engine: Engine) -> int:
    """Problems held at once: enough to keep the engine busy while results wait for the ones before them."""
    if engine.backend == "vllm":
        return 1024 * engine.dp
    return max(256, 4 * (engine.batch_size or 0)) if engine.backend == "openai" else 256


def _record(problem: Record, made: Completion, plan: Plan, thinking: int | None) -> Record:
    name = str(problem["id"])
    fields: dict[str, Any] = {
        "id": f"{name}#{made.sample}",
        "group": name,
        "sample": made.sample,
        "completion": made.text,
        **({"unasked": made.unasked} if made.unasked else {"finish": made.finish}),
        "prefill": made.prefill,
    }
    if plan.tokens:
        fields |= {
            "prompt_ids": made.prompt_ids,
            "completion_ids": made.completion_ids,
            "logprobs": made.logprobs,
        }
    if made.likelihoods:
        fields["loglikelihoods"] = [[each.logp, each.greedy] for each in made.likelihoods]
    fields["meta"] = stamp(
        problem,
        "generate",
        **plan.origin(),
        tokens=made.lengths[1],
        prompt_tokens=made.lengths[0],
        **({} if thinking is None else {"thinking_tokens": thinking}),
    )
    return problem.adding(**fields)
