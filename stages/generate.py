"""Sample completions of problems with a model.

Each input record is a problem (`id`, `prompt`, and what rewards need); each output record is one of
its completions, in input order unless told otherwise. With a template that holds `{completion}` it reads
completions, and each output record is a rewriting of one. A completion's random numbers depend on the
seed, the problem's id and the sample's number alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from stages.formats.foreign import as_records
from stages.formats.tables import read_rows
from stages.records import templates
from stages.records.groups import Shard, sharded
from stages.records.jsonl import Journal
from stages.records.problem import drafted
from stages.records.record import Record
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report, speed
from stages.settings.groups import Adapter, Endpoint, Engine, Sampling
from stages.settings.options import Alias, Doc, Flag
from stages.settings.training import GeneratedSamples, Prefill, Seed, TemplateName

EXAMPLES = (
    "r1 prompts sums -n 2 | r1 generate -m ckpt/base -n 4 --template none --max-tokens 64",
    "r1 prompts gsm8k --split train | r1 generate -m ckpt/base -n 16 --template r1-zero --tokens"
    " -o rollouts.jsonl --resume",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is sampled, from which model, after which template."""

    model: Annotated[
        str,
        Doc("Checkpoint directory, hub name, or what the server calls it."),
        Flag("-m", "--model"),
        Alias("--model-name-or-path"),
    ]
    samples: Annotated[GeneratedSamples, Doc("Completions of each problem.")] = 1
    adapter: Adapter = None
    template: TemplateName = "chat"
    prefill: Prefill = None
    few_shot: Annotated[Path | None, Doc("Records with prompt and completion to show first.")] = None
    reflect: Annotated[bool, Doc("Ask for reflection and verification in the prompt.")] = False
    tokens: Annotated[bool, Doc("Keep token ids and log-probabilities, for training.")] = False
    shard: Shard = None
    unordered: Annotated[bool, Doc("Give out each problem as it is finished, not in input order.")] = False
    seed: Seed = 0
    sampling: Sampling = Sampling()
    engine: Engine = Engine()
    endpoint: Endpoint = Endpoint()


def run(
    records: Iterable[Record],
    settings: Settings,
    *,
    report: Report = SILENT,
    journal: Journal | None = None,
) -> Iterator[Record]:
    """Yields `samples` records for each problem.

    Raises UsageError for options that contradict each other, BadInput for a problem that cannot be
    rendered or is too long, Unavailable for a model that is not there.
    """
    if settings.samples < 1:
        raise UsageError(f"-n {settings.samples}: at least one sample is needed")
    template = templates.load(settings.template, prefill=settings.prefill)
    examples: tuple[Record, ...] = ()
    if settings.few_shot is not None:
        examples = tuple(as_records(read_rows(str(settings.few_shot)), report))
    taken = sharded(as_records(records, report), settings.shard)
    if template.rewrites:
        taken = map(drafted, taken)
    from stages.inference.complete import Plan, complete

    plan = Plan(
        settings.model,
        template,
        settings.sampling,
        settings.seed,
        settings.samples,
        settings.engine,
        examples=examples,
        reflect=settings.reflect,
        tokens=settings.tokens,
    )
    made = cut = length = 0
    began = time.monotonic()
    report.start(None, "completions")
    for record in complete(
        taken,
        plan,
        endpoint=settings.endpoint,
        adapter=settings.adapter,
        report=report,
        journal=journal,
        unordered=settings.unordered,
    ):
        made += 1
        cut += record["finish"] == "length"
        length += record["meta"]["generate"]["tokens"]
        yield record
    mean = length / made if made else 0.0
    reused = f", {journal.taken} taken over" if journal is not None and journal.taken else ""
    fast = "" if reused else speed(length, time.monotonic() - began)  # the model is loaded in this time, too
    report.summary(f"made {made} completions, mean {mean:.1f} tokens, {cut} cut at the limit{reused}{fast}")
