"""The sentences of a text, and its words in capitals, as the published checks count them.

Sentences are cut by the decisions of Punkt (Kiss and Strunk 2006, Computational Linguistics 32:4) with what
it has learned of English (english.toml). Words are those of the Penn Treebank: `IT'S` is two.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from string import whitespace

CLOSING = "\"')\\]}\u2018\u2019\u201c\u201d\xab\xbb"
NO_WORD = f";*:@({{\\[?!{CLOSING}"  # what ends a word, beside white space
MARK = re.compile(rf"[.?!](?=([{NO_WORD}])|\s++(\S++))")
TOKEN = re.compile(
    r"--++|\.\.++"
    rf"|[^\s(\"`{{\[:;&#*@)}}\]\-,](?:(?!--|\.\.|[{NO_WORD}]|,(?:[\s{NO_WORD}]|--|\.\.|$))\S)*+"
    r"|\S"
)
CLOSED = re.compile(rf"[{CLOSING}]++(?:\s++|(?=--)|$)", re.MULTILINE)
NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*+")
INITIAL = re.compile(r"[^\W\d]\.")

# Quotes before a word, and before a space; signs that are words of their own wherever they stand.
OPENED = re.compile(r"(?<!\w)'(?!(?:re|ve|ll|[mtsdn])\b)(?=\w)|(?<=[^'])'(?= )", re.IGNORECASE)
APART = re.compile(r"[«“‘„»”’`\";@#$%&\u2012-\u2015?!*\[\](){}<>]|''|--|\.\.++|[:,](?!\d)")
LAST_POINT = re.compile(r"\.(?=[\s'’\"”»)\]}>]*+$)")
CLITIC = re.compile(r"(?<=[^' ])('[sSmMdD]|'ll|'LL|'re|'RE|'ve|'VE|n't|N'T)(?= )")
JOINED = re.compile(
    r"\b(?:(can)(not)|(d)('ye)|(gim)(me)|(gon)(na)|(got)(ta)|(lem)(me)|(more)('n)|(wan)(na)(?=\s))\b",
    re.IGNORECASE,
)


def capital_words(text: str) -> int:
    """How many words have letters, all of them capitals. `I` is one, `I'M` are two."""
    return sum(word.isupper() for each in sentences(text) for word in _words(each))


def _words(sentence: str) -> list[str]:
    """The words of one sentence, without the signs between them."""
    open = APART.sub(" ", OPENED.sub(" ", LAST_POINT.sub(" ", sentence)))
    open = CLITIC.sub(r" \1", re.sub(r"\s++", " ", f" {open} "))
    return JOINED.sub(lambda found: f" {' '.join(filter(None, found.groups()))} ", open).split()


def sentences(text: str) -> list[str]:
    """The sentences in their order; a text without an end is one, an empty one is none."""
    found: list[str] = []
    start = skip = 0
    for stop, after in _ends(text):
        begun, skip = start + skip, 0
        start = after
        following = CLOSED.match(text, after)
        if following:
            found.append(text[begun : after + len(following[0].rstrip())])
            skip = len(following[0])
        elif text[begun:stop]:
            found.append(text[begun:stop])
    rest = text[start + skip :].rstrip()
    return [*found, rest] if rest else found


def _ends(text: str) -> Iterator[tuple[int, int]]:
    """For each end of a sentence, where it stands and where the next sentence begins."""
    for found, context in _candidates(text):
        if any(_ends_sentence(one, two) for one, two in pairwise(TOKEN.findall(context))):
            yield found.end(), found.start(2) if found[2] else found.end()


def _candidates(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """The last mark in each word that has one, with the word and what follows the mark."""
    start, last = 0, None
    for mark in MARK.finditer(text):
        before = last.start() if last else 0
        space = max(text.rfind(sign, before, mark.start()) for sign in whitespace)
        begin = space + 1 if space > before else start
        if last and last.start() <= begin:
            yield last, _context(text, start, last)
        start, last = begin, mark
    if last:
        yield last, _context(text, start, last)


def _context(text: str, start: int, mark: re.Match[str]) -> str:
    return f"{text[start : mark.end()]}{mark[1] or f' {mark[2]}'}"


def _ends_sentence(token: str, following: str) -> bool:
    """Whether a sentence ends with `token`, where `following` comes next."""
    if not token.endswith("."):
        return token in ("?", "!")
    word = "##number##" if NUMBER.fullmatch(token) else token[:-1].lower()
    after, capital = following.lower().removesuffix("."), following[0].isupper()
    if f"{word}.{after}" in _known("collocations"):
        return False
    short = token.endswith("..") or not _known("abbreviations").isdisjoint((word, word.rpartition("-")[2]))
    initial = INITIAL.fullmatch(token) is not None
    if short and not initial:
        return capital and (after in _known("small") or after in _known("starters"))
    if initial or word == "##number##":
        if following in (";", ":", ",", ".", "!", "?") or following[0].islower():
            return False
        named = capital and after not in _known("small") and after not in _known("both")
        return not (short or (initial and named))
    return True


@cache
def _known(name: str) -> frozenset[str]:
    table = tomllib.loads(Path(__file__).with_name("english.toml").read_text("utf-8"))
    return frozenset(table[name].split())
