"""Measure a model: pass@1 with its interval, pass@k, cons@k, length, truncation.

Reads scored completions, and gives one line of figures for each model, benchmark and setting among them; or,
with -m, samples and scores a benchmark itself. --against compares models on the same problems. docs/eval.md
says how each figure is computed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from stages.evaluation import pictures
from stages.evaluation.benchmark import OFFICIAL, Benchmark, load, official, parse_settings, take
from stages.evaluation.comparison import shots
from stages.evaluation.comparison.against import baseline, compare, table
from stages.evaluation.curves import curves
from stages.evaluation.figures import Figures
from stages.evaluation.measure import SAMPLES, SAMPLING, Tally, judge, template_of
from stages.evaluation.seeds import spread
from stages.evaluation.suites import SUITES, expanded
from stages.evaluation.table import costs, failure, overlaps, results, spreads
from stages.evaluation.unfit import Unfit
from stages.formats import written_table
from stages.formats.foreign import as_records
from stages.records import jsonl, templates
from stages.records.groups import Shard, sharded
from stages.records.jsonl import Journal
from stages.records.notes import Notes
from stages.records.problem import first_checked
from stages.records.record import Record
from stages.runtime.errors import BadInput, NoRecords, R1Error, Unavailable, UsageError
from stages.runtime.report import SILENT, Report, speed
from stages.runtime.results import Results, Table
from stages.settings.groups import Adapter, Endpoint, Engine, Sampling
from stages.settings.options import Alias, Doc, Flag, Range, Written, typed

if TYPE_CHECKING:
    from stages.inference.complete import Loaded, Plan

EXAMPLES = (
    "r1 eval -m ckpt/sft --benchmark sums -k 16 --pass-k 4 --fail-under 0.5",
    "cat base.jsonl sft.jsonl | r1 score | r1 eval -o figures.jsonl",
    "r1 eval base.jsonl sft.jsonl --against base.jsonl",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured, and how it is sampled and scored."""

    model: Annotated[
        str | None,
        Doc("Checkpoint directory or hub name to measure."),
        Flag("-m", "--model"),
        Alias("--model-name-or-path"),
    ] = None
    benchmark: Annotated[
        tuple[str, ...],
        Doc(
            f"A benchmark, a suite of them ({', '.join(SUITES)}), a file of problems, or a TOML or Python "
            "file of a benchmark of your own; without it, -m reads problems. Repeatable."
        ),
        Flag("-b", "--benchmark"),
    ] = ()
    samples: Annotated[
        int | None,
        Doc("Completions of each problem; each benchmark has its default."),
        Flag("-k", "--samples"),
        Range(low=1),
        Alias("--num-generations"),
    ] = None
    pass_k: Annotated[
        tuple[int, ...], Doc("Also pass@K, K at most the samples. Repeatable."), Range(low=1)
    ] = ()
    limit: Annotated[int | None, Doc("Problems to take of each benchmark."), Range(low=1)] = None
    split: Annotated[str | None, Doc("Part of the benchmark; each has its own default.")] = None
    set: Annotated[
        tuple[str, ...],
        Doc("A setting of the benchmark, such as digits=3. Repeatable."),
        Flag("--set", metavar="KEY=VALUE"),
    ] = ()
    protocol: Annotated[
        Literal["paper", "official"],
        Doc(
            "Whose way to ask and judge: the DeepSeek-R1 paper's, or that of each benchmark's own program, "
            "for figures that stand beside published ones."
        ),
    ] = "paper"
    data: Annotated[Path | None, Doc("Folder with local copies of benchmarks; R1_DATA by default.")] = None
    adapter: Adapter = None
    template: Annotated[
        str | None,
        Doc(
            "r1-zero, r1, chat, none or a file. By default the one the checkpoint was trained with, else "
            "chat if it has a chat template, else r1-zero."
        ),
        Flag("-t", "--template"),
    ] = None
    reward: Annotated[
        tuple[str, ...],
        Doc("Score by this reward; the first decides. With -m, the benchmark's by default. Repeatable."),
        Flag("-r", "--reward", metavar="SPEC"),
    ] = ()
    decide: Annotated[
        tuple[str, ...],
        Doc("The reward that says what is correct; of several the first that a record has. Repeatable."),
        Flag("--decide", metavar="TEXT"),
    ] = ()
    judge: Annotated[
        str | None,
        Doc(
            "The model that judges, for benchmarks that want one: model=NAME,url=SERVER or model=CHECKPOINT."
        ),
        Flag("--judge", metavar="KEY=VALUE,..."),
    ] = None
    threshold: Annotated[float, Doc("A completion of at least this reward is correct.")] = 1.0
    workers: Annotated[int, Doc("Processes that score; 0 takes one for each core."), Range(0, 1024)] = 0
    repeats: Annotated[
        int, Doc("Runs with this seed and the next ones; a line tells their spread."), Range(1, 1000)
    ] = 1
    compare_shots: Annotated[
        int | None,
        Doc("Measure each benchmark also after this many examples of its own, and tell the difference."),
        Flag("--compare-shots", metavar="K"),
        Range(1, 100),
    ] = None
    price: Annotated[
        str | None,
        Doc("What a million tokens cost in prompts and in completions, such as 0.55,2.19."),
        Flag("--price", metavar="IN,OUT"),
    ] = None
    timing: Annotated[
        bool, Doc("Tell the seconds of each row and its tokens per second, which differ from run to run.")
    ] = False
    contamination: Annotated[
        Path | None,
        Doc("Tell which problems this training file has, and pass@1 without them."),
        Flag("--contamination", metavar="FILE"),
    ] = None
    against: Annotated[
        str | None,
        Doc("Compare with what this file of scored completions holds, or with this model of those given."),
        Flag("--against", metavar="FILE|MODEL"),
    ] = None
    save: Annotated[Path | None, Doc("Keep the scored completions in this file."), Written()] = None
    table: Annotated[
        Path | None,
        Doc("Write the figures into this file, too: .md, .tex, .csv, or .yaml for the head of a model card."),
        Written(),
    ] = None
    curves: Annotated[
        Path | None,
        Doc(
            "Write pass@k and cons@k for all k, and accuracy by length and by thinking tokens, as lines of "
            "this file."
        ),
        Written(),
    ] = None
    png: Annotated[
        Path | None, Doc("Draw these curves into this file."), Flag("--png", metavar="FILE"), Written()
    ] = None
    fail_under: Annotated[
        float | None,
        Doc("End with exit code 1 if a pass@1 is below this share, 0 to 1."),
        Range(0, 1),
    ] = None
    shard: Shard = None
    seed: Annotated[
        int, Doc("Of the sampling, and of a benchmark that makes its problems."), Range(low=0)
    ] = 0
    sampling: Sampling = SAMPLING
    engine: Engine = Engine()
    endpoint: Endpoint = Endpoint()


def run(
    records: Iterable[Record] = (),
    settings: Settings = Settings(),
    *,
    report: Report = SILENT,
    journal: Journal | None = None,
    given: Collection[str] = (),
) -> Results:
    """`given` names the options that the user gave, also where they have their default, and `records` where
    files are named.

    Raises UsageError for options that contradict each other, BadInput for what cannot be measured.
    """
    _check(settings, given)
    if settings.contamination is not None:
        _check_texts(settings.contamination)
    records = as_records(records, report)
    lacking: dict[str, Unavailable] = {}
    unfit = Unfit(report)
    measured = list(_measured(settings, records, given, lacking, report))
    file = settings.against if settings.against and _is_file(settings.against) else ""
    words = _words() if settings.contamination is not None else None
    tally = Tally(settings.decide, settings.threshold, file, words)
    began = time.monotonic()
    report.start(None, "completions")
    with contextlib.ExitStack() as stack:
        keep = _keeper(stack, settings.save)
        if settings.model is None:
            scored = judge(stack, settings.reward, settings.workers, report=report)
            watched = _watched(sharded(records, settings.shard), report)
            keep(tally.count(scored(watched), settings.reward))
            _read_apart(tally, scored, settings, report)
        model = _loaded(stack, measured[0].plan, settings, report) if measured else None
        for each in measured:
            assert model is not None
            if settings.repeats > 1 and each.plan.sampling.temperature == 0:
                report.note(f"{each.source}: at temperature 0 all {settings.repeats} runs are alike")
            try:
                for one in _runs(each, settings):
                    _sample(model, one, tally, lambda made: keep(unfit.look(made)), settings, report, journal)
            except Lacking as error:
                _leave_out(str(each.source), error, lacking, report)
                tally.forget(each.source)
            each.notes.tell(report)
        if settings.model is not None:
            _read_apart(tally, lambda records: records, settings, report)
        # This and what follows within, so that --save FILE does not appear.
        if all(row.apart for row in tally.rows.values()):
            raise _nothing(settings, lacking)
        if unfit.found and not any(row.right for row in tally.rows.values() if not row.apart):
            raise unfit.first()
        bases = _bases(tally, settings.against) if settings.against is not None else []
        if settings.contamination is not None:
            _look_through(settings.contamination, tally, report)
        if settings.curves is not None or settings.png is not None:
            _curve(tally, settings, report)
    made = _told_of(tally, bases, settings, lacking, report, _speed(tally, began, settings, journal))
    return replace(made, unfit=unfit.told())


def _nothing(settings: Settings, lacking: Collection[str]) -> R1Error:
    """Why there is nothing to measure."""
    if lacking:
        return Unavailable(_told(lacking))
    if settings.benchmark:
        return BadInput(
            "no problems are left to measure on",
            place=", ".join(settings.benchmark),
            remedy="see what --shard leaves of them, and the examples of --compare-shots",
        )
    return NoRecords("no completions to measure", remedy="give scored records, or -m and --benchmark")


def _curve(tally: Tally, settings: Settings, report: Report) -> None:
    lines = list(curves(row for row in tally.rows.values() if not row.apart))
    if settings.curves is not None:
        jsonl.write(settings.curves, lines)
    if settings.png is not None and not pictures.draw(lines, settings.png):
        report.note(f"--png {settings.png}: no completion could be judged; nothing is drawn")


def _sample(
    model: Loaded,
    each: Measured,
    tally: Tally,
    keep: Callable[[Iterable[Record]], None],
    settings: Settings,
    report: Report,
    journal: Journal | None,
) -> None:
    """Samples, judges and counts the completions of what is measured."""
    began, before = time.monotonic(), set(tally.rows)
    with contextlib.ExitStack() as scope:
        scored = judge(scope, each.rewards, settings.workers, report=report)
        made = model.completions(each.problems, each.plan, report=report, journal=journal)
        once = replace(each.plan, samples=1)
        judged = scored.to_the_end(
            made, lambda problems: model.completions(problems, once, report=report, journal=journal)
        )
        keep(tally.count(judged, each.rewards, each.source, each.decide))
    if settings.timing and not (journal is not None and journal.taken):
        for key in set(tally.rows) - before:
            tally.rows[key].seconds = time.monotonic() - began


def _runs(each: Measured, settings: Settings) -> Iterator[Measured]:
    """What is measured, with one seed after the other, each without examples and then with them."""
    for more in range(settings.repeats):
        plan = replace(each.plan, seed=settings.seed + more)
        yield each._replace(plan=plan) if not more else _once_more(each, plan, settings)
        if each.examples:
            once_more = _once_more(each, replace(plan, examples=each.examples), settings)
            yield once_more._replace(problems=shots.marked(once_more.problems, len(each.examples)))


def _once_more(each: Measured, plan: Plan, settings: Settings) -> Measured:
    each.notes.found.clear()  # the same problems, of which is said once what is to be said
    return each._replace(plan=plan, problems=sharded(each.again(), settings.shard))


def _speed(tally: Tally, began: float, settings: Settings, journal: Journal | None) -> str:
    if settings.model is None or (journal is not None and journal.taken):
        return ""
    tokens = sum(row.lengths["tokens"] for row in tally.rows.values() if not row.apart)
    return speed(tokens, time.monotonic() - began)  # the model is loaded in this time, too


def _told_of(
    tally: Tally,
    bases: Sequence[Figures],
    settings: Settings,
    lacking: Collection[str],
    report: Report,
    said: str,
) -> Results:
    """The figures, and after them what they cost, repeat and are compared with."""
    pass_k, price = sorted({*settings.pass_k} - {1}), _price(settings.price)
    found = [row.figures(pass_k, price) for row in tally.rows.values()]
    gated = [each for each in found if settings.compare_shots is None or not shots.shown(each)]
    measures = replace(
        results(found, report=report, said=said),
        failure=failure(gated, settings.fail_under),
        lacking=_told(lacking) if lacking else None,
    )
    further: list[Table] = []
    if settings.price is not None or settings.timing:
        further.append(costs(found))
    if settings.contamination is not None:
        further.append(overlaps(found))
    lines = spread(found) if settings.repeats > 1 else []
    if lines:
        further.append(spreads(lines))
    if settings.compare_shots is not None:
        changed = shots.compared(tally.rows.values(), settings.compare_shots, report)
        lines += changed
        further.extend([shots.table(changed)] * bool(changed))
    measures = replace(measures, records=found + lines, further=further)
    if settings.against is not None:
        measures = _compared(measures, tally, bases, settings.against, report)
    if settings.table is not None:
        with jsonl.open_output(settings.table) as stream:
            stream.write(written_table.written(settings.table, measures).encode(errors="backslashreplace"))
    return measures


def _price(given: str | None) -> tuple[float, ...]:
    """What a million tokens cost in prompts and in completions. Raises UsageError for no two prices."""
    if given is None:
        return ()
    parts = given.split(",")
    if len(parts) != 2:
        raise UsageError(f"--price {given}: write two numbers, such as 0.55,2.19")
    return tuple(typed("--price", part.strip(), float, Range(low=0)) for part in parts)


def _check_texts(file: Path) -> None:
    """Raises BadInput where a training file does not begin as one, before completions are paid for."""
    from stages.selection.decontamination import repeated

    if file.is_file():  # a pipe is read once
        repeated((), str(file), lines=1)


def _words() -> Callable[[Record], str]:
    """What says in words what a problem is."""
    from stages.selection.decontamination import text_of

    return text_of


def _look_through(file: Path, tally: Tally, report: Report) -> None:
    """Finds the problems that a training file has."""
    from stages.selection.decontamination import repeated

    rows = [row for row in tally.rows.values() if not row.apart]
    texts = dict.fromkeys(problem.text for row in rows for problem in row.problems.values())
    found = repeated(texts, str(file), report)
    for row in tally.rows.values():
        row.repeated = frozenset(name for name, problem in row.problems.items() if problem.text in found)


def _compared(made: Results, tally: Tally, bases: Sequence[Figures], against: str, report: Report) -> Results:
    """The results with a line for each row that the baseline has its like of."""
    lines = compare(tally.rows.values(), bases, report)
    failure = made.failure or (None if lines else f"nothing could be compared with {against}")
    return replace(
        made,
        records=made.records + lines,
        further=made.further + [table(lines)] * bool(lines),
        failure=failure,
    )


def _read_apart(
    tally: Tally,
    scored: Callable[[Iterable[Record]], Iterable[Record]],
    settings: Settings,
    report: Report,
) -> None:
    """Counts the completions of the file to compare with, where they are not among those given."""
    if tally.apart and not any(row.apart for row in tally.rows.values()):
        read = sharded(as_records(jsonl.read_file(tally.apart), report), settings.shard)
        deque(tally.count(scored(read), settings.reward), maxlen=0)


def _is_file(name: str) -> bool:
    """Whether it is one to read, a pipe among them; a folder is a model."""
    return os.path.exists(name) and not os.path.isdir(name)


def _bases(tally: Tally, against: str) -> list[Figures]:
    """The rows to compare with, one or more. Raises BadInput or UsageError where there are none."""
    rows = [*tally.rows.values()]
    if tally.apart:
        bases = [row for row in rows if row.apart]
        if not bases:
            raise BadInput("no completions to compare with", place=against, remedy="give scored records")
        return bases
    bases = baseline(rows, against)
    if not bases:
        models = ", ".join(dict.fromkeys(str(row.origin.get("model")) for row in rows))
        raise UsageError(f"--against {against}: no such file, and no such model among {models}")
    return bases


def _check(settings: Settings, given: Collection[str]) -> None:
    model, samples = settings.model, settings.samples
    if settings.benchmark and "records" in given:
        raise UsageError("-b brings its own problems; leave out FILE, or measure it in a run without -b")
    if settings.protocol == OFFICIAL and not settings.benchmark:
        raise UsageError("--protocol official is of benchmarks: add -b NAME")
    if settings.benchmark and model is None:
        raise UsageError("--benchmark needs a model to measure: add -m MODEL")
    twice = next((name for name in settings.benchmark if settings.benchmark.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--benchmark {twice} is given twice; name each once")
    if settings.judge is not None and (model is None or not settings.benchmark or settings.reward):
        raise UsageError(
            f"--judge {settings.judge}: it is for the rewards of -b; a --reward has its own options"
        )
    if samples is not None and (model is None or samples < 1):
        raise UsageError("-k counts the completions that -m makes, at least 1")
    if any(k < 1 for k in settings.pass_k):
        raise UsageError("--pass-k must be at least 1")
    if samples is not None and any(k > samples for k in settings.pass_k):
        most = max(settings.pass_k)
        raise UsageError(f"--pass-k {most} needs at least as many samples: -k {most}")
    if model is not None and settings.against is not None and not _is_file(settings.against):
        raise UsageError(f"--against {settings.against}: no such file; with -m, name one of scored records")
    _price(settings.price)
    if settings.png is not None:
        pictures.check()
    if settings.table is not None:
        written_table.check(settings.table)
    if settings.repeats > 1 and not settings.benchmark:
        raise UsageError(f"--repeats {settings.repeats} asks a benchmark again: add -m MODEL and -b NAME")
    if settings.compare_shots is not None and not settings.benchmark:
        raise UsageError(
            f"--compare-shots {settings.compare_shots} asks a benchmark twice: add -m MODEL and -b NAME"
        )
    if settings.compare_shots is not None and settings.protocol == OFFICIAL:
        raise UsageError("--compare-shots: --protocol official says itself how many examples are shown")
    if settings.timing and model is None:
        raise UsageError("--timing tells how fast a model answers: add -m MODEL")
    if settings.contamination is not None and not _is_file(str(settings.contamination)):
        kind = "a directory: name a file in it" if settings.contamination.is_dir() else "no such file"
        raise UsageError(f"--contamination {settings.contamination}: {kind}")
    if settings.fail_under is not None and not 0 <= settings.fail_under <= 1:
        raise UsageError(f"--fail-under {settings.fail_under:g}: a share from 0 to 1, such as 0.9")
    if model is None and settings.engine.dtype != "auto":
        raise UsageError(f"--dtype {settings.engine.dtype} needs a model that computes in it: add -m MODEL")


class Measured(NamedTuple):
    """What is measured: problems, what samples their completions and what judges them. `again` are the
    problems once more, `examples` what they are asked after in a second run."""

    source: str | None
    problems: Iterable[Record]
    again: Callable[[], Iterable[Record]]
    plan: Plan
    rewards: tuple[str, ...]
    decide: tuple[str, ...]
    notes: Notes
    examples: tuple[Record, ...] = ()


def _measured(
    settings: Settings,
    records: Iterable[Record],
    given: Collection[str],
    lacking: dict[str, Unavailable],
    report: Report,
) -> Iterator[Measured]:
    """All that `settings.model` is measured on, each looked over with its first problem read.

    So the last name is known to be right before the first completion is paid for. Of several benchmarks those
    that cannot be had are `lacking`; the only one is an error.
    """
    if settings.model is None:
        return
    # Here and not above, as with the scorer: they take a quarter of a second, and help has 150 ms.
    from stages.scoring.judging import check_judged, check_options
    from stages.scoring.preflight import judgeable

    names = expanded(settings.benchmark)
    found: list[Benchmark] = []
    for name in names:
        try:
            found.append(official(name) if settings.protocol == OFFICIAL else load(name))
        except Unavailable as error:
            if len(names) == 1:
                raise
            _leave_out(name, error, lacking, report)
    if settings.judge is not None and found:
        check_options(settings.judge, {each.name: (*each.rewards, *each.judged) for each in found})
    piped = Benchmark("", "", lambda **_: iter(()), samples=SAMPLES)
    asked = found if names else [piped]
    looked_over = [_planned(each, settings, given) for each in asked]
    for benchmark, each in zip(asked, looked_over, strict=True):
        taken = sharded(records if not names else each.problems, settings.shard)
        try:
            if len(names) > 1 and not settings.reward:
                check_judged(each.rewards)
            ready = judgeable(first_checked(taken, each.plan.template), each.rewards)
            if settings.compare_shots is not None:
                each = each._replace(examples=_examples(benchmark, each.plan, settings))
        except Unavailable as error:
            if len(names) < 2:
                raise
            _leave_out(str(each.source), error, lacking, report)
        else:
            if len(names) > 1:
                again = partial(_again, each.again)
                yield each._replace(problems=_until_lacking(ready), again=again)
            else:
                yield each._replace(problems=ready)


def _planned(benchmark: Benchmark, settings: Settings, given: Collection[str]) -> Measured:
    """The benchmark with what samples and judges it, of which nothing is read yet."""
    from stages.inference.complete import Plan, check_plan
    from stages.scoring.judging import rewards_with
    from stages.scoring.spec import check_names, parts

    assert settings.model is not None
    if settings.compare_shots is not None:
        shots.check(benchmark, settings.set)
    rewards = settings.reward or rewards_with(benchmark.rewards, benchmark.judged, settings.judge)
    check_names("--decide", settings.decide, parts(rewards))
    samples = settings.samples or benchmark.samples
    if max(settings.pass_k, default=0) > samples:
        most = max(settings.pass_k)
        raise UsageError(f"--pass-k {most} needs at least as many samples: -k {most}")
    named = settings.template or benchmark.template
    template = templates.load(named) if named else template_of(settings.model, settings.adapter)
    sampling = _sampling(settings.sampling, benchmark, given)
    plan = Plan(settings.model, template, sampling, settings.seed, samples, settings.engine, must_fit=False)
    check_plan(plan, settings.endpoint, settings.adapter)
    decide = () if settings.reward else benchmark.decide
    again = partial(_problems, benchmark, settings) if benchmark.name else tuple
    return Measured(benchmark.name or None, again(), again, plan, rewards, decide, benchmark.notes)


def _examples(benchmark: Benchmark, plan: Plan, settings: Settings) -> tuple[Record, ...]:
    """The examples of --compare-shots. Raises what is wrong with them."""
    assert settings.compare_shots is not None
    part = shots.part_of(benchmark, settings.split)
    shown = take(
        benchmark,
        split=part or settings.split,
        data=settings.data,
        settings=parse_settings(benchmark, settings.set),
        limit=settings.compare_shots,
        seed=settings.seed,
    )
    return shots.examples_of(shown, settings.compare_shots, plan.template.style)


def _sampling(asked: Sampling, benchmark: Benchmark, given: Collection[str]) -> Sampling:
    """As the user asks; what they leave open as the benchmark says, if it does."""
    left = {name for name in benchmark.sampling if name not in given}
    unset = {name for name in left if getattr(asked, name) == getattr(SAMPLING, name)}
    return replace(asked, **{name: benchmark.sampling[name] for name in unset})


def _loaded(stack: contextlib.ExitStack, plan: Plan, settings: Settings, report: Report) -> Loaded:
    """The model, which answers all benchmarks."""
    from stages.inference.complete import loaded

    opened = loaded(plan, endpoint=settings.endpoint, adapter=settings.adapter, report=report)
    return stack.enter_context(opened)


class Lacking(Unavailable):
    """A benchmark cannot be had, which is no reason to do without the others."""


def _leave_out(name: str, error: Unavailable, lacking: dict[str, Unavailable], report: Report) -> None:
    lacking[name] = error
    report.note(f"{name} is left out: {error}")


def _told(lacking: Collection[str]) -> str:
    return f"left out {', '.join(lacking)}; the note on each, which -q hides, says what it needs"


def _until_lacking(problems: Iterable[Record]) -> Iterator[Record]:
    """The problems. Raises Lacking where it turns out that the rest cannot be had."""
    try:
        yield from problems
    except Unavailable as error:
        raise Lacking(error.what, install=error.install) from error


def _again(problems: Callable[[], Iterable[Record]]) -> Iterator[Record]:
    return _until_lacking(problems())


def _problems(benchmark: Benchmark, settings: Settings) -> Iterator[Record]:
    said = {} if benchmark.protocol is None else {"protocol": benchmark.protocol}
    first = settings.compare_shots is not None and shots.part_of(benchmark, settings.split) is None
    return take(
        replace(benchmark, origin={**benchmark.origin, **said}),
        split=settings.split,
        data=settings.data,
        settings=parse_settings(benchmark, settings.set),
        skip=settings.compare_shots or 0 if first else 0,  # those are the examples
        limit=settings.limit,
        seed=settings.seed,
    )


def _keeper(stack: contextlib.ExitStack, save: Path | None) -> Callable[[Iterable[Record]], None]:
    """Takes records to their end, into the file `save` where there is one."""
    if save is None:
        return lambda records: deque(records, maxlen=0).clear()
    stream = stack.enter_context(jsonl.open_output(save))

    def keep(records: Iterable[Record]) -> None:
        for record in records:
            stream.write(jsonl.encode(record))

    return keep


def _watched(records: Iterable[Record], report: Report) -> Iterator[Record]:
    for record in records:
        report.advance()
        yield record
