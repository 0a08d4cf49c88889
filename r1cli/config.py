"""Option values from a TOML file, under the flags and over the recipe.

Keys are option names, with `-` or `_`, at the top level or in a table named after the stage;
the table wins. Tables of other stages are theirs, so that one file can hold a whole recipe. What is
not known, or of another type, is refused: a misspelt key must not train a model for a night.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from r1cli.signature import Option, Stage
from stages.runtime import text_file
from stages.runtime.errors import UsageError, nearest


def load(path: str, stage: Stage, stages: Collection[str]) -> tuple[dict[str, Any], set[str]]:
    """Values by option name, and the keys that gave them, as flags. The file is read once: it may be a pipe.

    Raises UsageError for keys or values that do not fit, with the file.
    """
    import tomllib

    try:
        document = tomllib.loads(text_file.read(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    for key in tables:
        if key.replace("_", "-") not in stages:
            raise UsageError(f"{path}: unknown table [{key}]{nearest(key, stages)}")
    top = {key: value for key, value in document.items() if key not in tables}
    own = [(f"{key}.", table) for key, table in tables.items() if key.replace("_", "-") == stage.name]
    values: dict[str, Any] = {}
    keys: set[str] = set()
    for prefix, table in (("", top), *own):
        values |= _checked(path, prefix, table, stage)
        keys |= {"--" + key.replace("_", "-") for key in table}
    return values, keys


def recipe_values(stage: Stage, name: str | None) -> dict[str, Any]:
    """What the recipe called `name` sets. Raises UsageError where there is none."""
    if name is None:
        return {}
    if name not in stage.recipes:
        known = ", ".join(stage.recipes)
        raise UsageError(f"no recipe {name!r}{nearest(name, stage.recipes)}; there are {known}")
    return dict(stage.recipes[name])


def _checked(path: str, prefix: str, table: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
    known = {key: option for option in stage.options for key in option.keys}
    values = {}
    for key, value in table.items():
        option = known.get(key.replace("-", "_"))
        if option is None:
            near = nearest(key.replace("-", "_"), known)
            raise UsageError(f"{path}: unknown key {prefix}{key} of r1 {stage.name}{near}")
        if option.name in values:
            raise UsageError(f"{path}: {prefix}{key} is given twice")
        if not _fits(option, value):
            raise UsageError(f"{path}: {prefix}{key} is {value!r}, but must be {_expected(option)}")
        values[option.name] = value if isinstance(value, list) or not option.repeatable else [value]
    return values


def _fits(option: Option, value: Any) -> bool:
    if option.repeatable and isinstance(value, list):
        return all(_fits_one(option, item) for item in value)
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
    return isinstance(value, str) and "\0" not in value


def _expected(option: Option) -> str:
    if option.choices:
        one = "one of " + ", ".join(option.choices)
    elif option.base is bool:
        one = "true or false"
    else:
        one = {int: "a whole number", float: "a number"}.get(option.base, "a string")
        one = f"{one} {option.bounds}".rstrip()
    return f"{one}, or an array of them" if option.repeatable else one
