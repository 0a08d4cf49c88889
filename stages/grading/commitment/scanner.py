"""The particles as one pattern, which gives each word and sign of a statement its kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from stages.grading.commitment import particles

# In the order in which they are tried: what looks like a denial and is none comes first.
TABLES = (
    "neutral", "bound", "not", "wrong", "so", "back", "rather", "no", "or", "because", "if", "and", "but",
)  # fmt: skip
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
QUESTION = "?？؟"
WORD = rf"[^\W\d_{UNSPACED}]+(?:['’][^\W\d_{UNSPACED}]+)*"
ASCII_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
STRIKING = "[xb]?cancel|sout|st"  # commands of LaTeX
# What stands around the phrases of each form. A letter joins only between two things: in `e^x` and `y = 2` it
# is a name.
FRAMES = {
    "words": (r"(?<![\w\\])", r"(?!\w)"),
    "letter": (r"(?<=[\w)}$»\"”*] )", r"(?= [-\w({$\\«\"“*])"),
    "narrow": (r"(?<=[\dA-Z)}$%] )", r"(?= [-\dA-Z$\\({])"),
    "sign": ("", ""),
    "unspaced": ("", ""),
}


def _phrases(tables: Iterable[dict[str, str]]) -> set[str]:
    rows = [row for table in tables for lang, row in table.items() if lang != "signs"]
    return {phrase for row in rows for phrase in row.split("|") if phrase}


def _form(phrase: str) -> str:
    if phrase in particles.NARROW:
        return "narrow"
    if re.search(f"[{UNSPACED}]", phrase):
        return "unspaced"
    return "letter" if len(phrase) == 1 else "words"


def pattern(table: dict[str, str]) -> str:
    """One alternation for a table: words whole, others anywhere, the longest first."""
    forms: dict[str, list[str]] = {form: [] for form in FRAMES}
    for phrase in sorted(_phrases([table]), key=lambda each: (-len(each), each)):
        forms[_form(phrase)].append(phrase)
    parts: list[str] = []
    for form, (before, behind) in FRAMES.items():
        if form == "sign":
            parts += map(_sign, table["signs"].split("|") if "signs" in table else ())
        elif forms[form]:
            parts.append(before + _grouped(forms[form]) + behind)
    return "|".join(parts)


def _sign(sign: str) -> str:
    before, behind = r"(?<![\w)}])" * (sign == "!="), "(?![A-Za-z])" * sign[-1].isalpha()
    return before + re.escape(sign) + behind


def _grouped(phrases: list[str]) -> str:
    """An alternation by first letter, so that each place tries the phrases of one letter."""
    rows: dict[str, list[str]] = {}
    for phrase in phrases:
        rows.setdefault(phrase[0], []).append(re.escape(phrase[1:]).replace("\\ ", r"\s+"))
    each = (re.escape(first) + (f"(?:{'|'.join(rest)})" if any(rest) else "") for first, rest in rows.items())
    return f"(?:{'|'.join(each)})"


@cache
def scanner() -> re.Pattern[str]:
    """Each match is a token; the name of its group, without `_` at its end, is the kind."""
    tables = [f"(?P<{kind}>{pattern(particles.table(kind))})" for kind in TABLES]
    unspaced = {lang: row for lang, row in particles.table("link").items() if lang in ("zh", "ja", "ko")}
    groups = [
        f"(?P<neutral___>{particles.COUNTED})",
        tables[0],
        r"(?P<bound_>\A\s*(?:over|under|above|below|beyond)\s(?=[$\\]*\d))",
        r"(?P<naming>not\s(?:true|correct|right|possible|supported|valid|an?\s\w+|\w+ed)\s(?=is\b|are\b))",
        *(f"(?P<{kind}__>{pattern(table)})" for kind, table in particles.first().items()),
        *(f"(?P<{kind}_>{tight})" for kind, tight in particles.TIGHT.items()),
        *tables[1:],
        r"(?P<or___>\|)",
        r"(?P<arrow>(?<=\d)\.{2,4}(?=\d)|(?:(?<![-=])[-=]+>|<-+(?![->])|[→⇒➔➜⟹⟶↦←⟵⇐]"
        r"|\\(?:(?:[lL]ong)?(?:[rR]ightarrow|mapsto)|to|implies|gets|(?:long)?leftarrow|Leftarrow"
        r"|[a-z]*harpoons)"
        r"(?![A-Za-z])))",
        r"(?P<equals>(?<![<>!:=])={1,3}(?![=>])|＝|\\equiv(?![A-Za-z])|≡)",
        r"(?P<about>≈|≃|≅|≒|~=|\\(?:approx|cong|simeq|doteq)(?![A-Za-z]))",
        r"(?P<order>[≤≥⩽⩾＜＞]|[<>]=?(?![A-Za-z/!|<>])"
        r"|\\(?:le|ge|leq|geq|leqslant|geqslant|lt|gt)(?![A-Za-z]))",
        r"(?P<beside>[∪⊕•◦▪¦∥⁞]|\\(?:cup|oplus|bullet|parallel)(?![A-Za-z]))",
        rf"(?P<ask>[{QUESTION}]|吗|嗎|ですか|でしょうか|입니까|인가요)",
        r"(?P<slash>(?<=[^\d/\s<])/(?=[^\d/\s])|(?<=\s)/(?=\s)|／)",
        r"(?P<stop>(?:(?<![.!。！])|(?<=[a-z]\.))[.!。！]++(?=\s|$|\*)|[\n\t]|:(?=\s)|：)",
        r"(?P<number>\d(?:[.,]?\d)*+)",
        r"(?P<open_>\\\{)|(?P<close_>\\\})|(?P<command>\\[A-Za-z]+|\\.)",
        f"(?P<word>{WORD})",
        rf"(?P<link>{pattern(unspaced)})",
        rf"(?P<character>[{UNSPACED}])",
        r"(?P<open>[(\[{（「『【])",
        r"(?P<close>[)\]}）」』】])",
        r"(?P<sign>\S)",
    ]
    return re.compile("|".join(groups))


@cache
def links() -> frozenset[str]:
    """The single words that may stand between an answer and what is said of it."""
    return frozenset(phrase for phrase in _phrases([particles.table("link")]) if " " not in phrase)


@cache
def triggers(*kinds: str) -> frozenset[str]:
    """Words of ASCII without which no phrase of these tables (all by default) is complete: where none stands,
    none does.
    """
    kinds = kinds or TABLES
    tables = [particles.table(kind) for kind in kinds]
    tables += [table for kind, table in particles.first().items() if kind in kinds]
    phrases = [re.findall(r"[a-z']+", each) for each in _phrases(tables) if each.isascii()]
    single = {words[0] for words in phrases if len(words) == 1} - particles.NARROW
    longest = {
        max(words, key=lambda word: (word not in links(), len(word)))
        for words in phrases
        if len(words) > 1 and single.isdisjoint(words)
    }
    return frozenset(single | longest)
