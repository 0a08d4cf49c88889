"""Measure a model: pass@1 with its interval, pass@k, cons@k, length, truncation.

Reads scored completions, and gives one line of figures for each model, benchmark and setting among them; or,
with -m, samples and scores a benchmark itself. docs/eval.md says how each figure is computed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from stages.benchmarks import Benchmark, load, parse_settings, take
from stages.benchmarks.figures import Figures, origin_of
from stages.benchmarks.table import results
from stages.data import jsonl, templates
from stages.data.checkpoint import read_manifest
from stages.data.errors import BadInput, UsageError
from stages.data.jsonl import Journal
from stages.data.options import Adapter, Doc, Endpoint, Engine, Flag, Range, Sampling
from stages.data.record import Record, digest, place_of
from stages.data.report import SILENT, Report
from stages.data.results import Results
from stages.data.shard import Shard, sharded

EXAMPLES = (
    "r1 eval -m ckpt/sft --benchmark sums -k 16 --pass-k 4 --fail-under 0.5",
    "cat base.jsonl sft.jsonl | r1 score | r1 eval -o figures.jsonl",
)


def run(
    records: Iterable[Record] = (),
    *,
    model: Annotated[
        str | None, Doc("Checkpoint directory or hub name to measure."), Flag("-m", "--model")
    ] = None,
    benchmark: Annotated[
        tuple[str, ...],
        Doc("A benchmark or a file of problems; without it, -m reads problems. Repeatable."),
        Flag("-b", "--benchmark"),
    ] = (),
    samples: Annotated[
        int | None,
        Doc("Completions of each problem; each benchmark has its default."),
        Flag("-k", "--samples"),
        Range(low=1),
    ] = None,
    pass_k: Annotated[
        tuple[int, ...], Doc("Also pass@K, K at most the samples. Repeatable."), Range(low=1)
    ] = (),
    limit: Annotated[int | None, Doc("Problems to take of each benchmark."), Range(low=1)] = None,
    split: Annotated[str | None, Doc("Part of the benchmark; each has its own default.")] = None,
    set: Annotated[
        tuple[str, ...],
        Doc("A setting of the benchmark, such as digits=3. Repeatable."),
        Flag("--set", metavar="KEY=VALUE"),
    ] = (),
    data: Annotated[
        Path | None, Doc("Folder with local copies of benchmarks; R1_DATA by default.")
    ] = None,
    adapter: Adapter = None,
    template: Annotated[
        str | None,
        Doc(
            "r1-zero, r1, chat, none or a file. By default the one the checkpoint was trained with, else "
            "chat if it has a chat template, else r1-zero."
        ),
        Flag("-t", "--template"),
    ] = None,
    reward: Annotated[
        tuple[str, ...],
        Doc(
            "Score by this reward; the first decides. With -m, the benchmark's by default. Repeatable."
        ),
        Flag("-r", "--reward", metavar="SPEC"),
    ] = (),
    decide: Annotated[str | None, Doc("The reward that says what is correct.")] = None,
    threshold: Annotated[float, Doc("A completion of at least this reward is correct.")] = 1.0,
    workers: Annotated[
        int, Doc("Processes that score; 0 takes one for each core."), Range(low=0)
    ] = 0,
    save: Annotated[Path | None, Doc("Keep the scored completions in this file.")] = None,
    fail_under: Annotated[
        float | None,
        Doc("End with exit code 1 if a pass@1 is below this share, 0 to 1."),
        Range(0, 1),
    ] = None,
    shard: Shard = None,
    seed: Annotated[int, Doc("Of the sampling, and of a benchmark that makes its problems.")] = 0,
    sampling: Sampling = Sampling(temperature=0.6, top_p=0.95),
    engine: Engine = Engine(),
    endpoint: Endpoint = Endpoint(),
    report: Report = SILENT,
    journal: Journal | None = None,
) -> Results:
    """Raises UsageError for options that contradict each other, BadInput for records that cannot be measured."""
    _check(model, benchmark, samples, pass_k, fail_under)
    rows: dict[str, Figures] = {}
    report.start(None, "completions")
    with contextlib.ExitStack() as stack:
        keep = _keeper(stack, save)
        if model is None:
            judge = _judge(stack, reward, workers)
            _gather(
                judge(_watched(sharded(records, shard), report)),
                rows,
                reward,
                decide,
                threshold,
                None,
                keep,
            )
        for source, chosen in _sources(model, benchmark):
            problems = (
                records
                if chosen is None
                else take(
                    chosen,
                    split=split,
                    data=data,
                    settings=parse_settings(chosen, set),
                    limit=limit,
                    seed=seed,
                )
            )
            specs = reward or (chosen.rewards if chosen else ("accuracy",))
            judge = _judge(stack, specs, workers)
            assert model is not None
            made = _completions(
                sharded(problems, shard),
                model=model,
                template=template,
                samples=samples or (chosen.samples if chosen else 4),
                sampling=sampling,
                engine=engine,
                endpoint=endpoint,
                adapter=adapter,
                seed=seed,
                report=report,
                journal=journal,
            )
            _gather(judge(made), rows, specs, decide, threshold, source, keep)
    if not rows:
        raise BadInput(
            "no completions to measure", remedy="give scored records, or -m and --benchmark"
        )
    found = [row.figures(sorted({*pass_k} - {1})) for row in rows.values()]
    return results(found, fail_under=fail_under, report=report)


def _check(
    model: str | None,
    benchmark: tuple[str, ...],
    samples: int | None,
    pass_k: tuple[int, ...],
    fail_under: float | None,
) -> None:
    if benchmark and model is None:
        raise UsageError("--benchmark needs a model to measure: add -m MODEL")
    if samples is not None and (model is None or samples < 1):
        raise UsageError("-k counts the completions that -m makes, at least 1")
    if any(k < 1 for k in pass_k):
        raise UsageError("--pass-k must be at least 1")
    if samples is not None and any(k > samples for k in pass_k):
        raise UsageError(f"--pass-k {max(pass_k)} needs at least as many samples: -k {max(pass_k)}")
    if fail_under is not None and not 0 <= fail_under <= 1:
        raise UsageError(f"--fail-under {fail_under:g}: a share from 0 to 1, such as 0.9")


def _sources(
    model: str | None, benchmark: tuple[str, ...]
) -> Iterator[tuple[str | None, Benchmark | None]]:
    if model is None:
        return
    if not benchmark:
        yield None, None
    for name in benchmark:
        yield name, load(name)


def _completions(
    problems: Iterable[Record], *, model: str, template: str | None, **settings: Any
) -> Iterator[Record]:
    from stages.inference.complete import complete

    chosen = templates.load(template or default_template(model))
    return complete(problems, model=model, template=chosen, **settings)


def default_template(model: str) -> str:
    """The template a checkpoint was trained with, else chat if it can chat, else the paper's for base models."""
    directory = Path(model)
    if not directory.is_dir():
        return "chat"  # a hub name; the model says so itself if it has no chat template
    options = read_manifest(directory).get("options") or {}
    if isinstance(options.get("template"), str):
        return str(options["template"])
    if (directory / "chat_template.jinja").exists():
        return "chat"
    configuration = directory / "tokenizer_config.json"
    if configuration.exists() and '"chat_template"' in configuration.read_text("utf-8"):
        return "chat"
    return "r1-zero"


def _judge(
    stack: contextlib.ExitStack, specs: tuple[str, ...], workers: int
) -> Callable[[Iterable[Record]], Iterable[Record]]:
    """Scores records, or passes them on where no reward is named."""
    if not specs:
        return lambda each: each
    from stages.rewards.scorer import Scorer

    return stack.enter_context(Scorer(specs, workers=workers)).score


def _keeper(stack: contextlib.ExitStack, save: Path | None) -> Callable[[Record], None]:
    if save is None:
        return lambda record: None
    stream = stack.enter_context(jsonl.open_output(save))

    def keep(record: Record) -> None:
        stream.write(jsonl.encode(record))

    return keep


def _watched(records: Iterable[Record], report: Report) -> Iterator[Record]:
    for record in records:
        report.advance()
        yield record


def _gather(
    scored: Iterable[Record],
    rows: dict[str, Figures],
    specs: tuple[str, ...],
    decide: str | None,
    threshold: float,
    benchmark: str | None,
    keep: Callable[[Record], None],
) -> None:
    """Counts each record in the row of its model, benchmark and settings."""
    # Here and not above: they compile patterns for 15 ms, and help has 150.
    from stages.rewards.ballot import vote
    from stages.rewards.language import language

    for record in scored:
        keep(record)
        origin = origin_of(record, benchmark)
        key = digest({**origin, "versions": None})
        if key not in rows:
            rows[key] = Figures(origin, decide or _deciding(record, specs), threshold)
        share = language(record).value
        rows[key].add(record, vote=vote(record), mixing=None if share is None else 1 - share)


def _deciding(record: Record, specs: tuple[str, ...]) -> str:
    """The reward that says what is correct, where the user did not."""
    if specs:
        return specs[0].partition(":")[0].partition("*")[0].replace("-", "_")
    given = record.get("rewards")
    names = list(given) if isinstance(given, dict) else []
    if "accuracy" in names or not names:
        return "accuracy"  # and if it is not there, the message says to score first
    if len(names) == 1:
        return str(names[0])
    raise UsageError(
        f"{place_of(record)}: which of {', '.join(names)} says what is correct? Name it with --decide"
    )
