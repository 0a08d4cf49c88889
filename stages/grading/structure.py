r"""Answers made of parts: matrices, points, intervals, sets, unions, lists, inequalities.

`plain` writes an answer in one form, so that equal text is an equal answer; `taken_apart` names
its shape and its parts, so that two answers are equal where their parts are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from stages.grading.wording import COMMAND

SHORT = 200  # characters of an answer that is worth remembering


class Shape(NamedTuple):
    """`kind` names brackets and sizes; parts of an `ordered` shape correspond one by one."""

    kind: str
    parts: tuple[str, ...]
    ordered: bool


UNICODE = {
    "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "×": "\\times ", "·": "\\cdot ",
    "−": "-", "–": "-", "÷": "/", "°": "^\\circ ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ",
    "∅": "\\emptyset ",
    "√": "\\sqrt ", "±": "\\pm ", "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "²": "^2", "³": "^3",
    "⟨": "\\langle ", "⟩": "\\rangle ", "，": ",", "（": "(", "）": ")", "：": ":", "＝": "=",
}  # fmt: skip
SAME = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "geq": "ge", "leqslant": "le",
    "geqslant": "ge", "neq": "ne", "varnothing": "emptyset", "lbrace": "{", "rbrace": "}", "lt": "<",
    "gt": ">", "to": "rightarrow", "degree": "circ", "displaystyle": "", "textstyle": "", "limits": "",
    "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": "", "Bigl": "", "Bigr": "",
    "bigg": "", "quad": "", "qquad": "", "infin": "infty", "arctan": "arctan", "ldots": "dots",
    "cdots": "dots",
}  # fmt: skip
VULGAR = re.compile("[¼-¾⅐-⅞]")
WORD = re.compile(r"\\([A-Za-z]+)\s*")
SPACING = re.compile(r"\\[,;:!> ]|~|\\(?=\s)")
WRAPS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"))
LOOSE_FRAC = re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)")
LOOSE_ROOT = re.compile(r"\\sqrt\s*(\w)(?!\w)")
SINGLE = re.compile(r"([\^_])\{(\w|\\[A-Za-z]+|[-+]?\d+)\}")
MATRIX = re.compile(r"\(?\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]+\})?(.*)\\end\{\1\}\)?", re.DOTALL)
NAMED = re.compile(
    r"(?:[A-Za-z](?:_\w|'|\([a-z]\))?|\\mathbf\{\w\}|\\theta|\\alpha)\s*(?:=|\\in(?![A-Za-z]))(.+)"
)
ORDER = re.compile(r"(<|>|\\le(?![A-Za-z])|\\ge(?![A-Za-z]))")
VARIABLE = re.compile(r"[a-zA-Z]|\\theta|\\alpha")


def _fraction(sign: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", sign[0]).partition("\u2044")
    return f"\\frac{{{top}}}{{{bottom}}}"


def plain(text: str) -> str:
    """One form of an answer: without dress and spacing, with one spelling for each sign."""
    return _plain(text) if len(text) <= SHORT else _plain.__wrapped__(text)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    text = _unwrapped(text)
    if not text.isascii():
        text = VULGAR.sub(_fraction, text)
        text = "".join(UNICODE.get(c, c) for c in text)
    text = text.replace("{,}", ",").replace("\\\\", "\x00").replace("\\%", "%").replace("\\$", "")
    text = SPACING.sub(" ", text)
    text = COMMAND.sub(lambda match: f" {match[1].strip()} ", text)
    text = WORD.sub(
        lambda match: f"\\{SAME.get(match[1], match[1])} " if SAME.get(match[1], "x") else " ", text
    )
    text = text.replace("\\{ ", "\\{").replace("\\} ", "\\}").replace("\x00", "\\\\")
    text = LOOSE_FRAC.sub(r"\\frac{\1}{\2}", text)
    text = LOOSE_ROOT.sub(r"\\sqrt{\1}", text)
    text = re.sub(r"\s+", " ", text).strip().removesuffix(".").strip()
    text = re.sub(r" ?([^\w\s\\,]|\\(?![A-Za-z])) ?", r"\1", text).replace(" ,", ",")
    text = re.sub(r"(\\[A-Za-z]+) (?![A-Za-z])", r"\1", text)
    return SINGLE.sub(r"\1\2", text).replace("^\\circ", "°")


def _unwrapped(text: str) -> str:
    text = text.strip()
    for _ in range(3):
        for start, end in WRAPS:
            inner = text[len(start) : -len(end)]
            if (
                len(text) > len(start + end)
                and text.startswith(start)
                and text.endswith(end)
                and start not in inner
            ):
                text = inner.strip()
    return text


def unnamed(text: str) -> str:
    """`text` without the name that it gives its value: `5` of `x = 5`."""
    named = NAMED.fullmatch(text.strip())
    return named[1] if named is not None else text


def taken_apart(text: str) -> Shape | None:
    """The shape of an answer in its plain form; None where it is one piece."""
    text = text.strip()
    if (matrix := MATRIX.fullmatch(text)) is not None and "\\begin" not in matrix[2]:
        rows = [row.split("&") for row in re.split(r"\\\\", matrix[2]) if row.strip()]
        bars = matrix[1] if matrix[1] in ("vmatrix", "Vmatrix") else "matrix"
        cells = tuple(cell.strip() for row in rows for cell in row)
        return Shape(f"{bars} {[len(row) for row in rows]}", cells, True) if cells else None
    if (named := NAMED.fullmatch(text)) is not None and not re.search(r"[=<>]|\\[lg]e", named[1]):
        inner = taken_apart(named[1])
        if inner is not None and inner.kind != "list":
            return inner
    if (interval := _ordered(text)) is not None:
        return interval
    for mark, kind in (("\\cup", "union"), (" or ", "list")):
        pieces = split(text, mark)
        if len(pieces) > 1:
            return _union(pieces, kind)
    pieces = split(text, ",")
    if len(pieces) > 1:
        ends = re.sub(r"^and ", "", pieces[-1])
        return Shape("list", (*pieces[:-1], ends), False)
    pieces = split(text, " and ")
    if len(pieces) > 1:
        return Shape("list", tuple(pieces), False)
    return _bracketed(text)


def _union(pieces: list[str], kind: str) -> Shape:
    """A union of intervals, whether they are joined by a cup or are inequalities joined by `or`."""
    if kind == "list" and all(_ordered(piece) is not None for piece in pieces):
        kind = "union"
    return Shape(kind, tuple(pieces), False)


def _bracketed(text: str) -> Shape | None:
    for start, end in (
        ("\\{", "\\}"),
        ("\\langle", "\\rangle"),
        ("(", ")"),
        ("[", "]"),
        ("(", "]"),
        ("[", ")"),
    ):
        inner = text[len(start) : -len(end)]
        if not (text.startswith(start) and text.endswith(end)) or not _balanced(inner):
            continue
        parts = tuple(split(inner, ","))
        if start == "\\{":
            return Shape("set", parts, False)
        if len(parts) > 1:
            mark = "()" if start == "\\langle" else start + end
            return Shape(f"{mark}{len(parts)}", parts, True)
    return None


def _ordered(text: str) -> Shape | None:
    r"""An inequality in one variable as an interval: `x > 3`, `0 \le x < 1`."""
    pieces = ORDER.split(text)
    if len(pieces) not in (3, 5) or "," in text or " or " in text:
        return None
    terms, signs = [piece.strip() for piece in pieces[::2]], pieces[1::2]
    if all(sign in (">", "\\ge") for sign in signs):
        terms, signs = terms[::-1], [{">": "<", "\\ge": "\\le"}[sign] for sign in signs[::-1]]
    if any(sign in (">", "\\ge") for sign in signs) or not all(terms):
        return None
    middle = [k for k, term in enumerate(terms) if VARIABLE.fullmatch(term)]
    if len(middle) != 1:
        return None
    k = middle[0]
    if len(terms) == 3 and k != 1:
        return None
    low = terms[k - 1] if k else "-\\infty"
    high = terms[k + 1] if k + 1 < len(terms) else "\\infty"
    opens = "[" if k and signs[k - 1] == "\\le" else "("
    closes = "]" if k + 1 < len(terms) and signs[k] == "\\le" else ")"
    return Shape(f"{opens}{closes}2", (low, high), True)


def split(text: str, mark: str) -> list[str]:
    """`text` cut at each `mark` that stands in no bracket."""
    pieces, depth, start, k = [], 0, 0, 0
    while k < len(text):
        if text[k] in "([{":
            depth += 1
        elif text[k] in ")]}":
            depth -= 1
        elif text.startswith("\\langle", k) or text.startswith("\\begin", k):
            depth += 1
        elif text.startswith("\\rangle", k) or text.startswith("\\end", k):
            depth -= 1
        if depth == 0 and text.startswith(mark, k) and not _thousands(text, k, mark):
            pieces.append(text[start:k].strip())
            k += len(mark)
            start = k
            continue
        k += 1
    return [*pieces, text[start:].strip()]


def _thousands(text: str, k: int, mark: str) -> bool:
    """Whether the comma at `k` divides the digits of one number, as far as can be seen."""
    return (
        mark == ","
        and text[k - 1 : k].isdigit()
        and re.match(r",\d{3}(?!\d)", text[k:]) is not None
        and not re.search(r",\d{1,2}(?!\d)|,\s*-|,\d{4}", text)
    )


def _balanced(text: str) -> bool:
    depth = 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if depth < 0:
            return text.count("(") + text.count("[") == text.count(")") + text.count("]")
    return True


def same(gold: str, other: str, leaf: Callable[[str, str], bool]) -> bool:
    """Whether two answers in plain form are equal part by part, as `leaf` compares single pieces."""
    if gold == other:
        return True
    a, b = taken_apart(gold), taken_apart(other)
    if a is None or b is None:
        return a is None and b is None and leaf(gold, other)
    if a.kind != b.kind and {a.kind, b.kind} != {"set", "list"}:
        return False
    if len(a.parts) != len(b.parts) or len(a.parts) > 64:
        return False
    if a.ordered:
        return all(same(x, y, leaf) for x, y in zip(a.parts, b.parts, strict=True))
    left = list(b.parts)
    for part in a.parts:
        match = next((k for k, each in enumerate(left) if same(part, each, leaf)), None)
        if match is None:
            return False
        del left[match]
    return True
