r"""What needs computer algebra: math-verify's judgement, and the forms that it does not read.

math-verify says first; where it finds two answers unequal, they are compared once more part by part
(matrices, intervals, lists), with `i` as the imaginary unit, and in forms that it cannot read
(`0.\overline{3}`).
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from stages.grading import numbers, structure
from stages.grading.places import Found

DELIMITED = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed")
LATEX = re.compile(r"\\(?:text|textbf|mathrm|mbox|textnormal)\s*\{([^{}]*)\}|\\[A-Za-z]+")
ONE_NUMBER = re.compile(r"-?[1-9]\d{0,2}(?:[ ,]\d{3})+(?:\.\d+)?%?|-?(?:\d+(?:[.,]\d+)?|[.,]\d+)\s?%?")
PROSE = re.compile(r"[A-Za-z]{3,}")
FORMULA = re.compile(
    r"(?<!\\)\$\$?((?:[^$\\]|\\.)+)\$|\\\(((?:(?!\\[()]).)+)\\\)|\\\[((?:(?!\\[\[\]]).)+)\\\]",
    re.DOTALL,
)
REPEATING = re.compile(r"(-?\d*)\.(\d*)\\(?:overline|bar)\{?(\d+)\}?")
SCIENTIFIC = re.compile(
    r"(-?\d+(?:\.\d+)?)(?:(?:\\times|\\cdot|\*|x)?10\^\{?(-?\d{1,3})\}?|[eE]([-+]?\d{1,3}))"
)
MIXED = re.compile(r"(-?)(\d+)(?: |\\frac\{)(\d+)(?:/|\}\{)(\d+)\}?")
EUROPEAN = re.compile(r"-?\d{1,3}(?:\.\d{3})+,\d+")
MARKED = re.compile(r"\d\s*(?:_|[?…⁰¹⁴-ⁿ₀-₉①-⓿¼-¾⅐-⅞]|\\[lc]?dots)")
BASED = re.compile(r"(\w+)_\{?(\d+)\}?")


LONG = 4000  # characters of one formula
TAIL = 10_000  # characters of prose, at its end, in which a last answer is looked for
DEEP = 40  # brackets in each other
TOWER = 3  # exponents in each other
POWER = re.compile(r"\^\{?\d{7,}")
FACTORIAL = re.compile(r"(?<!\d)\d{5,}[^\d!]{0,12}!|!\)*!\)*!|!\)+!")


def beyond(text: str) -> str:
    """Why a formula is not given to computer algebra, which would not come back; "" where it may be."""
    if len(text) > LONG:
        return f"a formula of {len(text)} characters"
    open_: list[bool] = []  # for each bracket, whether it is an exponent
    deepest = highest = high = 0
    for k, c in enumerate(text):
        if c in "([{":
            open_.append(text[k - 1 : k] == "^")
            high += open_[-1]
            deepest, highest = max(deepest, len(open_)), max(highest, high)
        elif c in ")]}" and open_:
            high -= open_.pop()
    if deepest > DEEP:
        return f"brackets {deepest} deep"
    if highest >= TOWER or POWER.search(text):
        return "a tower of powers"
    return "a factorial beyond reach" if FACTORIAL.search(text) else ""


def prepare() -> None:
    """Loads math-verify in a worker before the clock of the first record starts."""
    equal("$1$", Found("boxed", "\\frac{2}{2}", ""))


def readings(text: str) -> list[str]:
    r"""`text` as math-verify reads it: bare mathematics is boxed, prose and delimited text stay.

    A comma between two numbers may be a decimal comma or divide a list: both are read.
    """
    if DELIMITED.search(text):
        return [text]
    text = text.replace("**", "") if text.startswith("**") else text
    if ONE_NUMBER.fullmatch(text):
        return [text, "\\boxed{" + text + "}"] if "," in text else [text]
    bare = LATEX.sub("", text)
    return [text] if PROSE.search(bare) or "\n" in text else ["\\boxed{" + text + "}"]


@lru_cache(maxsize=256)
def parsed(text: str) -> tuple[Any, ...]:
    """What math-verify reads in `text`. The pool's deadline stands for its timeouts."""
    from math_verify import parse

    return tuple(parse(text, parsing_timeout=None))


def equal(gold: str, found: Found) -> bool | None:
    """Whether the two are equal; None where the reference cannot be read as mathematics.

    Raises what math-verify does: a comparison that failed is no inequality.
    """
    import logging

    from math_verify import verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    want, got = structure.plain(gold), structure.plain(_formula(found))
    exact = _exact(want), None if found.several else _exact(got)
    if exact[0] is not None and exact[0] == exact[1]:
        return True
    based = BASED.fullmatch(want), BASED.fullmatch(got)
    if based[0] and based[1] and want[0].isdigit():
        return based[0].groups() == based[1].groups()
    marked = not found.several and found.place != "last" and MARKED.search(_formula(found))
    if marked and not MARKED.search(gold) and not (based[1] and based[1][2] == "10"):
        # math-verify passes over what it does not know beside a number.
        return not based[1] and exact[0] is not None and exact[0] == exact[1]
    wanted = [each for text in readings(gold) for each in parsed(text)]
    if found.place == "boxed":
        texts = [found.context if found.several else "\\boxed{" + found.text + "}"]
    else:
        texts = readings(found.text)
    taken = [each for text in texts for each in parsed(text)]
    readable = any(not isinstance(each, str) for each in wanted) or exact[0] is not None
    readable = readable or structure.taken_apart(want) is not None
    if not readable and not any(each in wanted for each in taken):
        return None
    if taken and verify(wanted, taken, timeout_seconds=None, raise_on_error=True):
        return True
    if found.several or not got:
        return False
    return structure.same(want, got, _same_piece) or _same_complex(wanted, taken)


def _formula(found: Found) -> str:
    """The answer as one formula: of prose, the last that stands in it; "" where there is none."""
    if found.place == "boxed":
        return found.text
    formulas = FORMULA.findall(found.text)
    if formulas:
        return str(next(part for part in formulas[-1] if part))
    return "" if found.place == "last" and PROSE.search(LATEX.sub("", found.text)) else found.text


def _same_piece(gold: str, other: str) -> bool:
    """Whether two pieces of mathematics in plain form are equal."""
    from math_verify import verify

    if gold == other:
        return True
    a, b = _exact(gold), _exact(other)
    if a is not None and b is not None:
        return a == b
    wanted, taken = parsed(f"${gold}$"), parsed(f"${other}$")
    return bool(
        wanted and taken and verify(list(wanted), list(taken), timeout_seconds=None, raise_on_error=True)
    )


def _same_complex(wanted: list[Any], taken: list[Any]) -> bool:
    r"""Whether two constants in `i` have the same value, as `e^{i\pi}` and -1: for math-verify it is a
    name."""
    from sympy import Expr, I

    values = [next((each for each in side if isinstance(each, Expr)), None) for side in (wanted, taken)]
    if values[0] is None or values[1] is None:
        return False
    names = values[0].free_symbols | values[1].free_symbols
    if {name.name for name in names} != {"i"}:
        return False
    return abs(complex((values[0] - values[1]).subs(dict.fromkeys(names, I)).evalf(30))) < 1e-20


def _exact(text: str) -> Fraction | None:
    """The value of a number in plain form, in the notations that math-verify does not read, too."""
    if len(text) > 60:
        return None
    if (repeating := REPEATING.fullmatch(text)) is not None:
        return _repeating(*repeating.groups())
    if (scientific := SCIENTIFIC.fullmatch(text)) is not None:
        power = int(scientific[2] or scientific[3])
        return Fraction(scientific[1]) * Fraction(10) ** power
    if (mixed := MIXED.fullmatch(text)) is not None and int(mixed[4]):
        size = int(mixed[2]) + Fraction(int(mixed[3]), int(mixed[4]))
        return -size if mixed[1] else size
    if EUROPEAN.fullmatch(text):
        return Fraction(text.replace(".", "").replace(",", "."))
    if len(text) > 1 and text[0] == "+" and text[1].isdigit():
        text = text[1:]
    number = numbers.read(text)
    return None if number is None else number.value


def _repeating(whole: str, fixed: str, cycle: str) -> Fraction:
    """`0.1\\overline{6}`: the fixed digits, and the cycle over as many nines."""
    size = Fraction(int(fixed or 0), 10 ** len(fixed))
    size += Fraction(int(cycle), (10 ** len(cycle) - 1) * 10 ** len(fixed))
    value = abs(int(whole)) + size if whole not in ("", "-") else size
    return -value if whole.startswith("-") else value
