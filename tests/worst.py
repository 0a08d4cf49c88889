"""Texts that are the worst for a regular expression: repeats of its own pieces, cut before they end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as code
from re import _parser as parser
from typing import Any, NamedTuple

SOME = "aA0_ \n\t-.,;:!?\\'\"`*(){}[]<>$/#|=éßж中か가\u0301\x00"  # what a class is asked for, in this order
REPEATS = (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT)
ENDS = ("\x00", "", "\n", " a")


class Attack(NamedTuple):
    """`before`, then `pump` as often as the size asks for, then `after`."""

    before: str
    pump: str
    after: str

    def text(self, size: int) -> str:
        return self.before + self.pump * (size // len(self.pump)) + self.after


def attacks(pattern: re.Pattern[Any]) -> list[Attack]:
    """A repeat is pumped with what it reads, after what a match has read by then; and what a match has read
    by then is itself repeated, as a search begins anew at each place."""
    tree = parser.parse(pattern.pattern, pattern.flags)
    found: dict[Attack, None] = {}
    short: dict[str, None] = {}
    for before, pumps, endless in _pieces(tree, ""):
        for pump in pumps if endless else ():
            short.setdefault(pump[:3])
            for end in ENDS:
                found.setdefault(Attack(before[-40:], pump[:40], end))
            found.setdefault(Attack("", pump[:40], ENDS[0]))
        begun = (before + pumps[0])[-40:]
        found.setdefault(Attack("", begun, ""))
        found.setdefault(Attack(begun[:-1], begun[-1], ENDS[0]))
    ones = list(short)[:10]
    for one in ones:
        for other in ones:
            found.setdefault(Attack("", one + other, "\x00"))
    return list(found)


def _pieces(tree: Any, before: str) -> Iterator[tuple[str, list[str], bool]]:
    """For each piece at any depth: what a match has read by then, texts that the piece reads, and whether it
    may read more and more."""
    said = before
    for kind, value in tree:
        own = _read(kind, value)
        if kind in REPEATS:
            endless = value[1] is code.MAXREPEAT or value[1] > 50
            texts = [own, *_variants(kind, value), *_alternatives(value[2])]
            if any(texts):
                yield said, [text for text in texts if text], endless
        for inner in _inside(kind, value):
            yield from _pieces(inner, said)
        said += own
    if said != before:
        yield before, [said[len(before) :]], False


def _alternatives(tree: Any) -> Iterator[str]:
    """What each alternative of a repeated group reads."""
    for kind, value in tree:
        if kind is code.BRANCH:
            for each in value[1]:
                yield sample(each)
                for inner in each:
                    yield from _variants(*inner)
        elif kind is code.SUBPATTERN:
            yield from _alternatives(value[3])


def _inside(kind: Any, value: Any) -> list[Any]:
    if kind is code.SUBPATTERN:
        return [value[3]]
    if kind is code.BRANCH:
        return list(value[1])
    if kind in REPEATS:
        return [value[2]]
    if kind in (code.ASSERT, code.ASSERT_NOT):
        return [value[1]]
    if kind is code.ATOMIC_GROUP:
        return [value]
    return []


def _variants(kind: Any, value: Any) -> Iterator[str]:
    """Further characters that a class or a repeated class reads."""
    if kind in REPEATS and len(value[2]):
        yield from _variants(*value[2][0])
    elif kind is code.IN:
        fitting = [c for c in SOME if _in(c, value)]
        yield from fitting[:3] + fitting[-2:]
    elif kind in (code.ANY, code.NOT_LITERAL):
        yield from "a ."


def sample(tree: Any) -> str:
    """A text that the tree reads; what looks around is left out."""
    return "".join(_read(kind, value) for kind, value in tree)


def _read(kind: Any, value: Any) -> str:
    if kind is code.LITERAL:
        return chr(value)
    if kind is code.NOT_LITERAL:
        return next(c for c in SOME if ord(c) != value)
    if kind is code.ANY:
        return "a"
    if kind is code.IN:
        return next((c for c in SOME if _in(c, value)), _first(value))
    if kind is code.BRANCH:
        return next((text for text in map(sample, value[1]) if text), "")
    if kind is code.SUBPATTERN:
        return sample(value[3])
    if kind is code.ATOMIC_GROUP:
        return sample(value)
    if kind in REPEATS:
        return sample(value[2]) * max(1, min(int(value[0]), 8))
    return ""


def _first(items: Any) -> str:
    for kind, value in items:
        if kind is code.LITERAL:
            return chr(value)
        if kind is code.RANGE:
            return chr(value[0])
    return ""


def _in(c: str, items: Any) -> bool:
    wanted = True
    for kind, value in items:
        if kind is code.NEGATE:
            wanted = False
        elif (
            (kind is code.LITERAL and ord(c) == value)
            or (kind is code.RANGE and value[0] <= ord(c) <= value[1])
            or (kind is code.CATEGORY and _category(c, value))
        ):
            return wanted
    return not wanted


def _category(c: str, name: Any) -> bool:
    has = {
        code.CATEGORY_DIGIT: str.isdigit,
        code.CATEGORY_SPACE: str.isspace,
        code.CATEGORY_WORD: lambda each: each.isalnum() or each == "_",
        code.CATEGORY_NOT_DIGIT: lambda each: not each.isdigit(),
        code.CATEGORY_NOT_SPACE: lambda each: not each.isspace(),
        code.CATEGORY_NOT_WORD: lambda each: not (each.isalnum() or each == "_"),
    }
    return bool(has[name](c))
