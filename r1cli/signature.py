"""What a stage's signature says, in plain data: the one source of its flags, its help and its config keys.

`describe` reads `run` once. The command, the TOML configuration, the help text and the contract
tests all work from the `Stage` it returns, so that an option is declared in one place only.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from stages.checkpoints.checkpoint import Checkpoint
from stages.runtime.errors import UsageError
from stages.runtime.results import Results
from stages.settings.options import FINITE, Alias, Doc, Flag, Range, Written, range_of

REQUIRED: Any = inspect.Parameter.empty
INJECTED = frozenset({"report", "journal", "resume", "given"})
OPTIONS = "Options"
SCALARS = (str, int, float, bool, Path)

Product = Literal["records", "text", "checkpoint", "results", "nothing"]


@dataclass(frozen=True)
class Option:
    """One option or plain argument of a stage.

    `base` is str, int, float, bool, Path or a Literal of strings; `group` leads to the dataclass
    that holds it: the parameter of `run`, then fields; () where the option is a parameter itself.
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
    group: tuple[str, ...] = ()
    bounds: Range = FINITE
    written: bool = False  # a file that the stage writes
    aliases: tuple[str, ...] = ()  # what other libraries call it
    renamed: tuple[str, ...] = ()  # what it was called before

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
        flags = (*self.flags, *self.aliases, *self.renamed)
        long = (flag.removeprefix("--") for flag in flags if flag.startswith("--"))
        return frozenset({self.name, *(name.replace("-", "_") for name in long)})


@dataclass(frozen=True)
class Stage:
    """A command, as its file declares it. `groups` are its dataclasses, outer ones first."""

    name: str
    run: Callable[..., Any]
    text: str
    examples: tuple[str, ...]
    recipes: Mapping[str, Mapping[str, Any]]
    arguments: tuple[Option, ...]
    options: tuple[Option, ...]
    groups: Mapping[tuple[str, ...], type]
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
    groups: dict[tuple[str, ...], type] = {}
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
            options.extend(_fields((parameter.name,), _unwrapped(hint), parameter.default, groups, panels))
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

    Raises UsageError for a number outside its option's range, and for a text that is none.
    """
    call: dict[str, Any] = {}
    fields: dict[tuple[str, ...], dict[str, Any]] = {(): call, **{path: {} for path in stage.groups}}
    for option in (*stage.arguments, *stage.options):
        value = values[option.name]
        if option.repeatable:
            value = tuple(value or ())
        option.bounds.refuse(option.flags[-1], value)
        _refuse_bytes(option, value)
        fields[option.group][option.name] = value
    for path, kind in reversed([*stage.groups.items()]):
        fields[path[:-1]][path[-1]] = kind(**fields[path])
    return call


def _refuse_bytes(option: Option, value: Any) -> None:
    """A text may go into a record; a path may have any bytes."""
    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, str) and not each.isascii() and re.search("[\ud800-\udfff]", each):
            raise UsageError(f"{option.flags[-1]} {each}: not UTF-8")


def _fields(
    path: tuple[str, ...],
    kind: Any,
    instance: Any,
    groups: dict[tuple[str, ...], type],
    panels: dict[str, str],
) -> list[Option]:
    """The options that a dataclass declares: those of `Settings` in the first panel, else in one of its name.

    `instance` holds the defaults; without one a field's own default counts.
    """
    groups[path] = kind
    panel = OPTIONS if kind.__name__ == "Settings" else kind.__name__
    if panel != OPTIONS:
        panels[panel] = (inspect.getdoc(kind) or "").partition("\n")[0]
    hints = get_type_hints(kind, include_extras=True)
    options: list[Option] = []
    for field in dataclasses.fields(kind):
        missing = REQUIRED if field.default is dataclasses.MISSING else field.default
        default = missing if instance is REQUIRED else getattr(instance, field.name)
        inner = _unwrapped(hints[field.name])
        if dataclasses.is_dataclass(inner):
            options += _fields((*path, field.name), inner, default, groups, panels)
        else:
            option = _option(field.name, hints[field.name], default)
            options.append(dataclasses.replace(option, panel=panel, group=path))
    return options


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
        written=any(isinstance(note, Written) for note in notes),
        aliases=_aliases(notes, old=False),
        renamed=_aliases(notes, old=True),
    )


def _aliases(notes: tuple[Any, ...], *, old: bool) -> tuple[str, ...]:
    return tuple(name for n in notes if isinstance(n, Alias) and n.old is old for name in n.names)


def _metavar(base: Any) -> str:
    if get_origin(base) is Literal:
        return "|".join(get_args(base))
    return {str: "TEXT", int: "N", float: "X", bool: "", Path: "PATH"}[base]


def _unwrapped(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _refuse_clashes(stage: str, options: list[Option]) -> None:
    taken: dict[str, Option] = {}
    for option in options:
        for word in (option.name, *option.flags, *option.aliases, *option.renamed):
            other = taken.setdefault(word, option)
            if other is not option:
                raise TypeError(f"stage {stage} has {word} twice, in {other.panel} and {option.panel}")


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
            return "text" if get_args(kind)[0] is str else "records"
    if kinds == (type(None),):
        return "nothing"
    raise TypeError(f"stage {stage} returns {hint}: text, records, Checkpoint, Results or None are known")
