"""A task of lm-eval by its name, or by a YAML file of the user's own."""

from __future__ import annotations

import functools
import logging
import random
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import fields
from pathlib import Path
from typing import Any

from stages.runtime.errors import BadInput, Unavailable, UsageError, near, said

INSTALL = "pip install -c constraints.txt -e '.[lm-eval]'"
YAML = (".yaml", ".yml")
LOCAL = ("json", "csv", "parquet", "text", "arrow", "pandas", "xml")  # readers of files, no data sets
KINDS = ("generate_until", "multiple_choice", "loglikelihood")
NAME = re.compile(r"^[\"']?task[\"']?:([^\n]*)", re.MULTILINE)  # of the task of a YAML file
SEED = 0  # of what a task does by chance with its data: lm-eval's own
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
SHOWN = 3  # of a group's tasks, in a message

_JUDGES: dict[str, Any] = {}  # tasks that were built to judge


def is_file(task: str) -> bool:
    """Whether it names a file of the user's own, and no task of the package."""
    return task.lower().endswith(YAML)


@functools.lru_cache(maxsize=8)
def load(task: str) -> Any:
    """The task, with its data.

    Raises Unavailable where the package or the data cannot be had, UsageError for what is no task, or one
    that cannot be asked or judged here.
    """
    library()
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._factory import TaskFactory

    entry = _entry(task)
    try:
        found = TaskFactory().build(entry, registry={})
    except (ImportError, AssertionError) as error:  # with which tasks ask for a version
        raise Unavailable(f"lm_eval:{task} needs a library: {said(error)}") from error
    except StopIteration:
        raise UsageError(f"lm_eval:{task}: its data has no items") from None
    except Exception as error:  # the hub's client raises its transport's errors, which share no class
        source = (entry.cfg or {}).get("dataset_path")
        if is_file(task) and (source in LOCAL or not _of_the_hub(error)):
            raise UsageError(f"{task}: {type(error).__name__}: {said(error)}") from error
        raise Unavailable(
            f"cannot get the data of lm_eval:{task} ({source or 'its own'}): {said(error)}; it takes the "
            "hub, or a YAML file of your own over a local copy"
        ) from error
    if not isinstance(found, ConfigurableTask):
        raise UsageError(f"lm_eval:{task} is a class that asks a model in a way of its own; not here")
    _refuse(task, found.config.to_dict())
    if type(found.config.repeats) is not int:
        raise UsageError(f"lm_eval:{task}: repeats is {found.config.repeats!r}, but must be a whole number")
    return found


@functools.lru_cache(maxsize=64)
def _entry(task: str) -> Any:
    """What the package, or the file, says of the task. UsageError for what is none, or not for here."""
    entry = _own(task) if is_file(task) else _published(task)
    if str(entry.kind.name) == "GROUP":
        raise UsageError(_several(task, _members(entry)))
    _refuse(task, entry.cfg)
    return entry


def config(task: str) -> Any:
    """What the task says of itself; its data is not read."""
    library()
    from lm_eval.config.task import TaskConfig

    known = {each.name for each in fields(TaskConfig)}
    return TaskConfig(**{key: value for key, value in deepcopy(_entry(task).cfg).items() if key in known})


def over(task: str, rows: Mapping[str, Sequence[Mapping[str, Any]]], place: str) -> Any:
    """The task of the package over these rows by their splits, in place of the data that it names.

    Raises BadInput, which names the `place` of the rows, where it cannot be asked of them.
    """
    settings = config(task)
    changed = {name: None for name in SPLITS if getattr(settings, name) not in rows}
    return _built(task, rows, changed, place)


def judge(task: str, row: Mapping[str, Any]) -> Any:
    """The task of the package as what judges answers to its items, of which `row` is one; no data is read."""
    if task not in _JUDGES:
        changed = dict.fromkeys((*SPLITS, "process_docs", "fewshot_config", "num_fewshot"))
        _JUDGES[task] = _built(task, {"test": [row]}, {**changed, "test_split": "test"}, "the record's row")
    return _JUDGES[task]


def _built(
    task: str, rows: Mapping[str, Sequence[Mapping[str, Any]]], changed: Mapping[str, Any], place: str
) -> Any:
    library()
    import datasets  # type: ignore[import-untyped]
    from lm_eval.tasks._factory import TaskFactory

    entry, state = _entry(task), random.getstate()
    random.seed(SEED)  # some put the options of a question in an order by chance
    try:
        made = {split: datasets.Dataset.from_list(list(map(dict, each))) for split, each in rows.items()}
        overrides = {**changed, "dataset_kwargs": None, "custom_dataset": lambda **_: made}
        return TaskFactory().build(entry, overrides=overrides, registry={})
    except (ImportError, AssertionError) as error:  # with which tasks ask for a version
        raise Unavailable(f"lm_eval:{task} needs a library: {said(error)}") from error
    except Exception as error:  # of the columns, and of the task's templates and functions on them
        what = f"lm_eval:{task} does not read it: {type(error).__name__}: {said(error)}"
        raise BadInput(what, place=place, remedy="take the published file") from error
    finally:
        random.setstate(state)


def library() -> Any:
    """The package. Raises Unavailable where it is not installed."""
    try:
        import datasets
        import lm_eval
    except ImportError as error:
        if error.name not in ("lm_eval", "datasets"):
            raise Unavailable(f"lm-eval cannot be loaded: {said(error)}", install=INSTALL) from error
        raise Unavailable("lm_eval tasks need lm-eval", install=INSTALL) from None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    return lm_eval


def _refuse(task: str, settings: Mapping[str, Any]) -> None:
    """Raises UsageError for a task of a kind that is not for here."""
    if settings.get("output_type", KINDS[0]) not in KINDS and "class" not in settings:
        raise UsageError(
            f"lm_eval:{task} is {settings['output_type']}; r1 asks tasks that are {' or '.join(KINDS)}"
        )
    if settings.get("unsafe_code"):
        raise UsageError(
            f"lm_eval:{task} runs a model's programs without a sandbox; take humaneval or mbpp of r1"
        )
    if settings.get("doc_to_image") or settings.get("doc_to_audio"):
        raise UsageError(f"lm_eval:{task} shows images or sound; r1 asks in words")


def _own(task: str) -> Any:
    from lm_eval.tasks._index import TaskIndex
    from lm_eval.tasks._yaml_loader import load_yaml

    path = Path(task)
    if not path.is_file():
        raise UsageError(f"lm_eval:{task}: no such file")
    try:
        entry = TaskIndex.entry_from_path(path)
        if entry is not None:
            entry.cfg = load_yaml(path, resolve_func=False)
    except Exception as error:  # of YAML, of a template's name, of a form that lm-eval does not know
        raise UsageError(f"{task}: {said(error)}") from error
    if entry is None:
        raise UsageError(f"{task}: no key task: it names the task")
    return entry


def _published(task: str) -> Any:
    """The package's task. Its index of all takes seconds, so first files are read for the name alone."""
    from lm_eval.tasks._index import TaskIndex
    from lm_eval.tasks._yaml_loader import load_yaml

    for path in _named().get(task, ()):
        entry = TaskIndex.entry_from_path(path)
        if entry is not None and entry.name == task:
            entry.cfg = load_yaml(path, resolve_func=False)
            return entry
    return _indexed(task)


@functools.cache
def _named() -> dict[str, list[Path]]:
    """The files of the package that have a line with the name of a task."""
    found: dict[str, list[Path]] = {}
    root = Path(library().__file__).parent / "tasks"
    for path in sorted(root.glob("**/*.yaml"), key=Path.as_posix):
        for name in NAME.findall(path.read_text("utf-8", "ignore")):
            found.setdefault(name.partition("#")[0].strip(" \t\"'"), []).append(path)
    return found


def _indexed(task: str) -> Any:
    """The entry of the whole index. Raises UsageError for a name of several tasks, or of none."""
    index = _index()
    entry = index.get(task)
    if entry is None:
        meant = near(task, index, SHOWN)
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        raise UsageError(f"lm-eval has no task {task!r}{hint}")
    if entry.yaml_path is None:
        raise UsageError(_several(task, sorted(entry.tags)))
    return entry


@functools.cache
def _index() -> Mapping[str, Any]:
    """All tasks and groups by their names, which takes seconds."""
    from lm_eval.tasks import TaskManager

    return dict(TaskManager().task_index)


def _members(entry: Any) -> list[str]:
    given = (entry.cfg or {}).get("task")
    found = [
        each.get("task") or each.get("group") if isinstance(each, dict) else each for each in given or ()
    ]
    return [each for each in found if isinstance(each, str)]


def _several(task: str, members: list[str]) -> str:
    shown = ", ".join(members[:SHOWN]) + (", …" if len(members) > SHOWN else "")
    return f"lm_eval:{task} is several tasks: name one of them: {shown}"


def _of_the_hub(error: Exception) -> bool:
    """Whether the data is somewhere else, and cannot be reached."""
    import datasets

    return isinstance(error, (ConnectionError, datasets.exceptions.DatasetNotFoundError)) or (
        type(error).__module__.partition(".")[0] in ("httpx", "huggingface_hub", "requests")
    )
