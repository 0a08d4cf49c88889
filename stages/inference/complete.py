"""Problems to completions: the same code for `generate`, `eval`, `distill` and `grpo`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stages.data.checkpoint import revision
from stages.data.errors import BadInput
from stages.data.jsonl import Journal
from stages.data.options import Endpoint, Engine, Sampling
from stages.data.record import Record, code_version, digest, need, place_of, seed_of, stamp
from stages.data.report import SILENT, Report
from stages.data.templates import Template
from stages.inference.backend import Backend, Completion, Request, open_backend, resolved
from stages.inference.feed import Feed


@dataclass(frozen=True)
class Plan:
    """Everything a completion depends on besides its problem and the model's weights."""

    model: str
    revision: str
    template: Template
    sampling: Sampling
    seed: int
    samples: int
    engine: Engine
    examples: tuple[Record, ...] = ()
    reflect: bool = False
    tokens: bool = False

    def origin(self) -> dict[str, Any]:
        """What `meta.generate` says."""
        return {
            "model": self.model,
            "revision": self.revision,
            "backend": self.engine.backend,
            "dtype": self.engine.dtype,
            "template": self.template.name,
            "style": self.template.style,
            **asdict(self.sampling),
            "seed": self.seed,
        }

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


@dataclass
class _Pending:
    record: Record
    missing: int
    done: dict[int, Record] = field(default_factory=dict)


def complete(
    records: Iterable[Record],
    *,
    model: str,
    template: Template,
    sampling: Sampling,
    engine: Engine,
    samples: int,
    seed: int,
    endpoint: Endpoint = Endpoint(),
    adapter: Path | None = None,
    report: Report = SILENT,
    journal: Journal | None = None,
    tokens: bool = False,
    examples: Sequence[Record] = (),
    reflect: bool = False,
    unordered: bool = False,
) -> Iterator[Record]:
    """Loads `model` and yields `samples` completions of each problem; see `run_plan`."""
    backend: Backend | None = None
    engine = resolved(engine)
    try:
        backend = open_backend(
            engine, model, endpoint=endpoint, adapter=adapter, tokens=tokens, report=report
        )
        named = getattr(backend, "revision", "") or revision(model)
        plan = Plan(
            model,
            named if adapter is None else f"{named}+{revision(str(adapter))}",
            template,
            sampling,
            seed,
            samples,
            engine,
            tuple(examples),
            reflect,
            tokens,
        )
        ahead = _in_hand(engine)
        yield from run_plan(
            records, plan, backend, report=report, journal=journal, ahead=ahead, unordered=unordered
        )
    finally:
        if backend is not None:
            backend.close()


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
    """The completions of `records`, one record each, in input order or, `unordered`, as problems are finished.

    At most `ahead` problems are read before the first of them is finished and given out.
    """
    feed = Feed(records, ahead)
    pending: dict[int, _Pending] = {}
    plan_key = plan.key()
    names: set[int] = set()  # a number for each problem that went by
    next_in = 0

    def requests() -> Iterator[Request | None]:
        nonlocal next_in
        while True:
            if len(pending) >= ahead:
                yield None
                continue
            idle = not any(entry.missing for entry in pending.values())
            if idle and pending:
                yield None  # give out what is finished before waiting for more
                continue
            try:
                record = feed.take(wait=idle)
            except StopIteration:
                return
            if record is None:
                yield None
                continue
            request = admit(record)
            if request is not None:
                yield request

    def admit(record: Record) -> Request | None:
        nonlocal next_in
        name = str(
            need(record, "id", (str, int), "give each problem a unique id, or use r1 prompts")
        )
        if (mark := hash(name)) in names:  # equal ids are equal random numbers, and one group
            raise BadInput(
                f"id {name!r} stands twice",
                place=place_of(record),
                remedy="give each problem a unique id",
            )
        names.add(mark)
        if "completion" in record:
            raise BadInput(
                "already has a completion",
                place=place_of(record),
                remedy="give problems to generate",
            )
        rendered = plan.template.render(record, examples=plan.examples, reflect=plan.reflect)
        entry = _Pending(record, plan.samples)
        pending[next_in] = entry
        if journal is not None:
            for k in range(plan.samples):
                made = journal.get(_line_key(plan_key, record, k))
                if made is not None:
                    entry.done[k] = Record(made, place=record.place)
                    entry.missing -= 1
        missing = tuple(k for k in range(plan.samples) if k not in entry.done)
        seeds = tuple(seed_of(plan.seed, name, k) for k in missing)
        key = next_in
        next_in += 1
        if not missing:
            return None
        return Request(key, rendered, missing, seeds, record.place, logprobs=plan.tokens)

    def finished() -> Iterator[Record]:
        for key in tuple(pending):
            if pending[key].missing:
                if unordered:
                    continue
                return
            entry = pending.pop(key)
            for k in range(plan.samples):
                report.advance()
                yield entry.done[k]

    completions = backend.generate(requests(), plan.sampling)
    try:
        for completion in completions:
            if completion is None:
                yield from finished()
                continue
            entry = pending[completion.key]
            made = _record(entry.record, completion, plan)
            if journal is not None:
                journal.put(_line_key(plan_key, entry.record, completion.sample), made)
            entry.done[completion.sample] = made
            entry.missing -= 1
            yield from finished()
        yield from finished()
    finally:
        feed.close()
        close = getattr(completions, "close", None)
        if close is not None:
            close()


def _in_hand(engine: Engine) -> int:
    """Problems held at once: enough to keep the engine busy while results wait for the ones before them."""
    if engine.backend == "vllm":
        return 1024 * engine.dp
    return max(256, 4 * (engine.batch_size or 0)) if engine.backend == "openai" else 256


def _line_key(plan_key: str, record: Record, sample: int) -> str:
    return digest(plan_key, record, sample)


def _record(problem: Record, made: Completion, plan: Plan) -> Record:
    name = str(problem["id"])
    fields: dict[str, Any] = {
        "id": f"{name}#{made.sample}",
        "group": name,
        "sample": made.sample,
        "completion": made.text,
        "finish": made.finish,
        "prefill": made.prefill,
    }
    if plan.tokens:
        fields |= {
            "prompt_ids": made.prompt_ids,
            "completion_ids": made.completion_ids,
            "logprobs": made.logprobs,
        }
    fields["meta"] = stamp(
        problem,
        "generate",
        **plan.origin(),
        tokens=made.lengths[1],
        prompt_tokens=made.lengths[0],
    )
    return problem.adding(**fields)
