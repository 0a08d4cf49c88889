"""What stands around an answer and makes it none: it is denied before, or denied or taken back after."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from functools import cache
from itertools import takewhile

from stages.grading import phrases
from stages.grading.commitment import particles
from stages.grading.commitment.reading import ASKED, DENIED
from stages.grading.commitment.scanner import ASCII_WORD, STRIKING, pattern, triggers
from stages.grading.commitment.sentences import STOPS
from stages.grading.commitment.tokens import (
    SEPARATES,
    SMALL,
    Token,
    affirmed,
    is_adverb,
    plain,
    side_of,
    small,
    tokens,
)

NEAR = 90  # characters before an answer in which it may be denied
AFTER = 240  # characters after it
OFTEN = 60  # characters of an answer that is said again
PHRASE = 4  # words of what an answer does not satisfy
DENYING = re.compile(rf"\\(?:not|neq?|neg|lnot|{STRIKING})(?![a-z])|\\text")
STRIKES = re.compile(rf"(?:<(?:del|s|strike)>|\\(?:{STRIKING})\s?\{{)\s?\$?\Z")
COPULAS = {"is", "are", "was", "were", "equals", "="}
ADJECTIVES = {"equal", "correct", "right", "true", "possible", "known", "considered", "included", "even"}
BEFORE_NO = r"[\s.$)}*!—–…-]"
CLAUSE_ENDS = ".!?,;:—–…\n(。！？，；：、*-"
OPENERS = string.whitespace + '*"“('
WITHIN = re.compile(r"[A-Za-z0-9]\Z|\d[.,]\Z")  # what is said again is a part of another word or number
BEGINS_WITHIN = re.compile(r"[A-Za-z0-9]|[.,]\d")
ONE_CAPITAL = re.compile(r"(?<![^\W_])[A-HJ-Z](?![^\W_]|\s+[a-z])")


def denied_before(before: str) -> bool:
    """Whether an answer is denied by what stands right before it: `the answer is not`, `答案不是`, `~~`."""
    near = before[-NEAR:]
    if near.rstrip(" $").endswith(("~", ">", "{")) and _struck(near):
        return True
    if _no_denial(near) or _no_denial(tail := STOPS.split(near)[-1]):
        return False
    stopped, between = False, list[Token]()
    for token in reversed(tokens(tail)):
        if token.kind == "not" or (token.kind == "no" and not stopped):
            # `the pairs that are not equal are 7` names them.
            return not _is_name(between)
        if token.kind == "bound" and not between:
            return phrases.names_answer(tail)  # `the answer is less than 7`
        if token.kind in ("link", "equals"):
            between.append(token)
        ends = token.kind in ("equals", "stop")
        if token.kind not in SMALL and not ends:
            return False
        stopped = stopped or ends
    return False


def _is_name(between: list[Token]) -> bool:
    """Whether what stands between a denial and an answer, backwards, makes the denial a part of a name: `the
    pairs that are not equal are 7`.
    """
    if len(between) < 2 or between[0].said not in COPULAS:
        return False
    return all(token.said in ADJECTIVES or is_adverb(token) for token in between[1:])


def _struck(near: str) -> bool:
    """Whether what follows is struck through: `~~`, `<del>`, `\\cancel{` are open."""
    return STRIKES.search(near) is not None or (near.endswith(("~~", "~~$")) and near.count("~~") % 2 == 1)


def _no_denial(text: str) -> bool:
    """Whether no word or sign in a text of ASCII can deny what follows."""
    if not text.isascii() or "!=" in text or ("\\" in text and DENYING.search(text)):
        return False
    lower = text.lower()
    if "n't" in lower or "mai" in lower:
        return False
    return triggers("not", "no", "bound").isdisjoint(ASCII_WORD.findall(lower))


def after(text: str, kind: str, said: str = "") -> tuple[str, int]:
    """What the text after an answer (`said`) does to it: why it is no answer, and where it is corrected (-1
    where it is not).
    """
    head = text[:AFTER]
    if not plain(head):
        return _denied_after(tokens(_pointing(head, said)), kind), _taken_back(text, kind)
    return "", -1 if len(text) <= AFTER else _taken_back(text, kind)


def _pointing(text: str, said: str) -> str:
    """`text` with `it` where the answer is said again: `. But 7 is wrong` is `. But it is wrong`."""
    if not 0 < len(said) <= OFTEN:
        return text
    told, *others = text.split(said)
    for other in others:
        alone = not (WITHIN.search(told[-2:]) or BEGINS_WITHIN.match(other))
        told += (" it " if alone else said) + other
    return told


def _denied_after(found: Sequence[Token], kind: str) -> str:
    """Whether the sentence of an answer, or the next, is about nothing but that it is wrong."""
    words = sentence = passed = 0
    for k, token in enumerate(found):
        if token.kind == "ask":
            return "" if words or sentence or affirmed(found[k + 1 :]) else ASKED
        if token.kind == "stop":
            sentence, passed = sentence + 1, passed + 1
            if sentence > 1:
                return ""
        elif token.kind == "wrong" or (token.kind == "not" and passed):
            rest = list(takewhile(lambda t: t.kind not in SEPARATES, found[k + 1 :]))
            if token.kind == "not" and rest and rest[-1].said == "even":
                return ""  # an even number, not `even so`
            only = small(rest) or (token.said in particles.phrases("by") and len(rest) <= PHRASE)
            return DENIED if only and not (kind == "sided" and sentence) else ""
        elif token.kind in ("word", "number", "character"):
            words += 1  # the unit of the answer
            if words > 2 or passed or kind != "value" or token.kind == "number":
                return ""
        elif token.kind in ("link", "and", "but", "open"):
            passed += 1
        elif token.kind not in SMALL:
            return ""
    return ""


def _taken_back(text: str, kind: str) -> int:
    """Where a sentence or clause begins that takes back what was said, after its first words; -1 where none
    does.
    """
    lower = text.lower()
    if len(lower) != len(text):
        lower = text
    for match in _back().finditer(lower):
        if _begins_clause(lower[max(0, match.start() - 12) : match.start()]):
            return match.end()
    head = _no().match(lower[:AFTER]) if kind != "sided" else None
    if head is None:
        return -1
    # `C. No, because …` may be the option's own text: another letter makes it a correction.
    sentence = STOPS.split(text[head.end() : head.end() + AFTER], maxsplit=1)[0]
    return head.end() if kind != "label" or ONE_CAPITAL.search(sentence) else -1


def _begins_clause(before: str) -> bool:
    """Whether a clause begins after these characters: nothing but quotes and emphasis stands between."""
    core = before.rstrip(OPENERS)
    return not core or core[-1] in CLAUSE_ENDS or any(c in before[len(core) :] for c in "\n(*")


@cache
def _back() -> re.Pattern[str]:
    return re.compile(pattern(particles.table("back")))


@cache
def _no() -> re.Pattern[str]:
    return re.compile(rf"(?<!{BEFORE_NO}){BEFORE_NO}*+(?:{pattern(particles.table('no'))})\s*[,.!:;،，。—–-]")


def confirms(text: str) -> bool:
    """Whether what was begun as a second thought ends in agreement: `Wait, let me check. Yes, that is
    right.`"""
    found = tokens(text[:AFTER])
    return (0, 0) in map(side_of, found) and not any(t.kind in ("not", "wrong", "no") for t in found)
