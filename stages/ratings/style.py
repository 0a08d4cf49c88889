"""Style of an answer, as Arena-Hard counts it: length, and headers, lists and bold text in its Markdown.

What stands between fences of code is left out of the counts, as there. Length is in characters; Arena-Hard's
is in tokens of a model of OpenAI's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

FENCED = re.compile(r"```[^`]*```")
HEADER = re.compile(r"^#{1,6}\s", re.MULTILINE)
ITEM = re.compile(r"^[^\S\n]*(?:\d+\.|[-*+])\s", re.MULTILINE)
BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
FEATURES = ("length", "headers", "lists", "bold")


class Style(NamedTuple):
    """Counts of one answer; of lists the entries."""

    length: float
    headers: float
    lists: float
    bold: float


def style_of(answer: str) -> Style:
    """The style of an answer in Markdown."""
    plain = FENCED.sub("", answer)
    found = (HEADER, ITEM, BOLD)
    return Style(len(answer), *(sum(1 for _ in each.finditer(plain)) for each in found))


def style_in(value: Any) -> Style | None:
    """The style that an object with all four counts says; None for anything else."""
    if not isinstance(value, Mapping) or not all(name in value for name in FEATURES):
        return None
    counts = [value[name] for name in FEATURES]
    fit = all(isinstance(each, (int, float)) and not isinstance(each, bool) and each >= 0 for each in counts)
    return Style(*map(float, counts)) if fit else None


def apart(own: Style, other: Style) -> tuple[float, float, float, float]:
    """The four differences: of lengths over their sum; of the others per character, over their sum plus 1."""
    whole = own.length + other.length
    denser = [(a - b) / (a + b + 1) for a, b in zip(_densities(own), _densities(other), strict=True)]
    return ((own.length - other.length) / whole if whole else 0.0, denser[0], denser[1], denser[2])


def _densities(style: Style) -> list[float]:
    return [count / style.length if style.length else 0.0 for count in style[1:]]
