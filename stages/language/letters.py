"""Letters that are written in more than one way, and signs that nobody sees.

A reward must not be moved by either: full-width, mathematical and enclosed letters are the letters they
show, and a block of zero-width spaces is empty. All of it takes time in proportion to the text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# normalize() sorts the marks after a letter in quadratic time: a text of nothing else is cut here.
PIECE = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]{1,256}")
MARKS = re.compile("[\u0300-\u036f]+")
# Ranges of code points that are shown as nothing at all (Default_Ignorable_Code_Point of Unicode 16), and of
# those that are shown as a blank though they are no white space.
IGNORED = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF,
    0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
BLANKS = frozenset("\u2800\u16fe\U0001d159\U00016fe4\ufffc")
# Blocks with letters that NFKC turns into those of common alphabets.
BLOCKS = (
    (0x2B0, 0x2B8), (0x1D00, 0x1DBF), (0x2071, 0x209C), (0x2100, 0x2134), (0x2139, 0x214F), (0x2460, 0x24FF),
    (0x2C7C, 0x2C7D), (0x3200, 0x337F), (0xA730, 0xA731), (0xFB00, 0xFDFF), (0xFE70, 0xFEFE), (0xFF21,
    0xFFDC),
    (0x1D400, 0x1D7FF), (0x1EE00, 0x1EEFF), (0x1F110, 0x1F189),
)  # fmt: skip
NAMED = re.compile(
    r"(?:LATIN LETTER SMALL CAPITAL|NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER) ([A-Z])"
)


def compatible(text: str) -> str:
    """`text` in the form NFKC: `Ａ` is `A`, `①` is `1`, a letter and its accent are one."""
    return text if text.isascii() else _normal(text, "NFKC")


def _normal(text: str, form: str) -> str:
    return PIECE.sub(lambda match: unicodedata.normalize(form, match[0]), text)  # type: ignore[arg-type]


def plain(text: str) -> str:
    """`text` with each letter as it is commonly written, without marks of its own and what is not shown.

    All other signs, and so where a sentence ends, stay as they are.
    """
    if text.isascii():
        return text
    text = text.translate(_table())
    return MARKS.sub("", _normal(text, "NFC")) if MARKS.search(text) else text


def blank(text: str) -> bool:
    """Whether nothing of `text` can be seen: white space, controls, and what is not shown."""
    return all(map(_unseen, frozenset(text.strip())))


def _unseen(c: str) -> bool:
    # Marks alone are a letter's dress without the letter.
    return (
        unicodedata.category(c)[0] in "CZM"
        or c in BLANKS
        or any(low <= ord(c) <= high for low, high in IGNORED)
    )


@lru_cache(maxsize=1)
def _table() -> dict[int, str | None]:
    table: dict[int, str | None] = {}
    for low, high in BLOCKS:
        for point in range(low, high + 1):
            letters = "".join(filter(str.isalpha, unicodedata.normalize("NFKC", chr(point))))
            named = NAMED.fullmatch(unicodedata.name(chr(point), ""))
            if letters not in ("", chr(point)):
                table[point] = letters
            elif named is not None:
                table[point] = named[1].lower()
    for low, high in IGNORED:
        table |= dict.fromkeys(range(low, high + 1))
    return table
