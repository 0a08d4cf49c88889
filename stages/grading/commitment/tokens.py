"""A statement as tokens: each word and sign with its kind, and the parts that separators cut it into."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from stages.grading import wording
from stages.grading.commitment import particles
from stages.grading.commitment.scanner import ASCII_WORD, STRIKING, UNSPACED, links, scanner, triggers

NEGATIVE = re.compile(r"n['’]t$")
CAPITAL = re.compile(rf"[^\W\d_{UNSPACED}]{{2,}}|\bI(?=\s[a-z])")
NO_ADVERB = "family|july|italy|reply|supply|ally|assembly|anomaly|only|multiply|apply"
ADVERB = re.compile(rf"(?!(?:{NO_ADVERB})$)[a-z]{{2,60}}ly|[^\W\d_]{{2,60}}mente")
SUBORDINATE = frozenset(["dass", "daß", "que", "qu", "che", "что", "that"])
ARTICLE = re.compile(r"\s+(?!(?:is|are|and|or|because|since|as|for|which|with)\b)[a-z]")
VALUE = re.compile(
    r"\d|\\(?!text|left|right|quad|,|;|!)[A-Za-z]|\$|[A-Za-z]\s?[-+*/^=]|^\W*[A-Za-z]\W*$|[①-⑳½-⅞²³¹⁰-₉]"
)
SUSPECT = re.compile(
    r"[^\x00-\x7f]|[<>]|[\dA-Z)}$%] (?:to|a|et|en|bis|i|u|ya|hay|then) [-\dA-Z$\\({]|\bmai\b|[?|~;/&=]|->|, "
    r"|\.\.|[\n\t]|!=|--|::"
    r"|\\(?:approx|cong|simeq|[lg](?:e|t|eq|eqslant)(?![a-zA-Z])|cup|oplus|bullet|parallel|gets"
    r"|[a-z]*eftarrow|lor|lnot|vee|wedge|land|mid|sim|quad|qquad|n"
    rf"|{STRIKING}|to|implies|iff|mapsto|\\|[a-zA-Z]*(?:ightarrow|harpoons))"
)
ALTERNATIVE = frozenset(["or", "arrow", "equals", "slash", "about", "order", "beside"])
SEPARATES = ALTERNATIVE | frozenset(["and", "but", "stop", "because", "if", "so", "back", "rather", "ask"])
DENIES = frozenset(["not", "no", "wrong", "bound"])
BRACKETS = frozenset(["sign", "open", "close"])
SMALL = BRACKETS | frozenset(["link", "neutral", "command"])  # says nothing by itself


class Token(NamedTuple):
    kind: str
    start: int
    end: int
    text: str

    @property
    def nests(self) -> int:
        """1 for a bracket that opens, -1 for one that closes."""
        return (self.kind == "open") - (self.kind == "close")

    @property
    def said(self) -> str:
        """The text for comparison."""
        return self.text.casefold()


class Part(NamedTuple):
    """The tokens between two separators; `joint` is the kind of the one before them."""

    joint: str
    sign: str  # the separator as written
    tokens: list[Token]


def plain(text: str) -> bool:
    """Whether nothing in `text` can join, deny, take back or ask: so with most answers, in a microsecond."""
    if SUSPECT.search(text):
        return False
    lower = text.lower()
    return triggers().isdisjoint(ASCII_WORD.findall(lower)) and "n't" not in lower


def tokens(text: str) -> list[Token]:
    """The tokens of a statement. A word of the tables has their kind, others are `word` or `link`."""
    found: list[Token] = []
    linking = links()
    for match in scanner().finditer(_lower(text)):
        kind = (match.lastgroup or "").rstrip("_")
        start, end = match.span()
        said = text[start:end]
        if end - start == 1 and said.isupper() and said not in "ÀÈÉ":  # a label: `È falso` is a sentence
            kind = "word"
            if said == "O" and found and found[-1].kind == "stop" and text[end : end + 1] == " ":
                kind = "or"  # `6. O 7`
            elif said == "I" and ARTICLE.match(text, end):
                kind = "link"
        elif kind == "word":
            if NEGATIVE.search(match[0]):
                kind = "not"
            elif match[0].lower() in linking:
                kind = "link"
        if kind == "word" and found and found[-1].text == "A" and found[-1].end < start and said.islower():
            found[-1] = found[-1]._replace(kind="link")  # the article
        found.append(Token(kind, start, end, said))
    return _uncoloured(found) if any(token.kind == "not" for token in found) else found


def _uncoloured(found: list[Token]) -> list[Token]:
    """The tokens, where words that only colour a denial before them say nothing: `cannot possibly be 7`, `is
    not, in fact, 7`; and so the comma of `ich glaube nicht, dass es 7 ist`.
    """
    denying = commas = False
    for k, token in enumerate(found):
        if token.kind == "not":
            denying, commas = True, False
        elif denying and token.text == ",":
            rest = found[k + 1 : k + 3]
            opens = len(rest) == 2 and _colours(rest[0]) and rest[1].text == ","
            denying = commas or opens or (bool(rest) and rest[0].said in SUBORDINATE)
            commas = opens
            if denying:
                found[k] = token._replace(kind="link")
        elif denying and _colours(token):
            found[k] = token._replace(kind="link")
        elif token.kind not in ("link", "neutral"):
            denying = False
    return found


def _colours(token: Token) -> bool:
    return token.said in particles.phrases("colours") or is_adverb(token)


def is_adverb(token: Token) -> bool:
    """Whether a word is an adverb by its ending."""
    return token.kind in ("word", "or", "link") and ADVERB.fullmatch(token.said) is not None


def _lower(text: str) -> str:
    """`text` in lower case, letter for letter, but for single capitals, which are labels."""
    lower = CAPITAL.sub(lambda match: match[0].lower(), text)
    return lower if len(lower) == len(text) else text


def parts_of(text: str) -> list[Part]:
    """`text` cut at its separators. A comma within brackets cuts nothing."""
    parts, depth = [Part("", "", [])], 0
    for token in tokens(text):
        depth += token.nests
        if token.kind in SEPARATES and not (depth > 0 and token.text in ",，、،;；"):
            parts.append(Part(token.kind, token.text, []))
            depth = 0
        else:
            parts[-1].tokens.append(token)
    return parts


def separators(text: str) -> frozenset[str]:
    """The kinds of separators that a reference has itself, and `not` where it denies something."""
    parts = parts_of(text)
    denies = any(token.kind in DENIES for part in parts for token in part.tokens)
    return frozenset(part.joint for part in parts[1:]) | ({"not"} if denies else frozenset())


def is_atom(token: Token, kind: str) -> bool:
    """Whether a token can be (a part of) an answer of this kind."""
    if kind == "sided":
        return token.kind in ("word", "character", "no", "wrong", "link") and side_of(token) is not None
    if token.kind == "word":
        return kind != "value" or len(token.text) == 1
    if token.kind == "character":
        return kind != "value"
    return token.kind == "number" or (token.kind == "command" and VALUE.search(token.text) is not None)


def side_of(token: Token) -> tuple[int, int] | None:
    """The side of a question that a word takes (see wording.py)."""
    return wording.side(token.said)


def small(tokens: Iterable[Token]) -> bool:
    """Whether these tokens say nothing by themselves."""
    return all(token.kind in SMALL for token in tokens)


def affirmed(tokens: Iterable[Token]) -> bool:
    """Whether what was asked before these tokens is answered with yes."""
    reply = next((token for token in tokens if token.kind not in BRACKETS | {"stop"}), None)
    return reply is not None and side_of(reply) == (0, 0)
