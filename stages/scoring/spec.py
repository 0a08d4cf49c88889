"""`--reward 'NAME[:option=value[,option=value]…][*weight][ as WORD][ if CONDITION]'`: from its text to a
function and options.

WORD is what the reward is called in the records, in place of its own name; CONDITION says which problems it
is for (condition.py). NAME is a file of stages/rewards/, or a function of yours: `./mine.py:function`,
`trl:module.function`. One that takes TRL's lists is told by its parameters (trl.py). Of the others a first
parameter called `group` takes all records of a problem, `scored` a record with its other rewards, `batch` up
to 64 records of any problems; any other takes one as it came.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from stages.records.record import Record, digest
from stages.runtime.errors import UsageError, nearest
from stages.scoring import trl
from stages.scoring.condition import STEP, Condition
from stages.settings.options import Range, refuse_password, typed

SPEC = re.compile(
    r"(?P<name>trl:(?!.*\.py:)[\w.]+|(?:.*\.py:\w+)|[\w-]+)(?::(?P<options>.*?))?(?:\*(?P<weight>[^*]*))?",
    re.DOTALL,
)
AS = re.compile(r"\sas\s+([A-Za-z_]\w*)$")
IF = re.compile(r"\sif\s")

FORM = "NAME[:option=value,...][*weight][ as WORD][ if CONDITION]"
WEIGHTS = Range(low=-(10**9), high=10**9)


@dataclass(frozen=True)
class Part:
    """One reward of a run. `quick` gives the verdict in this process or None; the pool runs the rest."""

    text: str
    name: str
    weight: float
    function: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    quick: Callable[..., Any] | None = None
    prepare: Callable[[], None] | None = None
    again: Callable[..., Any] | None = None  # what a model is asked after a completion that was judged
    deadline: float | None = None  # seconds, where it keeps clocks of its own and --timeout is not for it
    group: bool = False
    batch: bool = False
    after: bool = False  # wants the record's other rewards
    turns: bool = False  # wants a completion of several turns as it is, not as one text
    custom: bool = False  # a user's own file: always in the pool, under the deadline
    source: str = ""  # digest of a user's file; "" for a reward of this room
    condition: Condition | None = None  # None: it holds for all

    def holds(self, record: Record, step: int | None = None) -> bool:
        """Whether it is for the record, at that step of training."""
        return self.condition is None or self.condition(record, step)

    @property
    def many(self) -> bool:
        """Whether it takes a list of records and returns one of verdicts."""
        return self.group or self.batch

    @property
    def pooled(self) -> bool:
        """Whether some of its work may need a worker process."""
        return self.custom or self.quick is not None


@functools.cache
def names() -> list[str]:
    """The rewards in stages/rewards/: files that hold a function of their own name."""
    return sorted(
        path.stem
        for path in (Path(__file__).parents[1] / "rewards").glob("*.py")
        if re.search(rf"^def {re.escape(path.stem)}\(", path.read_text("utf-8"), re.MULTILINE)
    )


def overall(name: str, mean: float, parts: Mapping[str, float]) -> Mapping[str, float]:
    """The figures that a reward of this room makes of its mean and those of its parts; mostly none."""
    made = getattr(importlib.import_module(f"stages.rewards.{name}"), "overall", None)
    return {} if made is None else dict(made(mean, parts))


def parts(specs: Sequence[str], *, scheduled: bool = False) -> list[Part]:
    """The rewards that `specs` name. Raises UsageError for one that makes no sense.

    Only where they are `scheduled` may one hang on the step of a run.
    """
    found = [part(spec) for spec in specs]
    if not found:
        raise UsageError("no reward: name at least one")
    seen: set[str] = set()
    for each in found:
        if each.name in seen:
            raise UsageError(f"--reward {each.text}: {each.name} is given twice; call one `as` another word")
        seen.add(each.name)
        if each.condition is not None and each.condition.timed and not scheduled:
            raise UsageError(f"--reward {each.text}: only the training of r1 grpo has a {STEP}")
    return found


def held(given: Sequence[Part], record: Record, step: int | None = None) -> bool:
    """Whether a reward that counts holds for the record; where none counts, nothing has to."""
    counting = [part for part in given if part.weight]
    return not counting or any(part.holds(record, step) for part in counting)


def check_names(flag: str, names: Sequence[str], given: Sequence[Part]) -> None:
    """Raises UsageError for a name that is of none of the rewards, nor of a part of one."""
    known = [part.name for part in given]
    for name in names:
        if name.partition("/")[0] not in known:
            raise UsageError(f"{flag} {name}: the rewards are {', '.join(known)}; name one of them")


def unheld(given: Sequence[Part], step: int | None = None) -> tuple[str, str]:
    """What is wrong with a record for which no reward holds, and what to do."""
    conditions = "; ".join(part.text for part in given if part.weight)
    when = "" if step is None else f" at step {step}"
    remedy = "give it a reward, or leave it out (r1 filter --where)"
    return f"no reward holds for it{when}: {conditions}", remedy


def part(spec: str) -> Part:
    """One `--reward`, resolved."""
    if "://" in spec:
        refuse_password("--reward …:url", spec)
    reward, *condition = IF.split(spec.strip(), maxsplit=1)
    word = AS.search(reward := reward.strip())
    match = SPEC.fullmatch(reward[: word.start()].rstrip() if word else reward)
    if match is None:
        raise UsageError(f"--reward {spec!r}: write {FORM}")
    found = _function(spec, match)
    return dataclasses.replace(
        found,
        name=word[1] if word else found.name,
        condition=Condition(condition[0], spec) if condition else None,
    )


def _function(spec: str, match: re.Match[str]) -> Part:
    """The function that is named, with its options and weight."""
    name = match["name"]
    if name.startswith("trl:") or ".py:" in name:
        return _of_user(spec, match)
    attribute = name.replace("-", "_")
    if attribute not in names():
        raise UsageError(f"--reward {spec}: no reward {name!r}{_nearest(name, names())}")
    module = importlib.import_module(f"stages.rewards.{attribute}")
    made = _of_record(spec, match, getattr(module, attribute), module)
    own_clock = getattr(module, "deadline", None)
    return dataclasses.replace(
        made,
        quick=getattr(module, "quick", None),
        again=getattr(module, "again", None),
        turns=getattr(module, "TURNS", False),
        deadline=None if own_clock is None else own_clock(**made.options),
    )


def _of_user(spec: str, match: re.Match[str]) -> Part:
    """A function of the user's: one for records, or one for lists as TRL's, which its parameters tell."""
    name, module = match["name"].removeprefix("trl:"), None
    if ".py:" in name:
        file, _, attribute = name.rpartition(":")
        module = load_file(Path(file), f"--reward {spec}: ")
        function = getattr(module, attribute, None)
        if not callable(function):
            own = [key for key, value in vars(module).items() if inspect.isfunction(value)]
            raise UsageError(f"--reward {spec}: no function {attribute!r}{_nearest(attribute, own)}")
    else:
        function, file = trl.load(name, spec)
        attribute = name.rpartition(".")[2]
    source = digest(Path(file).read_bytes().decode("latin-1") if file else name)  # whatever its encoding
    if trl.is_theirs(function, attribute, spec):
        options = _assignments(spec, match["options"])
        return Part(
            text=spec,
            name=attribute,
            weight=_weight(spec, match["weight"], 1.0),
            function=trl.adapted(function, options, spec),
            group=True,
            after=True,
            turns=True,
            custom=True,
            source=source,
        )
    if match["name"].startswith("trl:"):
        raise UsageError(
            f"--reward {spec}: it takes {inspect.signature(function)}, and a function for TRL takes "
            f"{trl.THEIRS}; for records give {file or 'FILE.py'}:{attribute}, and what makes a reward is "
            "called in a file of yours"
        )
    made = _of_record(spec, match, function, module)
    return dataclasses.replace(made, name=attribute, custom=True, source=source)


def _of_record(
    spec: str, match: re.Match[str], function: Callable[..., Any], module: ModuleType | None
) -> Part:
    """A function whose first parameter is a record, or a list of records."""
    name = getattr(function, "__name__", match["name"])
    try:
        first = next(iter(inspect.signature(function).parameters), "")
        typing.get_type_hints(function)
    except Exception as error:  # annotations are code of the user's
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"--reward {spec}: cannot read the parameters of {name}: {why}") from error
    return Part(
        text=spec,
        name=name,
        weight=_weight(spec, match["weight"], getattr(module, "WEIGHT", 1.0)),
        options=arguments(function, _options(spec, function, match["options"])),
        function=function,
        prepare=getattr(module, "prepare", None),
        group=first == "group",
        batch=first == "batch",
        after=first in ("group", "scored"),
    )


def _assignments(spec: str, text: str | None) -> dict[str, str]:
    """The options as they are written, by name."""
    given: dict[str, str] = {}
    for each in filter(None, (text or "").split(",")):
        key, equals, value = each.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"--reward {spec}: write {key}=VALUE")
        if key in given:
            raise UsageError(f"--reward {spec}: {key} is given twice")
        given[key] = value
    return given


def _weight(spec: str, text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        weight = float(text)
    except ValueError:
        raise UsageError(f"--reward {spec}: the weight {text!r} is not a number") from None
    WEIGHTS.refuse(f"--reward {spec}: the weight", weight)
    return weight


class FromSource(SourceFileLoader):
    """Compiles a file as it is now, and leaves no bytecode beside it."""

    def get_code(self, fullname: str) -> CodeType:
        """Its code."""
        return self.source_to_code(self.get_data(self.path), self.path)


def load_file(path: Path, told: str = "") -> ModuleType:
    """A Python file of the user's, run. Raises UsageError, beginning with `told`, where it fails."""
    if not os.path.isfile(path):
        raise UsageError(f"{told}no file {path}")
    name = f"r1_file_{digest(str(path.resolve()))}"
    loader = FromSource(name, str(path))
    found = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert found is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{told}{path} fails: {type(error).__name__}: {error}") from error
    return module


class Option(NamedTuple):
    """`group` is the parameter that holds it as a field; "" where it is a parameter itself."""

    type: Any
    needed: bool
    group: str = ""


def declared(function: Callable[..., Any]) -> dict[str, Option]:
    """The options of a reward by name: its parameters, and in place of a dataclass the fields of that."""
    hints = typing.get_type_hints(function, include_extras=True)
    options: dict[str, Option] = {}
    for each in list(inspect.signature(function).parameters.values())[1:]:
        hint = hints.get(each.name, str)
        needed = each.default is each.empty
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            types = typing.get_type_hints(hint, include_extras=True)
            for part in dataclasses.fields(hint):
                unset = part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING
                options[part.name] = Option(types[part.name], needed and unset, each.name)
        elif each.kind is not each.VAR_KEYWORD:
            options[each.name] = Option(hint, needed)
    return options


def arguments(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name as the function takes them: those that are fields within their dataclasses."""
    known, parameters = declared(function), inspect.signature(function).parameters
    taken = {name: value for name, value in options.items() if not known[name].group}
    for group in dict.fromkeys(each.group for each in known.values() if each.group):
        fields = {name: value for name, value in options.items() if known[name].group == group}
        default = parameters[group].default
        if default is not inspect.Parameter.empty:
            taken[group] = dataclasses.replace(default, **fields)
        else:
            taken[group] = typing.get_type_hints(function)[group](**fields)
    return taken


def _options(spec: str, function: Callable[..., Any], text: str | None) -> dict[str, Any]:
    allowed = declared(function)
    options: dict[str, Any] = {}
    for key, value in _assignments(spec, text).items():
        if key not in allowed:
            near = _nearest(key, list(allowed))
            raise UsageError(f"--reward {spec}: no option {key!r}{near}")
        options[key] = typed(f"--reward {spec}: {key}", value, allowed[key].type)
    missing = [n for n, each in allowed.items() if each.needed and n not in options]
    if missing:
        lists = f"; a function that takes fields and no record is {trl.THEIRS}" if ".py:" in spec else ""
        raise UsageError(f"--reward {spec}: needs {missing[0]}=VALUE{lists}")
    return options


def _nearest(name: str, among: list[str]) -> str:
    return nearest(name, among) or (f"; there is {', '.join(among)}" if among else "")
