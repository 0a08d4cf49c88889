"""Whether a program printed what it should.

`lines`: the lines agree, without white space at their ends and without empty lines at the end of the output;
within a line, words may be parted by any blanks, and a number with a point or exponent may differ by the
tolerance. `tokens`: the words agree, whatever the lines. `exact`: the same bytes but for the last line break.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal

Comparison = Literal["lines", "tokens", "exact"]
REAL = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?")
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def difference(got: str, want: str, comparison: Comparison, tolerance: float) -> str:
    """Where they part, in words; nothing where the output is right."""
    if comparison == "exact":
        got, want = got.removesuffix("\n"), want.removesuffix("\n")
        return "" if got == want else _parting(got.split("\n"), want.split("\n"), lambda a, b: a == b)

    def alike(a: str, b: str) -> bool:
        return a == b or _words(a.split(), b.split(), tolerance)

    if comparison == "tokens":
        return _parting(got.split(), want.split(), alike, "word")
    return _parting(_lines(got), _lines(want), alike)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.rstrip().splitlines()]


def _words(got: list[str], want: list[str], tolerance: float) -> bool:
    return len(got) == len(want) and all(
        a == b or _close(a, b, tolerance) for a, b in zip(got, want, strict=True)
    )


def _close(got: str, want: str, tolerance: float) -> bool:
    """Numbers, where the wanted one is no whole number: the absolute or relative difference counts."""
    if not REAL.fullmatch(want) or not NUMBER.fullmatch(got):
        return False
    return math.isclose(float(got), float(want), rel_tol=tolerance, abs_tol=tolerance)


def _parting(got: list[str], want: list[str], alike: Callable[[str, str], bool], unit: str = "line") -> str:
    for number, (a, b) in enumerate(zip(got, want, strict=False), 1):
        if not alike(a, b):
            return f"{unit} {number}: {_short(a)} is not {_short(b)}"
    if len(got) != len(want):
        return f"{len(got)} {unit}s, not {len(want)}"
    return ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
