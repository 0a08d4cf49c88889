"""Benchmarks: one file each, with its problems, and the reward that decides.

A benchmark is a file here with a one-line docstring, `problems(*, split, data, …)` that yields records,
`REWARDS` (the first of them decides), `SAMPLES` (completions of a problem by default) and `SPLITS`.
Further keyword parameters of `problems` are its settings; where a task decides what they are, the file
has `settings(task)` as well.
Wherever a benchmark's name goes, a file of problems and a data set on the hub go too.
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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from stages.formats.rows import Reader, records_of
from stages.formats.sources import hub_rows
from stages.formats.tables import read_rows, stem_of
from stages.records.notes import Notes
from stages.records.record import Record, seed_of, stamp
from stages.runtime.errors import StreamError, UsageError, near, nearest
from stages.settings.options import typed

OWN = ("split", "data")  # parameters of `problems` that are no settings
# Neither `../data` nor `./data`: the library of the hub would read whatever it finds in such a folder.
HUB = re.compile(r"(?:hub:)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::([\w.-]+))?")
FILES = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".gz", ".zst")


@dataclass(frozen=True)
class Benchmark:
    """Problems and how they are judged.

    `split` is the one taken where none is named; `settings` are the types of further parameters; `notes` has
    what is to be said of the rows that were read.
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


def load(
    name: str,
    *,
    reader: Reader | None = None,
    columns: tuple[str, ...] = (),
) -> Benchmark:
    """The benchmark called `name`: one of `names()`, `reasoning_gym:TASK`, a file, or a hub data set.

    `reader` and `columns` say how a file's or data set's rows are read. Raises UsageError for a name
    that is none of these, StreamError for a file that is not there.
    """
    reader = reader or Reader()
    head, _, task = name.partition(":")
    if head in names():
        return _own(name, head, task)
    if name == "-" or (os.path.exists(name) and not os.path.isdir(name)):
        read = partial(_file_problems, name, reader, columns)
        return Benchmark(name, f"problems of {name}", read, notes=reader.notes)
    if os.path.islink(name) and not os.path.isdir(name):
        raise StreamError(f"cannot read {name}: it is a link to nothing")
    if name.lower().endswith(FILES):
        raise StreamError(f"cannot read {name}: no such file")
    if os.path.isdir(name):
        raise UsageError(f"{name} is a directory: name a file in it")
    found = HUB.fullmatch(name)
    if found:
        read = partial(_hub_problems, found[1], found[2], reader)
        return Benchmark(name, f"data set {found[1]} on the hub", read, notes=reader.notes)
    close = near(head, names())
    hint = f"did you mean {close[0]}? It is" if close else "choose"
    raise UsageError(
        f"no source {name!r}: {hint} one of {', '.join(names())}, a file, or OWNER/NAME on the hub"
    )


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
    origin: dict[str, Any] = {"source": benchmark.name, "split": split or benchmark.split}
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


def _own(name: str, module_name: str, task: str) -> Benchmark:
    module: Any = importlib.import_module(f"stages.benchmarks.{module_name}")
    problems: Callable[..., Iterator[Record]] = module.problems
    parameters = inspect.signature(problems, eval_str=True).parameters
    if task and "task" not in parameters:
        raise UsageError(f"{module_name} has no tasks: write {module_name} instead of {name}")
    if task:
        problems = partial(problems, task=task)
    elif "task" in parameters and parameters["task"].default is inspect.Parameter.empty:
        raise UsageError(f"which task of {module_name}? Write {module_name}:TASK")
    settings = {
        key: _plain(parameter.annotation)
        for key, parameter in parameters.items()
        if key not in OWN and key != "task" and parameter.kind is parameter.KEYWORD_ONLY
    }
    if hasattr(module, "settings"):
        settings |= module.settings(task)
    return Benchmark(
        name=name,
        summary=(module.__doc__ or "").strip().partition("\n")[0],
        problems=problems,
        rewards=tuple(module.REWARDS),
        samples=module.SAMPLES,
        splits=tuple(module.SPLITS),
        split=parameters["split"].default,
        settings=settings,
    )


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
    reader: Reader,
    *,
    split: str | None,
    data: Path | None,
) -> Iterator[Record]:
    rows = hub_rows(repository, config, split or "train")
    return records_of(rows, stem=f"{repository.rpartition('/')[2]}-{split or 'train'}", reader=reader)
