r"""Numbers read exactly, where no computer algebra is needed to say that two answers are equal.

Integers, decimals, thousands separators, percentages, fractions (`3/4`, `\frac{3}{4}`). What is
not clearly one of these is None, and what two of them come to is None unless math-verify would
certainly say the same: it rounds decimals to six places, and takes `28%` for `28` as well as 0.28.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Literal, NamedTuple


class Number(NamedTuple):
    """`kind` is how it was written, which decides how math-verify compares it."""

    value: Fraction
    kind: Literal["integer", "decimal", "fraction"]
    percent: bool


PLAIN = r"-?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d+)?|-?\.\d+"
NUMBER = re.compile(rf"({PLAIN})\s*(\\?%|percent|pct)?\.?")
SLASHED = re.compile(r"(-?\d+)\s*/\s*(\d+)\.?")
FRAC = re.compile(r"(-?)\\[dtc]?frac\s*(?:\{(-?\d+)\}\s*\{(\d+)\}|(\d)\s*(\d))\.?")
# `$`, `\$`, `\(..\)`, `\[..\]`, thin spaces, `{,}` and bold around or inside a number.
WRAPPING = re.compile(r"\*\*|\\[()\[\]!,;: ]|\\?\$|\\displaystyle|[€£¥₹]")
# A number among words: what may stand before it, and what makes it part of an expression.
DIGITS = re.compile(r"\d")
OPERATORS = "+-*/^()×÷=−·<>≈"
MONEY = "$€£¥₹"


def read(text: str) -> Number | None:
    """The number that `text` is, or None. Wrapping and a currency sign are taken off."""
    text = text.strip()
    return _read(text) if len(text) <= 60 else None


@lru_cache(maxsize=1024)
def _read(text: str) -> Number | None:
    match = NUMBER.fullmatch(text)
    if match is None:
        if any(mark in text for mark in "\\$*{") or not text.isascii():
            text = WRAPPING.sub("", text.replace("{,}", ",").replace(",\\!", ",")).strip()
            match = NUMBER.fullmatch(text)
        if match is None:
            return _fraction(text)
    digits, percent = match.groups()
    decimal = "." in digits
    value = Fraction(digits.replace(",", ""))
    return Number(value, "decimal" if decimal else "integer", percent is not None)


def _fraction(text: str) -> Number | None:
    if slashed := SLASHED.fullmatch(text):
        top, bottom = int(slashed[1]), int(slashed[2])
    elif frac := FRAC.fullmatch(text):
        top = int(frac[2] or frac[4]) * (-1 if frac[1] else 1)
        bottom = int(frac[3] or frac[5])
    else:
        return None
    return Number(Fraction(top, bottom), "fraction", False) if bottom else None


def same(gold: Number, other: Number) -> bool | None:
    """Whether the two are equal as math-verify sees it; None where only it can tell."""
    a, b = gold.value, other.value
    if gold.percent or other.percent:
        return _same_share(gold, other)
    if a == b:
        return True
    gap = abs(a - b)
    if gold.kind == "decimal" or other.kind == "decimal":
        # Near the sixth decimal, or past the 15 digits of a float, rounding decides.
        return False if gap > Fraction(1, 10**5) and gap > abs(a) / 10**11 else None
    return False if gap > Fraction(1, 10**9) else None


def _same_share(gold: Number, other: Number) -> bool | None:
    """`same` where at least one is a percentage: math-verify takes `28%` for 28, and for 0.28.

    Not so `-28%`, which it reads as minus `28%` in LaTeX and as one number in prose.
    """
    if gold == other:
        return True
    if not gold.kind == other.kind == "integer":
        return None
    if gold.percent and other.percent:
        return False
    if gold.value == other.value:
        return True if gold.value >= 0 else None
    share, whole = (gold, other) if gold.percent else (other, gold)
    return share.value == 100 * whole.value


def last_in(text: str) -> str | None:
    """The last number of prose, as written with its percent sign.

    None where there is none, or where it may be part of an expression, a date or a word.
    """
    end = len(text)
    while end and not text[end - 1].isdecimal():
        end -= 1
    if not end:
        return None
    start = end
    while start and (text[start - 1].isdecimal() or text[start - 1] in ",."):
        start -= 1
    token = text[start:end].lstrip(",")
    start = end - len(token)
    if start and text[start - 1] == "-" and (start == 1 or text[start - 2] in " \t\n=$"):
        start -= 1
        token = text[start:end]
    before = text[:start].removesuffix("**")
    if before and before[-1] in MONEY:
        before = before[:-1].removesuffix("**")
    if before and before[-1] not in " \t\n=":
        return None
    left = before.rstrip()
    if left and left[-1] in OPERATORS and left[-1] not in "=<>≈":
        return None
    after = text[end:].removeprefix("**")
    right = after.lstrip()
    if right and (right[0] in OPERATORS + "\\_" or right[0] in "²³"):
        return None
    if left and left[-1].isdigit():  # `3 1/2`, `1 000`, `5 6`
        return None
    if after[:1] in ",:" and after[1:2].isdigit():
        return None
    percent = re.match(r"\s*(?:%|[Pp]ercent|[Pp]ct)", after)
    if not re.fullmatch(PLAIN, token):
        return None
    return token + "%" if percent else token
