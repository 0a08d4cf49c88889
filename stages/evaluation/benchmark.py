"""Benchmarks: one file each, with its problems, and the reward that decides.

A benchmark is a file here with a one-line docstring, `problems(*, split, data, …)` that yields records,
`REWARDS` (the first of them decides), `SAMPLES` (completions of a problem by default) and `SPLITS`; `JUDGED`
has rewards besides, where a model judges.
Further keyword parameters of `problems` are its settings; where a task decides what they are, the file
has `settings(task)` as well, and `declared(task)` where it decides more: fields of `Benchmark`. OFFICIAL says
how the benchmark's own program asks and judges, for `r1 eval --protocol official`: further such fields and
`preset`, settings that it has; or the task of lm-eval that published figures are made with.
Wherever a benchmark's name goes, a file of problems and a data set on the hub go too, a TOML file that
declares a benchmark (declared.py), and a Python file of the form above.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import os
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from stages.evaluation import declared
from stages.evaluation.suites import SUITES
from stages.formats.rows import Reader, records_of
from stages.formats.sources import hub_rows
from stages.formats.tables import read_rows, stem_of
from stages.records.notes import Notes
from stages.records.record import Record, seed_of, stamp
from stages.runtime.errors import R1Error, StreamError, UsageError, near, nearest, said
from stages.settings.options import typed

PAPER, OFFICIAL = "paper", "official"  # protocols: the DeepSeek-R1 paper's, and the benchmark's own program's
OWN = ("split", "data")  # parameters of `problems` that are no settings
# Neither `../data` nor `./data`: the library of the hub would read whatever it finds in such a folder.
HUB = re.compile(r"(?:hub:)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::([\w.-]+))?")
FORM = "`def problems(*, split=None, data=None)`"
ON_HUB = "hub:"  # what a name may begin with, so that it is no file
FILES = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".gz", ".zst")


@dataclass(frozen=True)
class Benchmark:
    """Problems and how they are judged.

    `split` is the one taken where none is named; `settings` are the types of further parameters; `notes` has
    what is to be said of the rows that were read; `origin` goes into the `meta.prompts` of each problem.
    Of `decide`, `template` and `sampling` a model that is measured takes what the user leaves open. `judged`
    are rewards besides, for where there is a model that judges. Whose way to ask and judge it is, `protocol`
    says: paper, official, or None for a source of the user's own.
    """

    name: str
    summary: str
    problems: Callable[..., Iterator[Record]]
    rewards: tuple[str, ...] = ("accuracy",)
    samples: int = 4
    splits: tuple[str, ...] = ()
    split: str | None = None
    settings: Mapping[str, type] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    origin: Mapping[str, Any] = field(default_factory=dict)
    judged: tuple[str, ...] = ()
    decide: tuple[str, ...] = ()
    template: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    protocol: str | None = None


@functools.cache
def names() -> tuple[str, ...]:
    """The benchmarks in stages/benchmarks/, found without importing them."""
    return tuple(
        sorted(
            path.stem
            for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py")
            if "\ndef problems(" in path.read_text("utf-8")
        )
    )


@functools.cache
def with_program() -> tuple[str, ...]:
    """The benchmarks that say how their own program asks and judges, found without importing them."""
    folder = Path(__file__).parents[1] / "benchmarks"
    return tuple(name for name in names() if "\nOFFICIAL" in (folder / f"{name}.py").read_text("utf-8"))


def load(
    name: str,
    *,
    reader: Reader | None = None,
    columns: tuple[str, ...] = (),
    revision: str | None = None,
) -> Benchmark:
    """The benchmark called `name`: one of `names()`, one with a task as `lm_eval:TASK`, a file, or a data set
    on the hub.

    `reader` and `columns` say how a file's or data set's rows are read, `revision` which of a data set's is.
    Raises UsageError for a name that is none of these and for a benchmark of the user's own that makes no
    sense, StreamError for a file that is not there.
    """
    reader = reader or Reader()
    head, _, task = name.partition(":")
    if head in names():
        module = importlib.import_module(f"stages.benchmarks.{head}")
        found = _from_module(name, module, task)
        return replace(found, protocol=found.protocol or PAPER)
    if name.lower().endswith(".toml"):
        return _declared(declared.read(name))
    if head.lower().endswith(".py"):
        return _from_file(name, head, task)
    if name in SUITES:
        raise UsageError(f"{name} is a suite, for `r1 eval --benchmark`; choose of {', '.join(SUITES[name])}")
    if name == "-" or (os.path.exists(name) and not os.path.isdir(name)):
        read = partial(_file_problems, name, reader, columns)
        return Benchmark(name, f"problems of {name}", read, notes=reader.notes)
    if os.path.islink(name) and not os.path.isdir(name):
        raise StreamError(f"cannot read {name}: it is a link to nothing")
    if name.lower().endswith(FILES):
        raise StreamError(f"cannot read {name}: no such file")
    if os.path.isdir(name):
        raise UsageError(f"{name} is a directory: name a file in it")
    on_hub = HUB.fullmatch(name)
    if on_hub:
        read = partial(_hub_problems, on_hub[1], on_hub[2], revision, reader)
        return Benchmark(name, f"data set {on_hub[1]} on the hub", read, notes=reader.notes)
    close = near(head, names())
    hint = f"did you mean {close[0]}? It is" if close else "choose"
    raise UsageError(
        f"no source {name!r}: {hint} one of {', '.join(names())}, a file, or OWNER/NAME on the hub"
    )


def official(name: str) -> Benchmark:
    """The benchmark as its own program asks and judges it.

    Raises UsageError for one that does not say how, and for all that are the user's own.
    """
    head, _, task = name.partition(":")
    if head not in with_program():
        has = "has no program of its own here" if head in names() else "says itself how it is asked"
        raise UsageError(f"--protocol official: {name} {has}; these have one: {', '.join(with_program())}")
    module = importlib.import_module(f"stages.benchmarks.{head}")
    said: Any = module.OFFICIAL
    fields = dict(said if isinstance(said, Mapping) else said.declared(head, task))
    preset = fields.pop("preset", {})
    if isinstance(said, Mapping):
        found = _from_module(name, module, task)
        fields["problems"] = partial(found.problems, **preset)
    else:
        found = Benchmark(name, (module.__doc__ or "").strip().partition("\n")[0], module.problems)
    return replace(found, **fields, protocol=OFFICIAL)


def open_problems(
    benchmark: Benchmark,
    *,
    split: str | None = None,
    data: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Record]:
    """Its problems; None takes its own split. Raises UsageError for an unknown split or setting."""
    options = dict(settings or {})
    for key in options:
        if key not in benchmark.settings:
            raise UsageError(_unknown(benchmark, key))
    if split is not None and benchmark.splits and split not in benchmark.splits:
        known = ", ".join(benchmark.splits)
        raise UsageError(f"{benchmark.name} has no split {split!r}: it has {known}")
    return benchmark.problems(split=split or benchmark.split, data=data, **options)


def take(
    benchmark: Benchmark,
    *,
    split: str | None = None,
    data: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    skip: int = 0,
    limit: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
) -> Iterator[Record]:
    """`limit` problems after the first `skip`, each with `meta.prompts` that says where it is from.

    `seed` names the order under `shuffle`, which reads all problems first, and the problems of a source
    that makes them; such a source makes no more than are taken.
    """
    options = dict(settings or {})
    if "seed" in benchmark.settings:
        options.setdefault("seed", seed)
    if "limit" in benchmark.settings and limit is not None:
        options.setdefault("limit", skip + limit)
    origin = {"source": benchmark.name, "split": split or benchmark.split, **benchmark.origin}
    if options:
        origin["settings"] = options
    problems = open_problems(benchmark, split=split, data=data, settings=options)
    if shuffle:
        every = list(problems)
        random.Random(seed_of("shuffle", seed)).shuffle(every)
        problems = iter(every)
        origin["shuffle"] = seed
    for record in itertools.islice(problems, skip, None if limit is None else min(skip + limit, sys.maxsize)):
        yield record.adding(meta=stamp(record, "prompts", **origin))


def parse_settings(benchmark: Benchmark, pairs: Iterable[str]) -> dict[str, Any]:
    """`KEY=VALUE` pairs of a command line, in the types that the benchmark declares."""
    made: dict[str, Any] = {}
    for pair in pairs:
        key, mark, text = pair.partition("=")
        key = key.replace("-", "_")
        if not mark:
            raise UsageError(f"--set {pair}: write KEY=VALUE")
        if key not in benchmark.settings:
            raise UsageError(_unknown(benchmark, key))
        if key in made:
            raise UsageError(f"--set {pair}: {key} is given twice")
        made[key] = typed(f"--set {key}", text, benchmark.settings[key])
    return made


def _unknown(benchmark: Benchmark, key: str) -> str:
    known = sorted(benchmark.settings)
    hint = nearest(key, known) or f"; it has {', '.join(known) or 'none'}"
    return f"{benchmark.name} has no setting {key!r}{hint}"


def _declared(file: declared.Declared) -> Benchmark:
    """The benchmark of a TOML file: its source, with what the file says besides."""
    path, source = file.path, _source_of(file)
    on_hub = HUB.fullmatch(source) is not None and source.startswith(ON_HUB)
    head = source.partition(":")[0]
    ours = head in names() or head.lower().endswith(".py")
    if file.revision is not None and not on_hub:
        raise UsageError(f"{path}: revision is of a data set on the hub; leave it out")
    if file.split is not None and not on_hub and not ours:
        raise UsageError(f"{path}: split is of a data set on the hub or a benchmark; a file has none")
    if ours and (file.mapping or file.columns):
        raise UsageError(f"{path}: map and columns are of a file or data set; {source} needs none")
    try:
        found = load(source, reader=Reader(file.mapping), columns=file.columns, revision=file.revision)
    except UsageError as error:
        raise UsageError(f"{path}: source: {error}") from None
    if file.split is not None and found.splits and file.split not in found.splits:
        raise UsageError(f"{path}: split: {source} has no {file.split!r}: it has {', '.join(found.splits)}")
    rewards = file.rewards or found.rewards
    _check_rewards(path, "rewards", rewards, "metric", file.metric)
    return replace(
        found,
        name=path,
        summary=f"the benchmark of {path}",
        rewards=rewards,
        samples=file.samples or found.samples,
        split=file.split or found.split,
        origin={
            "file": file.source,
            **({} if file.revision is None else {"revision": file.revision}),
        },
        decide=() if file.metric is None else (file.metric,),
        template=file.template or found.template,
        sampling={**found.sampling, **file.sampling},
        protocol=None,
    )


def _source_of(file: declared.Declared) -> str:
    """The source of a TOML file as `load` takes it: a benchmark of ours, a file beside it, or a data set."""
    source, here = file.source, file.beside(file.source)
    head, _, task = source.partition(":")
    if head in names():
        return f"{head}:{file.beside(task)}" if task.lower().endswith((".yaml", ".yml")) else source
    if source == "-" or source.lower().endswith(".toml"):
        raise UsageError(f"{file.path}: source is {source!r}, but must be problems: a file, or OWNER/NAME")
    if not os.path.lexists(here) and HUB.fullmatch(source) and not source.lower().endswith(FILES):
        return ON_HUB + source.removeprefix(ON_HUB)
    if not os.path.exists(here):
        raise StreamError(
            f"cannot read {here}: no such file; the source of {file.path} counts from its folder"
        )
    return here


def _check_rewards(
    place: str, key: str, specs: tuple[str, ...], decides: str = "", name: str | None = None
) -> None:
    """Raises UsageError, with place and key, for what is no reward, and for a deciding `name` of none."""
    # Here and not above: they take a quarter of a second.
    from stages.scoring.spec import check_names, parts

    try:
        given = parts(specs)
    except UsageError as error:
        raise UsageError(f"{place}: {str(error).replace('--reward', key, 1)}") from None
    if name is not None:
        check_names(f"{place}: {decides}", (name,), given)


def _from_file(name: str, path: str, task: str) -> Benchmark:
    """The benchmark of a user's Python file, which has the form of those in stages/benchmarks/."""
    from stages.scoring.spec import load_file

    module: Any = load_file(Path(path))
    if not inspect.isfunction(getattr(module, "problems", None)):
        raise UsageError(f"{path}: no function problems; write {FORM}")
    parameters = inspect.signature(module.problems).parameters
    for key in OWN:
        if key not in parameters or parameters[key].default is inspect.Parameter.empty:
            raise UsageError(f"{path}: problems has no {key}=None; write {FORM}")
    samples, rewards = (
        getattr(module, "SAMPLES", Benchmark.samples),
        getattr(module, "REWARDS", Benchmark.rewards),
    )
    if not isinstance(samples, int) or samples < 1:
        raise UsageError(f"{path}: SAMPLES is {samples!r}, but must be a whole number of at least 1")
    if not isinstance(rewards, (tuple, list)) or not all(isinstance(each, str) for each in rewards):
        raise UsageError(f'{path}: REWARDS is {rewards!r}, but must be texts, such as ("accuracy",)')
    try:
        found = _from_module(name, module, task)
    except R1Error:
        raise
    except Exception as error:
        raise UsageError(f"{path}: {type(error).__name__}: {said(error)}; write {FORM}") from error
    _check_rewards(path, "REWARDS", found.rewards)
    return replace(found, problems=partial(_guarded, path, found.problems))


def _guarded(path: str, problems: Callable[..., Iterator[Any]], /, **options: Any) -> Iterator[Record]:
    """The problems of a user's function as records. Raises UsageError where it fails."""
    try:
        for number, problem in enumerate(problems(**options)):
            if not isinstance(problem, dict):
                raise UsageError(f"{path}: problem {number} is {type(problem).__name__}; give dictionaries")
            place = getattr(problem, "place", "") or f"{path}[{number}]"
            yield Record({"id": f"{Path(path).stem}-{number}", **problem}, place=place)
    except R1Error:
        raise
    except Exception as error:
        raise UsageError(f"{path}: problems fails: {type(error).__name__}: {said(error)}") from error


def _from_module(name: str, module: Any, task: str) -> Benchmark:
    problems: Callable[..., Iterator[Record]] = module.problems
    parameters = inspect.signature(problems, eval_str=True).parameters
    head = name.partition(":")[0]
    if task and "task" not in parameters:
        raise UsageError(f"{head} has no tasks: write {head} instead of {name}")
    if task:
        problems = partial(problems, task=task)
    elif "task" in parameters and parameters["task"].default is inspect.Parameter.empty:
        raise UsageError(f"which task of {head}? Write {head}:TASK")
    settings = {
        key: _plain(
            type(parameter.default) if parameter.annotation is parameter.empty else parameter.annotation
        )
        for key, parameter in parameters.items()
        if key not in OWN and key != "task" and parameter.kind is parameter.KEYWORD_ONLY
    }
    if hasattr(module, "settings"):
        settings |= module.settings(task)
    made = Benchmark(
        name=name,
        summary=(module.__doc__ or "").strip().partition("\n")[0],
        problems=problems,
        rewards=tuple(getattr(module, "REWARDS", Benchmark.rewards)),
        judged=tuple(getattr(module, "JUDGED", ())),
        samples=getattr(module, "SAMPLES", Benchmark.samples),
        splits=tuple(getattr(module, "SPLITS", ())),
        split=parameters["split"].default,
        settings=settings,
    )
    return replace(made, **module.declared(task)) if hasattr(module, "declared") else made


def _plain(annotation: Any) -> type:
    """The first of str, int, float, bool in an annotation such as `int | None`."""
    for kind in getattr(annotation, "__args__", None) or (annotation,):
        if kind in (str, int, float, bool):
            return type(kind())
    return str


def _file_problems(
    path: str,
    reader: Reader,
    columns: tuple[str, ...],
    *,
    split: str | None,
    data: Path | None,
) -> Iterator[Record]:
    if split is not None:
        raise UsageError(f"{path} is a file, which has no splits: name none")
    return records_of(read_rows(path, columns=columns), stem=stem_of(path), reader=reader)


def _hub_problems(
    repository: str,
    config: str | None,
    revision: str | None,
    reader: Reader,
    *,
    split: str | None,
    data: Path | None,
) -> Iterator[Record]:
    rows = hub_rows(repository, config, split or "train", revision=revision)
    return records_of(rows, stem=f"{repository.rpartition('/')[2]}-{split or 'train'}", reader=reader)
