"""No text makes a rule spin: every pattern of the program takes time in proportion to what it reads."""

from __future__ import annotations

import importlib
import re
from functools import lru_cache

import effort
import pytest
from effort import grows
from patterns import Used, sites, used
from worst import Attack, attacks

from stages.formats import multiple_choice
from stages.grading import choices, questions, wording
from stages.inference import marks
from stages.programs import extract, suites
from stages.records.notes import Notes
from stages.records.record import Record
from stages.scoring import spec

SIZE = 2000  # characters, up to 8,000
MOST = 1500  # attacks on one pattern


def reach() -> None:
    """Runs what makes patterns out of a record."""
    for name in spec.names():
        module = importlib.import_module(f"stages.rewards.{name}")
        judge = getattr(module, "quick", getattr(module, name))
        for record, options, _ in module.EXAMPLES:
            if isinstance(record, dict) and "rewards" not in record and name != "code":
                judge(record, **options)
    asked = questions.question({"answer": "Rome", "choices": ["Rome", "New York"]})
    assert asked is not None
    choices.settle(asked, None, "It is Rome, I say.", "any")
    multiple_choice.with_options(
        Record(prompt="Of Italy? A. Rome B. York", choices=["Rome", "York"]), 0, Notes()
    )
    marks.any_of(["<|im_start|>", "<|im_end|>", "</s>"])
    wording.says("Rome", "It is Rome, I say.")
    extract.find({"completion": "```\ndef f(): pass\n```"}, suites.Suite(entry="f"))


@lru_cache(maxsize=1)
def patterns() -> list[Used]:
    return used(reach)


@pytest.mark.full
def test_every_pattern_is_found() -> None:
    assert {each.place for each in patterns()} == {site.place for site in sites()}
    assert len(patterns()) > 100


@pytest.mark.full
def test_a_pattern_takes_time_in_proportion_to_the_text() -> None:
    for each in patterns():
        worst = slow(each.pattern, each.methods)
        assert not worst, f"{each.place} {each.pattern.pattern!r}: {worst}"


def slow(pattern: re.Pattern[str], methods: frozenset[str]) -> str:
    """The first attack that makes the pattern grow out of proportion, and how; "" where none does."""
    made = attacks(pattern)
    for attack in made[:: len(made) // MOST + 1]:
        for method in sorted(methods):
            if how := grows(lambda text, method=method: read(pattern, method, text), attack.text, SIZE):
                return f"{method} of {attack}: {how}"
    return ""


def read(pattern: re.Pattern[str], method: str, text: str) -> None:
    given = text.encode() if isinstance(pattern.pattern, bytes) else text
    if method == "scan":
        for _ in pattern.finditer(given):
            pass
    else:
        getattr(pattern, method)(given)


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"\$(?:[a-z]+|[ -#])+\$", "match"),  # exponential
        (r"A:.*\n+[ \t]*B:", "scan"),  # a power of the length
        (r"\s+x", "scan"),  # linear from each place, and tried at each
        (r"<(.+?)>", "scan"),
    ],
)
def test_a_slow_pattern_is_told(pattern: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "LIMIT", effort.LIMIT / 5)  # not to wait for what is far beyond either
    monkeypatch.setattr(effort, "ONCE", effort.ONCE / 5)
    assert slow(re.compile(pattern, re.DOTALL), frozenset((method,)))


def test_a_linear_pattern_is_not_accused() -> None:
    for pattern in (r"\w+", r"<[^<>]*>", r"(?<!\s)\s+x", r"(?<![a-z])[a-z]++\d"):
        assert not slow(re.compile(pattern), frozenset(("scan", "match", "fullmatch")))


def test_an_attack_has_the_length_that_is_asked_for() -> None:
    assert Attack("a", "bc", "d").text(10) == "abcbcbcbcbcd"
