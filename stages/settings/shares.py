"""FILE=NUMBER, as `split` and `mix` take it: a file and its part of the whole."""

from __future__ import annotations

from fractions import Fraction

SMALLEST = 1e-12  # a number below it would take more digits than it is worth


def share_of(text: str, largest: float) -> tuple[str, Fraction]:
    """The file and the number, which is exact; 0 where it is none above 0 and at most `largest`."""
    path, _, value = text.rpartition("=")
    try:
        sensible = SMALLEST <= float(value) <= largest
        return path, Fraction(value) if sensible else Fraction(0)
    except ValueError:
        return path, Fraction(0)
