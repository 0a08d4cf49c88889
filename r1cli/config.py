"""Option values from a TOML file, under the flags and over the recipe.

Keys are option names, with `-` or `_`, at the top level or in a table named after the stage;
the table wins. Tables of other stages are theirs, so that one file can hold a whole recipe. What is
not known, or of another type, is refused: a misspelt key must not train a model for a night.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from r1cli.signature import Option, Stage
from stages.data.errors import StreamError, UsageError


def load(path: str, stage: Stage, stages: Collection[str]) -> dict[str, Any]:
    """Values by option name. Raises UsageError for keys or values that do not fit, with the file."""
    import tomllib

    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    for key in tables:
        if key.replace("_", "-") not in stages:
            raise UsageError(f"{path}: unknown table [{key}]{_nearest(key, stages)}")
    top = {key: value for key, value in document.items() if key not in tables}
    values = _checked(path, "", top, stage)
    for key, table in tables.items():
        if key.replace("_", "-") == stage.name:
            values |= _checked(path, f"{key}.", table, stage)
    return values


def recipe_values(stage: Stage, name: str | None) -> dict[str, Any]:
    """What the recipe called `name` sets. Raises UsageError where there is none."""
    if name is None:
        return {}
    if name not in stage.recipes:
        known = ", ".join(stage.recipes)
        raise UsageError(f"no recipe {name!r}{_nearest(name, stage.recipes)}; there are {known}")
    return dict(stage.recipes[name])


def _checked(path: str, prefix: str, table: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
    known = {key: option for option in stage.options for key in option.keys}
    values = {}
    for key, value in table.items():
        option = known.get(key.replace("-", "_"))
        if option is None:
            near = _nearest(key.replace("-", "_"), known)
            raise UsageError(f"{path}: unknown key {prefix}{key} of r1 {stage.name}{near}")
        if option.name in values:
            raise UsageError(f"{path}: {prefix}{key} is given twice")
        if not _fits(option, value):
            raise UsageError(f"{path}: {prefix}{key} is {value!r}, but must be {_expected(option)}")
        values[option.name] = value
    return values


def _fits(option: Option, value: Any) -> bool:
    if option.repeatable:
        return isinstance(value, list) and all(_fits_one(option, item) for item in value)
    return _fits_one(option, value)


def _fits_one(option: Option, value: Any) -> bool:
    if option.choices:
        return value in option.choices
    if option.base is bool:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if option.base is float:
        return isinstance(value, int | float) and value in option.bounds
    if option.base is int:
        return isinstance(value, int) and value in option.bounds
    return isinstance(value, str)


def _expected(option: Option) -> str:
    if option.choices:
        one = "one of " + ", ".join(option.choices)
    elif option.base is bool:
        one = "true or false"
    else:
        one = {int: "a whole number", float: "a number"}.get(option.base, "a string")
        one = f"{one} {option.bounds}".rstrip()
    return f"an array, each {one}" if option.repeatable else one


def _nearest(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
