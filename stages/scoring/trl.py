"""Reward functions as TRL's trainers take them, unchanged: `trl:module.function` or `./mine.py:function`.

Such a function gets `prompts`, `completions`, `completion_ids` and each other field of the records as a
list, and returns for each completion a number, a dict of parts, or None where it does not apply. It is given
all records of a problem at once, since it may compare them. Chat prompts make chat completions, as there.
What it says to `log_extra` and `log_metric` becomes parts of its reward. Options rename fields to what the
function calls them, `trl:rewards.accuracy_reward:solution=answer`, or set a parameter with a default.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from typing import Any

from stages.records.record import bad_record, need
from stages.records.verdict import Counts, Verdict, verdict_of
from stages.runtime.errors import UsageError
from stages.settings.options import typed

LISTS = ("prompts", "completions", "completion_ids")
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
FIELDS = ("prompt", "completion", "answer")  # of a record; nothing calls a function with one of them
NOT_APPLICABLE = "not applicable: the function gave None"
OURS = "`def fn(record, *, option=default)`"
THEIRS = "`def fn(prompts, completions, **columns)`"


def load(path: str, spec: str) -> tuple[Callable[..., Any], str]:
    """The function that `module.function` names, and the file it is from. Raises UsageError."""
    module, _, attribute = path.rpartition(".")
    if not module:
        raise UsageError(f"--reward {spec}: write trl:MODULE.FUNCTION")
    here = os.getcwd()
    # Last, so that a file of the user's folder never stands in for a library.
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:
        raise UsageError(
            f"--reward {spec}: importing {module} fails: {type(error).__name__}: {error}"
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    if not callable(found):
        raise UsageError(f"--reward {spec}: {module} has no function {attribute!r}")
    try:
        file = inspect.getsourcefile(inspect.unwrap(found))
    except TypeError:  # an object that can be called
        file = getattr(sys.modules[module], "__file__", None)
    return found, file or ""


def is_theirs(function: Callable[..., Any], name: str, spec: str) -> bool:
    """Whether it takes TRL's lists, and not one record or a list of records. Raises UsageError for neither.

    TRL's has a parameter that is called as one of its lists, or begins with `**`.
    """
    try:
        given = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:  # a builtin, or no function
        raise UsageError(f"--reward {spec}: cannot read the parameters of {name}: {error}") from error
    first = given[0] if given else None
    if first is not None and (first.kind is first.VAR_KEYWORD or first.name in LISTS):
        return True
    if any(each.name in LISTS and each.default is each.empty for each in given):
        return True
    positional = first is not None and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
    alone = all(each.default is not each.empty or each.kind in VARIABLE for each in given[1:])
    if first is None or not positional or (_is_field(first) and alone):
        raise UsageError(
            f"--reward {spec}: it takes {inspect.signature(function)}, which is neither a record as in "
            f"{OURS} nor lists as in TRL's {THEIRS}; call its first parameter record or completions"
        )
    return False


def _is_field(parameter: inspect.Parameter) -> bool:
    return parameter.name in FIELDS or parameter.annotation in (str, "str")


def awaited(result: Any) -> Any:
    """What a function returned, or what its coroutine comes to."""
    if not inspect.isawaitable(result):
        return result
    import asyncio

    async def waited() -> Any:
        return await result

    return asyncio.run(waited())


def listed(result: Any, count: int) -> list[Any]:
    """What a function of `count` completions returned. Raises TypeError, ValueError but for a value each."""
    if not isinstance(result, Iterable) or isinstance(result, (str, Mapping)):
        raise TypeError(f"it returned {type(result).__name__}, not a list with a number for each completion")
    values = list(result)
    if len(values) != count:
        raise ValueError(f"it returned {len(values)} values for {count} completions")
    return values


def adapted(function: Callable[..., Any], options: Mapping[str, str], spec: str) -> Callable[..., Any]:
    """`function` as a group reward of this program. Raises UsageError for an option it cannot have."""
    set_, renamed = {}, {}
    parameters = inspect.signature(function).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name, text in options.items():
        if name not in parameters and not takes_all:
            raise UsageError(
                f"--reward {spec}: no parameter {name!r}; it takes {inspect.signature(function)}"
            )
        default = getattr(parameters.get(name), "default", None)
        if type(default) in (int, float, bool):  # a column would be a list
            set_[name] = typed(f"--reward {spec}: {name}", text, type(default))
        else:
            renamed[name] = text
    return partial(_judge, partial(function, **set_) if set_ else function, renamed)


@dataclass
class Log:
    """What a function logs while it judges so many completions: figures, and columns with a cell for each."""

    count: int
    figures: dict[str, list[float]] = field(default_factory=dict)
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def log_metric(self, name: str, value: float) -> None:
        """As TRL's: the mean of what was given under a name counts."""
        self.figures.setdefault(name, []).append(float(value))

    def log_extra(self, column: str, values: Iterable[Any]) -> None:
        """As TRL's: one value for each completion."""
        cells = self.columns.setdefault(column, [])
        cells.extend(values)
        if len(cells) != self.count:
            raise ValueError(f"log_extra({column!r}) has {len(cells)} values for {self.count} completions")

    def beside(self, verdict: Verdict | Counts, k: int) -> Verdict | Counts:
        """The verdict of completion k with what was logged: numbers as parts, all else in the reason."""
        parts: dict[str, float | None] = {
            name: sum(values) / len(values) for name, values in self.figures.items()
        }
        reason = verdict.reason
        for column, cells in self.columns.items():
            if isinstance(cells[k], Real):
                parts[column] = float(cells[k])
            elif cells[k] is not None:
                reason += f"{'; ' * bool(reason)}{column}: {cells[k]}"
        if isinstance(verdict, Counts):
            parts |= verdict.parts
        return Counts(verdict.value, reason, parts) if parts else Verdict(verdict.value, reason)


def _judge(
    function: Callable[..., Any], renamed: dict[str, str], group: list[dict[str, Any]]
) -> list[Verdict | Counts]:
    """One verdict for each record. Raises BadInput where a field is missing that the function needs."""
    log = Log(len(group))
    values = listed(awaited(function(**_arguments(function, renamed, group, log))), len(group))
    verdicts = [Verdict(None, NOT_APPLICABLE) if each is None else verdict_of(each) for each in values]
    return [log.beside(verdict, k) for k, verdict in enumerate(verdicts)]


def _arguments(
    function: Callable[..., Any], renamed: dict[str, str], group: list[dict[str, Any]], log: Log
) -> dict[str, Any]:
    """What TRL would pass: lists over the completions, by name, and what it logs with."""
    fields = list(dict.fromkeys(name for each in group for name in each))
    given: dict[str, Any] = {
        "prompts": [each.get("prompt") for each in group],
        "completions": [_said(each) for each in group],
        "log_metric": log.log_metric,
        "log_extra": log.log_extra,
    }
    for name in fields:
        if name == "completion_ids" and not all(name in each for each in group):
            continue
        if name not in ("prompt", "completion", *given):
            given[name] = [each.get(name) for each in group]
    for name, source in renamed.items():
        if source not in fields:
            what = f"no field {source!r}, which is to be the function's {name!r}"
            raise bad_record(group[0], what, f"it has {', '.join(fields)}")
        given[name] = [each.get(source) for each in group]
    parameters = inspect.signature(function).parameters.values()
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        given = {each.name: given[each.name] for each in parameters if each.name in given}
    for each in parameters:
        named = each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        if named and each.default is each.empty and each.name not in given:
            raise bad_record(
                group[0],
                f"the reward function needs a field {each.name!r}",
                f"name the field that it is here, such as :{each.name}=answer after the function",
            )
    return given


def _said(record: dict[str, Any]) -> Any:
    """The completion as TRL has it: messages where the prompt is messages, else a text."""
    said = need(record, "completion", (str, list), "rewards judge completions: run r1 generate first")
    if isinstance(said, str) and isinstance(record.get("prompt"), list):
        return [{"role": "assistant", "content": said}]
    return said
