"""A benchmark that a user's TOML file declares: where its problems are, and how they are asked and judged.

Its source, its template and a reward's `FILE.py:` count from its folder. docs/benchmarks.md shows one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from stages.records import templates
from stages.runtime import text_file
from stages.runtime.errors import UsageError, nearest
from stages.settings.groups import Sampling
from stages.settings.options import ranges_of

PROGRAM = re.compile(r"(?P<trl>trl:)?(?P<file>[^:]+\.py:)")  # what a reward of the user's own begins with


@dataclass(frozen=True)
class Declared:
    """What the file says. `columns` and `mapping` say how rows are read; `metric` names the reward that
    decides.
    """

    path: str
    source: str
    revision: str | None = None
    split: str | None = None
    columns: tuple[str, ...] = ()
    mapping: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None
    rewards: tuple[str, ...] | None = None
    metric: str | None = None
    samples: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def beside(self, path: str) -> str:
        """`path` as it is found from here."""
        return os.path.join(os.path.dirname(self.path), path)


def read(path: str) -> Declared:
    """Raises UsageError, with file and key, for what is not TOML, not known or of another type; StreamError
    where the file cannot be read."""
    import tomllib

    try:
        document = tomllib.loads(text_file.read(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    said: dict[str, Any] = {}
    for key, value in document.items():
        if key not in KEYS:
            hint = nearest(key, KEYS) or f"; it may have {', '.join(KEYS)}"
            raise UsageError(f"{path}: unknown key {key}{hint}")
        take, wanted = KEYS[key]
        if (taken := take(value)) is None:
            raise UsageError(f"{path}: {key} is {value!r}, but must be {wanted}")
        said["mapping" if key == "map" else key] = taken
    if "source" not in said:
        raise UsageError(f'{path}: no key source; write source = "problems.jsonl", or OWNER/NAME on the hub')
    if "sampling" in said:
        said["sampling"] = _sampling(path, said["sampling"])
    found = Declared(path, **said)
    if found.template is not None and found.template not in templates.NAMES:
        said["template"] = found.beside(found.template)
        try:
            templates.load(said["template"])
        except UsageError as error:
            raise UsageError(f"{path}: template: {error}") from None
    if found.rewards is not None:
        said["rewards"] = tuple(_found_from_here(found, spec) for spec in found.rewards)
    return Declared(path, **said)


def _found_from_here(declared: Declared, spec: str) -> str:
    """A reward's spec, with the file of a function of the user's as it is found from here."""
    match = PROGRAM.match(spec)
    if match is None:
        return spec
    return f"{match['trl'] or ''}{declared.beside(match['file'])}{spec[match.end() :]}"


def _sampling(path: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table [sampling] as fields of `Sampling`."""
    hints, ranges = get_type_hints(Sampling), ranges_of(Sampling)
    made: dict[str, Any] = {}
    taken: Any
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in hints:
            hint = nearest(name, hints) or f"; it may have {', '.join(hints)}"
            raise UsageError(f"{path}: unknown key sampling.{key}{hint}")
        if name in made:
            raise UsageError(f"{path}: sampling.{key} is given twice")
        hint = hints[name]
        if hint == tuple[str, ...]:
            taken, wanted = _texts(value), "a text, or an array of texts, none empty"
        else:
            kinds = (int, float) if hint is float else tuple(get_args(hint)) or (hint,)
            fits = isinstance(value, kinds) and not isinstance(value, bool) and value in ranges[name]
            taken = None if not fits else float(value) if hint is float else value
            wanted = f"a {'' if hint is float else 'whole '}number {ranges[name]}".rstrip()
        if taken is None:
            raise UsageError(f"{path}: sampling.{key} is {value!r}, but must be {wanted}")
        made[name] = taken
    return made


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() and "\0" not in value else None


def _texts(value: Any) -> tuple[str, ...] | None:
    """One text or several, as options that may be repeated take them in --config."""
    several = value if isinstance(value, list) else [value]
    texts = tuple(filter(None, map(_text, several)))
    return texts if texts and len(texts) == len(several) else None


def _fields(value: Any) -> dict[str, str] | None:
    """A table of texts, of which an empty one leaves its field out, as with --map."""
    fits = isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    return dict(value) if fits and "" not in value else None


def _table(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 1 <= value < 2**31 else None


# What each key takes, and what a message says of it.
KEYS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "source": (_text, "a text: a file, or OWNER/NAME on the hub"),
    "revision": (_text, "a text: a commit, tag or branch of the data set on the hub"),
    "split": (_text, "a text"),
    "columns": (_texts, "an array of texts: the names of a CSV or TSV file's columns"),
    "map": (_fields, 'a table of texts, such as map = {prompt = "question"}'),
    "template": (_text, f"a text: {', '.join(templates.NAMES)} or a file"),
    "rewards": (_texts, "a reward, or an array of them"),
    "metric": (_text, "a text: the name of the reward that decides"),
    "samples": (_count, "a whole number of at least 1"),
    "sampling": (_table, "a table, such as sampling = {temperature = 0.0}"),
}
