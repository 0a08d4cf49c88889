"""Sample completions of problems with a model.

Each input record is a problem (`id`, `prompt`, and what rewards need); each output record is one of
its completions, in input order unless told otherwise. A completion's random numbers depend on the seed, the problem's id
and the sample's number alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from stages.data import jsonl, templates
from stages.data.errors import UsageError
from stages.data.jsonl import Journal
from stages.data.options import Adapter, Doc, Endpoint, Engine, Flag, Range, Sampling
from stages.data.record import Record
from stages.data.report import SILENT, Report
from stages.data.shard import Shard, sharded

EXAMPLES = (
    "r1 prompts sums -n 2 | r1 generate -m ckpt/base -n 4 --template none --max-tokens 64",
    "r1 prompts gsm8k --split train | r1 generate -m ckpt/base -n 16 --template r1-zero --tokens"
    " -o rollouts.jsonl --resume",
)


def run(
    records: Iterable[Record],
    *,
    model: Annotated[
        str,
        Doc("Checkpoint directory, hub name, or what the server calls it."),
        Flag("-m", "--model"),
    ],
    samples: Annotated[
        int, Doc("Completions of each problem."), Flag("-n", "--samples"), Range(low=1)
    ] = 1,
    adapter: Adapter = None,
    template: Annotated[
        str,
        Doc("r1-zero, r1, chat, none, or a file that holds {prompt}."),
        Flag("--template", "-t"),
    ] = "chat",
    prefill: Annotated[
        str | None, Doc("Begin each completion with this text instead of the template's.")
    ] = None,
    few_shot: Annotated[
        Path | None, Doc("Records with prompt and completion to show first.")
    ] = None,
    reflect: Annotated[bool, Doc("Ask for reflection and verification in the prompt.")] = False,
    tokens: Annotated[bool, Doc("Keep token ids and log-probabilities, for training.")] = False,
    shard: Shard = None,
    unordered: Annotated[
        bool, Doc("Give out each problem as it is finished, not in input order.")
    ] = False,
    seed: Annotated[int, Doc("Names the random numbers of the run.")] = 0,
    sampling: Sampling = Sampling(),
    engine: Engine = Engine(),
    endpoint: Endpoint = Endpoint(),
    report: Report = SILENT,
    journal: Journal | None = None,
) -> Iterator[Record]:
    """Yields `samples` records for each problem.

    Raises UsageError for options that contradict each other, BadInput for a problem that cannot be
    rendered or is too long, Unavailable for a model that is not there.
    """
    if samples < 1:
        raise UsageError(f"-n {samples}: at least one sample is needed")
    chosen = templates.load(template, prefill=prefill)
    examples: list[Record] = []
    if few_shot is not None:
        with jsonl.open_input(few_shot) as stream:
            examples = list(jsonl.read_lines(stream, str(few_shot)))
    taken = sharded(records, shard)
    from stages.inference.complete import complete

    made = cut = length = 0
    report.start(None, "completions")
    for record in complete(
        taken,
        model=model,
        template=chosen,
        sampling=sampling,
        engine=engine,
        endpoint=endpoint,
        adapter=adapter,
        samples=samples,
        seed=seed,
        report=report,
        journal=journal,
        tokens=tokens,
        examples=examples,
        reflect=reflect,
        unordered=unordered,
    ):
        made += 1
        cut += record["finish"] == "length"
        length += record["meta"]["generate"]["tokens"]
        yield record
    mean = length / made if made else 0.0
    reused = f", {journal.taken} taken over" if journal is not None and journal.taken else ""
    report.summary(
        f"made {made} completions, mean {mean:.1f} tokens, {cut} cut at the limit{reused}"
    )
