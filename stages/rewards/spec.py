"""`--reward NAME[:option=value[,option=value]…][*weight]`: from its text to a function and options.

NAME is a file of this room, `./mine.py:function` from anywhere, or `trl:module.function` for one that
is written for TRL. A function whose first parameter is called `group` takes all records of a problem,
`scored` a record with its other rewards, `batch` up to 64 records of any problems; any other takes one as it came.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import math
import re
import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, Literal

from stages.data.errors import UsageError
from stages.data.record import digest
from stages.rewards import trl

SPEC = re.compile(
    r"(?P<name>trl:(?!.*\.py:)[\w.]+|(?:.*\.py:\w+)|[\w-]+)(?::(?P<options>.*?))?(?:\*(?P<weight>[^*]*))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Part:
    """One reward of a run. `quick` gives the verdict in this process or None; the pool runs the rest."""

    text: str
    name: str
    weight: float
    options: dict[str, Any]
    function: Callable[..., Any]
    quick: Callable[..., Any] | None
    prepare: Callable[[], None] | None
    deadline: float | None  # seconds, where it keeps clocks of its own and --timeout is not for it
    group: bool
    batch: bool
    after: bool  # wants the record's other rewards
    foreign: bool  # a user's own file: always in the pool, under the deadline
    source: str  # digest of a user's file; "" for a reward of this room

    @property
    def many(self) -> bool:
        """Whether it takes a list of records and returns one of verdicts."""
        return self.group or self.batch

    @property
    def pooled(self) -> bool:
        """Whether some of its work may need a worker process."""
        return self.foreign or self.quick is not None


def names() -> list[str]:
    """The rewards of this room: files that hold a function of their own name."""
    return sorted(
        path.stem
        for path in Path(__file__).parent.glob("*.py")
        if re.search(rf"^def {re.escape(path.stem)}\(", path.read_text("utf-8"), re.MULTILINE)
    )


def parts(specs: Sequence[str]) -> list[Part]:
    """The rewards that `specs` name. Raises UsageError for one that makes no sense."""
    found = [part(spec) for spec in specs]
    if not found:
        raise UsageError("no reward: give --reward NAME at least once")
    seen: set[str] = set()
    for each in found:
        if each.name in seen:
            raise UsageError(f"--reward {each.text}: {each.name} is given twice")
        seen.add(each.name)
    return found


def part(spec: str) -> Part:
    """One `--reward`, resolved."""
    match = SPEC.fullmatch(spec.strip())
    if match is None:
        raise UsageError(f"--reward {spec!r}: write NAME[:option=value,...][*weight]")
    name = match["name"]
    source = ""
    if name.startswith("trl:"):
        return _foreign_trl(spec, name.removeprefix("trl:"), match["options"], match["weight"])
    if ".py:" in name:
        path, _, attribute = name.rpartition(":")
        module = _load(Path(path), spec)
        source = digest(Path(path).read_text("utf-8"))
    else:
        attribute = name.replace("-", "_")
        if attribute not in names():
            raise UsageError(f"--reward {spec}: no reward {name!r}{_nearest(name, names())}")
        module = importlib.import_module(f"stages.rewards.{attribute}")
    function = getattr(module, attribute, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise UsageError(f"--reward {spec}: no function {attribute!r}{_nearest(attribute, own)}")
    first = next(iter(inspect.signature(function).parameters), "")
    options = _options(spec, function, match["options"])
    own_clock = getattr(module, "deadline", None)
    return Part(
        text=spec,
        name=attribute,
        weight=_weight(spec, match["weight"], getattr(module, "WEIGHT", 1.0)),
        options=options,
        function=function,
        quick=None if source else getattr(module, "quick", None),
        prepare=getattr(module, "prepare", None),
        deadline=None if source or own_clock is None else own_clock(**options),
        group=first == "group",
        batch=first == "batch",
        after=first in ("group", "scored"),
        foreign=bool(source),
        source=source,
    )


def _foreign_trl(spec: str, name: str, options: str | None, weight: str | None) -> Part:
    """A reward function that is written for TRL; its options rename fields."""
    if ".py:" in name:
        path, _, attribute = name.rpartition(":")
        function, file = getattr(_load(Path(path), spec), attribute, None), path
        if not callable(function):
            raise UsageError(f"--reward {spec}: {path} has no function {attribute!r}")
    else:
        function, file = trl.load(name, spec)
        attribute = name.rpartition(".")[2]
    renamed = dict(_assignment(spec, each) for each in (options or "").split(",") if each)
    return Part(
        text=spec,
        name=attribute,
        weight=_weight(spec, weight, 1.0),
        options={},
        function=trl.adapted(function, renamed),
        quick=None,
        prepare=None,
        deadline=None,
        group=True,
        batch=False,
        after=True,
        foreign=True,
        source=digest(Path(file).read_text("utf-8")) if file else digest(name),
    )


def _assignment(spec: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--reward {spec}: write {key.strip()}=VALUE")
    return key.strip(), value


def _weight(spec: str, text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise UsageError(f"--reward {spec}: the weight {text!r} is not a number")
    return weight


def _load(path: Path, spec: str) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"--reward {spec}: no file {path}")
    name = f"r1_reward_{digest(str(path.resolve()))}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise UsageError(f"--reward {spec}: {path} is no Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"--reward {spec}: {path} fails: {type(error).__name__}: {error}"
        ) from error
    return module


def _options(spec: str, function: Callable[..., Any], text: str | None) -> dict[str, Any]:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    allowed = {each.name: each for each in parameters if each.kind is not each.VAR_KEYWORD}
    hints = typing.get_type_hints(function)
    options: dict[str, Any] = {}
    for assignment in (text or "").split(","):
        if not assignment:
            continue
        key, value = _assignment(spec, assignment)
        key = key.replace("-", "_")
        if key not in allowed:
            near = _nearest(key, list(allowed))
            raise UsageError(f"--reward {spec}: no option {key!r}{near}")
        options[key] = _typed(spec, key, value, hints.get(key, str))
    missing = [n for n, each in allowed.items() if each.default is each.empty and n not in options]
    if missing:
        raise UsageError(f"--reward {spec}: needs {missing[0]}=VALUE")
    return options


def _typed(spec: str, key: str, value: str, hint: Any) -> Any:
    """`value` as the type that the function declares: str, int, float, bool, Literal, `| None`."""
    choices = [each for each in typing.get_args(hint) if each is not NoneType]
    if typing.get_origin(hint) is Literal:
        if value not in choices:
            raise UsageError(
                f"--reward {spec}: {key} must be one of {', '.join(map(str, choices))}"
            )
        return value
    if choices:
        return None if value == "none" else _typed(spec, key, value, choices[0])
    try:
        if hint is bool:
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        return hint(value) if hint in (int, float) else value
    except (ValueError, KeyError):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[hint]
        raise UsageError(f"--reward {spec}: {key}={value} must be {kind}") from None


def _nearest(name: str, among: list[str]) -> str:
    close = difflib.get_close_matches(name, among, 1, 0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there is {', '.join(among)}" if among else ""
