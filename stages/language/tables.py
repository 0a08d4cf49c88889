"""The languages and scripts that are known, as the files of data/ have them.

A language is added there: a table in languages.toml, its letter triples in triples.txt where it is written in
the Latin script, its script in scripts.toml where that is new. A file is read once, when it is first needed.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).with_name("data")


class Language(NamedTuple):
    """A table of languages.toml, whose head says what each field means."""

    script: str
    letters: str = ""
    common: str = ""
    expected: float = 0.0


@cache
def table(name: str) -> dict[str, Any]:
    """What the file `name` holds."""
    return tomllib.loads((DATA / name).read_text("utf-8"))


@cache
def known() -> dict[str, Language]:
    """The languages by their code."""
    return {code: Language(**each) for code, each in table("languages.toml")["language"].items()}


@cache
def remedy() -> str:
    """What to do about a language that is not known."""
    return f"choose one of {' '.join(sorted(known()))}"


@cache
def written_in(script: str) -> tuple[str, ...]:
    """The codes of the languages of `script`; the first stands for it."""
    return tuple(code for code, language in known().items() if language.script == script)


@cache
def symbols() -> frozenset[str]:
    """Names of functions and units: letters, but of no language."""
    return frozenset(table("languages.toml")["symbols"].split())


@cache
def word() -> re.Pattern[str]:
    """A word of any script; `lastgroup` of a match names the script."""
    # Marks are part of a word, so ranges, not \w.
    return re.compile(
        "|".join(
            f"(?P<{name}>[{each['letters']}]{{{each.get('shortest', 1)},{each.get('longest', 40)}}})"
            for name, each in table("scripts.toml").items()
        )
    )


def triples() -> list[tuple[str, float, list[str]]]:
    """Letter triples with their language's code and their bits."""
    lines = (DATA / "triples.txt").read_text("utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return [(code, float(bits), each) for code, bits, *each in rows]
