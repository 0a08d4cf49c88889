"""What a stage's settings may say about an option: its help, its names, its bounds.

A stage declares `name: Annotated[T, Doc("help"), Flag("-x", "--name")] = default`. T is one of
str, int, float, bool, Path, a Literal of strings, `tuple[str, ...]` (repeatable), or one of
these `| None`. A `Range` beside the Doc says what a number may be; NaN and infinity it may never be.
A parameter whose type is a frozen dataclass of such fields becomes one flag for each field, in a
help panel named after the dataclass: the same flag, the same meaning everywhere.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from typing_extensions import Doc as Doc

from stages.runtime.errors import UsageError

LARGEST = 2**63  # whole numbers beyond it fit neither torch nor a seed's digest


class Flag:
    """The spellings of an option where `--its-name` is not enough, and what its value is called."""

    def __init__(self, *names: str, metavar: str | None = None) -> None:
        self.names, self.metavar = names, metavar


class Alias:
    """Further spellings of an option: what other libraries call it, or, `old`, what it was called before.

    Help names the first kind; the second works with a note that says the name of today.
    """

    def __init__(self, *names: str, old: bool = False) -> None:
        self.names, self.old = names, old


class Written:
    """Marks a path that the stage writes: what else the command line names is kept apart from it.

    Of an option that may be given several times, as FILE=VALUE, it is what stands before the last `=`.
    """


@dataclass(frozen=True)
class Incidental:
    """Marks what says how a run is carried out, not what comes out: with --resume it may be another.

    Of a group all is incidental `but` these fields.
    """

    but: tuple[str, ...] = ()


@dataclass(frozen=True)
class Range:
    """What a number may be, as words (`str`) and as a test (`in`).

    `low` and `high` belong to it, `above` and `below` do not; without any, it is every finite number.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (abs(value) < LARGEST if isinstance(value, int) else math.isfinite(value))
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"from {self.low} to {self.high}"
        words = {
            "at least": self.low,
            "above": self.above,
            "at most": self.high,
            "below": self.below,
        }
        return " and ".join(f"{word} {end}" for word, end in words.items() if end is not None)

    def refuse(self, flag: str, value: Any) -> None:
        """Raises UsageError where `value`, or one of several, is a number outside."""
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if type(each) in (int, float) and each not in self:
                huge = type(each) is int and each not in FINITE
                wanted = ("" if huge else str(self)) or f"a finite number below {LARGEST:.2g}"
                raise UsageError(f"{flag} {each}: must be {wanted}")


FINITE = Range()
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
NATURAL = Range(low=0)


def typed(what: str, text: str, hint: Any, bounds: Range = FINITE) -> Any:
    """`text` as `hint` says: str, int, float, bool, a Literal of texts, each also `| None`.

    A number is finite, and within the Range of an Annotated `hint`. Raises UsageError that begins with
    `what`, the option as it is written, for what is none.
    """
    if get_origin(hint) is Annotated:
        return typed(what, text, get_args(hint)[0], range_of(hint))
    choices = [each for each in get_args(hint) if each is not NoneType]
    if get_origin(hint) is Literal:
        if text not in choices:
            raise UsageError(f"{what}={text} must be one of {', '.join(map(str, choices))}")
        return text
    if choices:
        return None if text == "none" else typed(what, text, choices[0], bounds)
    try:
        if hint is bool:
            return TRUTH[text.strip().lower()]
        if hint not in (int, float):
            return text
        number = hint(text)
    except (ValueError, KeyError):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[hint]
        raise UsageError(f"{what}={text} must be {kind}") from None
    bounds.refuse(what, number)
    return number


def refuse_password(name: str, url: str) -> None:
    """Raises UsageError, which does not repeat it, where an address holds a user or a password."""
    if "@" in url:
        raise UsageError(
            f"{name}: no user or password may stand in an address; a key goes into OPENAI_API_KEY"
        )


def recorded(settings: Any) -> dict[str, Any]:
    """A dataclass of settings as plain values, for `r1.json`: all of it, groups as objects of their own."""
    return dict(json.loads(json.dumps(asdict(settings), default=str)))


def usual(settings: Any) -> dict[str, Any]:
    """The defaults of those options that have one, as `recorded` has them."""
    made = {
        each.name: recorded(each.default) if is_dataclass(each.default) else each.default
        for each in fields(settings)
        if each.default is not MISSING
    }
    return dict(json.loads(json.dumps(made, default=str)))


def binding(settings: Any) -> dict[str, Any]:
    """What of `recorded` a resumed run must have in common with the run it goes on with."""
    return bound(recorded(settings), type(settings))


def bound(options: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """What of the recorded options of a `kind` of settings says what comes out, and not how it is done."""
    kept = dict(options)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name not in kept:  # recorded before there was such an option
            continue
        notes = [note for note in get_args(hint)[1:] if isinstance(note, Incidental)]
        if notes and notes[0].but:
            kept[name] = {part: kept[name].get(part) for part in notes[0].but}
        elif notes:
            del kept[name]
        elif is_dataclass(group := (get_args(hint) or (hint,))[0]) and isinstance(group, type):
            kept[name] = bound(kept[name], group)
    return kept


@functools.cache
def ranges_of(kind: type) -> dict[str, Range]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: range_of(hint) for name, hint in hints.items()}


def range_of(hint: Any) -> Range:
    """The range that an annotation declares; every finite number where it declares none."""
    return next((note for note in get_args(hint)[1:] if isinstance(note, Range)), FINITE)
