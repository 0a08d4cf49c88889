"""Another answer beside the one that was given: `6 or` before it; `, or 7`, `. 8.` after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise, takewhile

from stages.grading.commitment import particles
from stages.grading.commitment.around import AFTER, NEAR
from stages.grading.commitment.reading import Reading
from stages.grading.commitment.scanner import ASCII_WORD, links, triggers
from stages.grading.commitment.tokens import BRACKETS, DENIES, SEPARATES, SMALL, Token, is_atom, tokens

OFFERING = 48  # characters after an answer, and before it, in which another is offered
FOREIGN = re.compile(r"[\u0370-\u1fff\u3040-\uffef]")
HINTS = (" o", "/", " u ", "second", "another", "guess", "possibility", "veya")
HEADS = frozenset(["another", "second", "possibility", "guess"])
OF_ANSWER = BRACKETS | frozenset(["number", "command", "word", "character"])
NEXT_SENTENCE = re.compile(
    r"((?:(?:[^\S\n]|[*)}$])*+[.…!\n])++[\s.…!*]*+)([^\s.…!?\n](?:[^.…!?\n]|\.(?=\d)){0,24})"
    r"(?=[.…!]?(?:\n|\s*$|\s+[A-Z]))"
)
ITEM = re.compile(r"[.][^\S\n]+[A-Z]")  # what follows the number of a list's item


def offers(after: str, kind: str) -> str:
    """The answer that is offered beside the one before: `7` of `, or 7`, `. It could also be 7`, `. 7 is
    possible, too`.
    """
    head = after[:AFTER]
    if not _may_offer(head[:OFFERING].lower()):
        return ""
    found, joined, clause, words, stops = tokens(head), False, True, 0, 0
    for k, token in enumerate(found):
        if token.kind == "stop":
            stops, clause = stops + 1, True
            if stops > 3:
                return ""
        elif token.kind == "or" or _joins(token):
            joined = True
        elif is_atom(token, kind):
            more = _offer_at(head, kind, found, k, joined=joined, clause=clause)
            if more or joined or stops or kind != "value" or token.kind != "word":
                return more
            words += 1
        elif token.kind == "word" and not joined and not stops and words < 2:
            words += 1  # the unit of the answer
        elif token.kind not in SMALL and token.kind not in ("and", "but", "about"):
            return ""
        clause = clause and (token.kind in BRACKETS or token.kind == "stop")
    return ""


def _may_offer(near: str) -> bool:
    """Whether anything right after an answer can offer another one."""
    if not near.strip(" .$*\n)"):
        return False
    if not near.isascii() or any(c in near for c in "/|&~;"):
        return True
    return not _offering().isdisjoint(ASCII_WORD.findall(near))


@cache
def _offering() -> frozenset[str]:
    return triggers("or", "and") | particles.phrases("also") | {"may", "can"}


def _joins(token: Token) -> bool:
    """Whether a word that is no `or` offers what follows: `and 7`, `it may be 7`. A comma does not."""
    if token.kind == "link":
        return token.text in ("may", "can")
    return token.kind == "and" and (token.text in "&＆" or token.text[0].isalpha())


def _offer_at(text: str, kind: str, found: Sequence[Token], k: int, *, joined: bool, clause: bool) -> str:
    """The answer at the `k`-th token where the rest of its clause says nothing but that it may be one,
    too.
    """
    also = particles.phrases("also")
    end = k + 1
    while end < len(found) and found[end].kind in OF_ANSWER and found[end].said not in also:
        if found[end].kind == "word" and kind != "words":
            break
        end += 1
    rest = list(takewhile(lambda t: t.kind not in SEPARATES or t.kind in ("and", "or"), found[end:]))
    words = [token for token in rest if token.kind in ("word", "character") and token.said not in also]
    if any(token.kind in DENIES or token.kind in ("number", "command") for token in rest):
        return ""
    says_also = any(token.said in also for token in rest)
    if not (joined and len(words) < 2) and not (clause and says_also and not words):
        return ""
    before = text[: found[k].start].rstrip()
    signed = before.endswith(("-", "$", "\u2212"))
    more = text[len(before) - 1 if signed else found[k].start : found[end - 1].end]
    more = more.strip(" \t\n.,;:!?*()[]（）。，、")
    return more if len(more.split()) < 5 else ""


def offered(before: str, kind: str) -> str:
    """The answer that is offered before another: `6` of `6 or`, of `Either 6 or x =`."""
    tail = before[-NEAR:]
    if not _ends_offering(tail[-OFFERING:].lower()):
        return ""
    found = tokens(tail)
    k = len(found) - 1
    while k >= 0 and (found[k].kind in SMALL or found[k].kind in ("equals", "stop") or _named(found, k)):
        k -= 1
    if k < 0 or found[k].kind != "or":
        return ""
    joint, behind = found[k], found[k + 1 :]
    plainly = joint.said in particles.phrases("offers")
    if not plainly and " " not in joint.said:
        return ""
    value = next((t for t in behind if t.kind == "equals"), None)
    if value is not None and not _same_name(tail, joint.start, value.start):
        return ""
    far = not plainly or any(t.kind == "link" for t in behind)
    k -= 1
    while k >= 0 and (found[k].kind in ("sign", "close", "and") or (far and found[k].kind == "stop")):
        k -= 1
    if k < 0 or not is_atom(found[k], kind):
        return ""
    if found[k].kind == "word" and not found[k].text[0].isupper() and kind != "sided":
        return ""
    start = found[k].start
    while start and not tail[start - 1].isspace() and found[k].kind != "character":
        start -= 1
    return tail[start : found[k].end].strip(" \t\n.,;:!?*()[]")


def _ends_offering(near: str) -> bool:
    """Whether nothing but small words follows the last word that offers what comes."""
    if not near.isascii() and FOREIGN.search(near):
        return True
    if not any(map(near.__contains__, HINTS)):
        return False
    if near.rstrip(" $({\n").endswith("/"):
        return True
    told, passed = particles.phrases("offers"), links()
    words = reversed(ASCII_WORD.findall(near))
    last = next((word for word in words if word in told or not (word in passed or len(word) == 1)), "")
    return last in told or last in HEADS


def _named(found: Sequence[Token], k: int) -> bool:
    """Whether the `k`-th token is a name that is given a value: the `x` of `x = 7`."""
    name = found[k].kind == "word" and len(found[k].text) == 1
    return name and k + 1 < len(found) and found[k + 1].kind == "equals"


def _same_name(text: str, joint: int, equals: int) -> bool:
    """Whether both sides of a joint give the same name a value: `x = 6 or x = 7`, not `2x = 6, or x = 3`."""
    name = text[:equals].split()[-1:] or [""]
    before = text[:joint].split()
    return any(each == name[0] and following == "=" for each, following in pairwise(before))


def goes_on(after: str, kind: str) -> str:
    """The answer that follows another one as a sentence of its own: `8` of `7. 8.`; "" where none does."""
    match = NEXT_SENTENCE.match(after[:AFTER])
    if match is None or "\n\n" in match[1]:
        return ""
    if "\n" in match[1] and match[2].isdigit() and ITEM.match(after, match.end()):
        return ""  # `2. Therefore …`
    reading = Reading(match[2], kind)
    return match[2].strip() if len(reading.parts) == 1 and reading.short(0) else ""
