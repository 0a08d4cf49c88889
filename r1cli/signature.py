"""What a stage's signature says, in plain data: the one source of its flags, its help and its config keys.

`describe` reads `run` once. The command, the TOML configuration, the help text and the contract
tests all work from the `Stage` it returns, so that an option is declared in one place only.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from stages.data.checkpoint import Checkpoint
from stages.data.options import FINITE, Doc, Flag, Range, range_of
from stages.data.results import Results

REQUIRED: Any = inspect.Parameter.empty
INJECTED = frozenset({"report", "journal", "resume"})
OPTIONS = "Options"
SCALARS = (str, int, float, bool, Path)

Product = Literal["records", "checkpoint", "results", "nothing"]


@dataclass(frozen=True)
class Option:
    """One option or plain argument of a stage.

    `base` is str, int, float, bool, Path or a Literal of strings; `group` is the parameter of `run`
    whose dataclass holds the field, or None where the option is a parameter itself.
    """

    name: str
    base: Any
    repeatable: bool
    optional: bool
    default: Any
    help: str
    flags: tuple[str, ...]
    metavar: str
    panel: str = OPTIONS
    group: str | None = None
    bounds: Range = FINITE

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def choices(self) -> tuple[str, ...]:
        """What the value may be, or () where it is free."""
        return get_args(self.base) if get_origin(self.base) is Literal else ()

    @property
    def keys(self) -> frozenset[str]:
        """The option's names in a configuration file, with `_` for `-`."""
        long = (flag.removeprefix("--") for flag in self.flags if flag.startswith("--"))
        return frozenset({self.name, *(name.replace("-", "_") for name in long)})


@dataclass(frozen=True)
class Stage:
    """A command, as its file declares it. `groups` are the default instances of its dataclasses."""

    name: str
    run: Callable[..., Any]
    text: str
    examples: tuple[str, ...]
    recipes: Mapping[str, Mapping[str, Any]]
    arguments: tuple[Option, ...]
    options: tuple[Option, ...]
    groups: Mapping[str, Any]
    panels: Mapping[str, str]  # name → what it is about
    reads: Literal["required", "optional", "no"]
    product: Product
    injected: frozenset[str]

    def has(self, name: str) -> bool:
        """Whether `run` has an option of its own called `name`."""
        return any(option.name == name for option in self.options)


def describe(name: str, module: Any) -> Stage:
    """The stage in `module`. Raises TypeError where its signature breaks the contract."""
    run = module.run
    hints = get_type_hints(run, include_extras=True)
    arguments: list[Option] = []
    options: list[Option] = []
    groups: dict[str, Any] = {}
    panels: dict[str, str] = {}
    reads: Literal["required", "optional", "no"] = "no"
    injected = set()
    for parameter in inspect.signature(run).parameters.values():
        hint = hints.get(parameter.name, str)
        if parameter.name in INJECTED:
            injected.add(parameter.name)
        elif parameter.name == "records":
            reads = "required" if parameter.default is REQUIRED else "optional"
        elif dataclasses.is_dataclass(_unwrapped(hint)):
            kind: Any = _unwrapped(hint)
            instance = kind() if parameter.default is REQUIRED else parameter.default
            groups[parameter.name] = instance
            panels[kind.__name__] = (inspect.getdoc(kind) or "").partition("\n")[0]
            options.extend(_fields(parameter.name, kind, instance))
        elif parameter.kind is parameter.KEYWORD_ONLY:
            options.append(_option(parameter.name, hint, parameter.default))
        else:
            arguments.append(_option(parameter.name, hint, parameter.default))
    _refuse_clashes(name, options)
    return Stage(
        name=name,
        run=run,
        text=inspect.cleandoc(module.__doc__ or ""),
        examples=tuple(getattr(module, "EXAMPLES", ())),
        recipes=getattr(module, "RECIPES", {}),
        arguments=tuple(arguments),
        options=tuple(options),
        groups=groups,
        panels=panels,
        reads=reads,
        product=_product(name, hints.get("return", type(None))),
        injected=frozenset(injected),
    )


def arguments_of(stage: Stage, values: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for `run` from flat option values: dataclasses are put together again.

    Raises UsageError for a number outside its option's range.
    """
    call: dict[str, Any] = {}
    changes: dict[str, dict[str, Any]] = {name: {} for name in stage.groups}
    for option in (*stage.arguments, *stage.options):
        value = values[option.name]
        if option.repeatable:
            value = tuple(value or ())
        option.bounds.refuse(option.flags[-1], value)
        (call if option.group is None else changes[option.group])[option.name] = value
    for name, instance in stage.groups.items():
        call[name] = dataclasses.replace(instance, **changes[name])
    return call


def _fields(group: str, kind: Any, instance: Any) -> list[Option]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        dataclasses.replace(
            _option(field.name, hints[field.name], getattr(instance, field.name)),
            panel=kind.__name__,
            group=group,
        )
        for field in dataclasses.fields(kind)
    ]


def _option(name: str, hint: Any, default: Any) -> Option:
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    doc = next((note.documentation for note in notes if isinstance(note, Doc)), "")
    flag = next((note for note in notes if isinstance(note, Flag)), Flag())
    base = _unwrapped(hint)
    optional = repeatable = False
    if get_origin(base) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(base) if kind is not type(None)]
        optional = len(kinds) < len(get_args(base))
        base = kinds[0] if len(kinds) == 1 else base
    if get_origin(base) is tuple and get_args(base)[1:] == (Ellipsis,):
        repeatable, base = True, get_args(base)[0]
    if base not in SCALARS and get_origin(base) is not Literal:
        raise TypeError(f"option {name}: {base} is not a type that a flag can have")
    if repeatable and default is None:
        default = ()
    return Option(
        name=name,
        base=base,
        repeatable=repeatable,
        optional=optional,
        default=default,
        help=" ".join(doc.split()),
        flags=flag.names or ("--" + name.replace("_", "-"),),
        metavar=flag.metavar or _metavar(base),
        bounds=range_of(hint),
    )


def _metavar(base: Any) -> str:
    if get_origin(base) is Literal:
        return "|".join(get_args(base))
    return {str: "TEXT", int: "N", float: "X", bool: "", Path: "PATH"}[base]


def _unwrapped(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _refuse_clashes(stage: str, options: list[Option]) -> None:
    taken: dict[str, Option] = {}
    for option in options:
        for word in (option.name, *option.flags):
            other = taken.setdefault(word, option)
            if other is not option:
                raise TypeError(
                    f"stage {stage} has {word} twice, in {other.panel} and {option.panel}"
                )


def _product(stage: str, hint: Any) -> Product:
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for kind in kinds:
        if kind is Checkpoint:
            return "checkpoint"
        if kind is Results:
            return "results"
        if get_origin(kind) in (
            collections.abc.Iterator,
            collections.abc.Iterable,
            collections.abc.Generator,
        ):
            return "records"
    if kinds == (type(None),):
        return "nothing"
    raise TypeError(f"stage {stage} returns {hint}: records, Checkpoint, Results or None are known")
