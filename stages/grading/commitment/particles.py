"""The small words with which a language joins answers, denies them, takes them back or explains them.

They stand in particles.toml: who adds a language adds its rows there. What no row can say is here.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

# Words that join only two numbers, formulas or letters: anywhere else they are other words.
NARROW = frozenset(["a", "à", "i", "u", "en", "to", "bis", "et", "ya", "hay", "then"])
# What is counted may be denied itself: `the number of wrong answers is 7`, `7 false statements`.
DENIED = (
    "wrong|incorrect|incorrectly|false|invalid|untrue|impossible|excluded|rejected|eliminated|discarded|"
    "denied"
)
COUNTED = (
    r"\b(?:number|count|amount|quantity|total|percentage|percent|fraction|proportion|share|probability) of\s"
    r"(?:(?:who|that|which)\s(?:is|are|was|were)\s"
    r"|(?!(?:is|are|was|were|be|equals|not|never|cannot)\s)[\w']{1,40}\s){0,5}?"
    rf"(?:{DENIED}|not|never|without)\b(?!\s*[\d$\\(*])"
    rf"|(?<=\d )(?:{DENIED})\s(?=[a-z]{{3,40}}s\b)"
)

# Signs of one letter that are parts of other words: they join only between what looks like answers.
EDGE, NEXT = r"(?<=[0-9A-Za-z一-鿿ァ-ヶ가-힣)}）」%$])", r"(?=\s?[-0-9A-Z$\\(（「一-鿿ァ-ヶ가-힣])"
TIGHT = {
    "or": rf"{EDGE}(?:か|から|～|(?:이나|에서|부터) ){NEXT}|(?<=[0-9A-Za-z)}}$])\s?(?:到|至|~|나 "
    rf")\s?(?=[-0-9A-Z$\\(])|(?<=\$)\s?/\s?(?=\$)"
    r"|(?<=[\dA-Z)}$%] )up to(?= )|不是(?=[^。]{1,20}就是)|除了(?=[^。]{1,20}还有)|还有",
    "equals": "就是",
    "not": r"除(?=[^了。]{1,20}外)|(?<!\w)(?<!\d )(?<!\. )mai(?!\w)(?! \d{4})",
    "and": rf"{EDGE}(?:と|や|(?:와|과|랑) ){NEXT}",
}


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def table(name: str) -> dict[str, str]:
    """The rows of a table by language: phrases with `|` between them."""
    found: dict[str, str] = _file()[name]
    return found


def first() -> dict[str, dict[str, str]]:
    """Tables by kind whose phrases are tried before all others: `if not 6, then 7` denies nothing."""
    found: dict[str, dict[str, str]] = _file()["first"]
    return found


@cache
def phrases(name: str) -> frozenset[str]:
    """All phrases of a table, whatever their language."""
    return frozenset(phrase for row in table(name).values() for phrase in row.split("|"))
