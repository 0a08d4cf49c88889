"""What a family of the world gives: problems, ways to work them, and what their texts are made of."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

LANGUAGES = ("en", "zh")
# A phrase by its name in phrases.toml and what stands in it; a value may be {language: text}.
Piece = tuple[str, Mapping[str, Any]]


class Levels(NamedTuple):
    """The difficulties of a family: the lowest, the usual and the highest."""

    low: int
    usual: int
    high: int


class Problem(NamedTuple):
    """`key` is the problem in any language: it decides the split. `fields` are those of its record, `data`
    what it is worked from."""

    key: tuple[Any, ...]
    prompt: str
    fields: dict[str, Any]
    data: Any


class Attempt(NamedTuple):
    """Steps that lead to an answer, and how it is checked, which shows whether it is right."""

    steps: Sequence[Piece]
    check: Sequence[Piece] = ()


class Chain(NamedTuple):
    """A problem worked: attempts of which the last gives the answer, and the way from the goal backwards."""

    attempts: Sequence[Attempt]
    answer: str
    backward: Sequence[Piece] = ()


@dataclass(frozen=True)
class Plan:
    """How one document is worked. `wrong`: a slip stays, and what looks at it passes it over.
    `backtracking`: a slip is noticed and repaired."""

    wrong: bool = False
    broken: bool = False
    mixed: bool = False
    think: bool = True
    verification: bool = False
    subgoals: bool = False
    backtracking: bool = False
    backward: bool = False


class Family(Protocol):
    """A file of this room: LEVELS, `make` and `work`; HABITS says whether its chains have the four habits."""

    LEVELS: Levels
    HABITS: bool

    def make(self, rng: random.Random, difficulty: int, lang: str) -> Problem:
        """A problem in `lang`."""

    def work(self, problem: Problem, plan: Plan, lang: str, rng: random.Random) -> Chain:
        """The problem worked as `plan` says; the answer is in `lang`."""


@cache
def table(name: str) -> dict[str, Any]:
    """The file `data/NAME.toml`."""
    return tomllib.loads((Path(__file__).with_name("data") / f"{name}.toml").read_text("utf-8"))


def say(name: str, lang: str, **parts: Any) -> str:
    """A phrase of phrases.toml in `lang`."""
    words = {key: value[lang] if isinstance(value, Mapping) else value for key, value in parts.items()}
    text: str = table("phrases")[name][lang].format(**words)
    return text


def slipped(value: int, rng: random.Random) -> int:
    """A number near `value`, as one who slips would have it; never below 0."""
    return rng.choice([other for d in (1, 2, 10) for other in (value - d, value + d) if other >= 0])
