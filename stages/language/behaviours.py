"""How often the phrases of a text show the habits of reasoning.

English for the four habits of arXiv 2503.01307; reflection, the "aha moment" of the R1 paper, in many
languages (data/behaviours.toml). A phrase stands for its habit only roughly: figures to watch, not to pay.
"""

from __future__ import annotations

import re
from functools import lru_cache

from stages.language.tables import table


@lru_cache(maxsize=2)
def _patterns(small: bool) -> dict[str, re.Pattern[str]]:
    """One pattern for each kind; compiled when the first text comes, as that takes some milliseconds.

    Those for `small` ASCII letters find the same in such texts in half of the time.
    """
    data = table("behaviours.toml")
    words = [word for each in data["reflection"].values() for word in each if word.isascii() or not small]
    # Words of scripts that put spaces between words, and no marks inside them, stand alone.
    alone = "|".join(word for word in words if word[0] < "\u0590")
    others = [word for word in words if word[0] >= "\u0590"]
    sources = {kind: "|".join(each) for kind, each in data["phrases"].items()}
    sources["reflection"] = "|".join([rf"(?<!\w)(?:{alone})(?!\w)", *others])
    flags = re.ASCII if small else re.IGNORECASE
    return {kind: re.compile(source, flags) for kind, source in sources.items()}


def _read(text: str) -> tuple[str, dict[str, re.Pattern[str]]]:
    """What is looked at of a text, and by which patterns."""
    plain = text.replace("’", "'")
    small = plain.isascii()
    return plain.lower() if small else plain, _patterns(small)


def counted(text: str) -> dict[str, float]:
    """How often each habit shows in `text`, by its name, reflection last."""
    plain, patterns = _read(text)
    return {kind: float(sum(1 for _ in pattern.finditer(plain))) for kind, pattern in patterns.items()}


def reflects(text: str) -> bool:
    """Whether a reflection word of any language stands in `text`."""
    plain, patterns = _read(text)
    return patterns["reflection"].search(plain) is not None
