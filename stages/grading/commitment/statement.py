r"""What a statement commits itself to: what it leaves standing when it is read as a reader would.

* what it denies is struck (denial.py): `8 (not 7)`, `7 is wrong, it is 8`, `nicht 7, sondern 8`;
* what it takes back is dropped with all that stood before (withdrawal.py): `7, no wait, it is 8`, `7? No, 8`;
* what explains is no answer: `8, because 3 or 4 …`;
* what is left and joined by `or`, a slash, an arrow, a hedge, or as short as an answer itself, is a list.

A list pays only where each of its members is right: `1/2 or 0.5` does, `6 or 7` pays nobody.
"""

from __future__ import annotations

import re
from itertools import pairwise

from stages.grading import numbers, wording
from stages.grading.commitment.denial import deny, is_plain_side
from stages.grading.commitment.reading import DENIED, UNFINISHED, Reading, cleaned
from stages.grading.commitment.scanner import STRIKING
from stages.grading.commitment.sentences import LONG
from stages.grading.commitment.tokens import ALTERNATIVE, plain, side_of
from stages.grading.commitment.withdrawal import withdraw

SHORT = 60  # characters of an answer in which both sides of a question are two answers
NEARLY = 0.05  # of its size by which a value may differ from what it is approximated by
STRUCK = re.compile(
    r"~~[^~\n]{1,200}~~|<(del|s|strike)>[^<\n]{0,200}</\1>|<!--[^>]{0,400}-->"
    rf"|\\(?:{STRIKING})\s*\{{[^{{}}]{{0,200}}\}}"
)
TAG = re.compile(r"</?[A-Za-z]+>|<\|[^|>\n]{0,40}\|>")
PRICE = re.compile(r"\\\$(?=\d)")
BRACKETED = re.compile(r"[\s$]*(?:\\?\{|\[|\()([^()\[\]{}]*[,;][^()\[\]{}]*?)(?:\\?\}|\]|\))[\s$.]*")
PLAIN_VALUE = re.compile(r"-?[\d.,]+%?|-?\\[dt]?frac\{?\d+(?:\}\{?\d+|\{\d+|(?<=\d\d))\}?|-?\d+/\d+")


def standing(
    text: str,
    kind: str,
    *,
    joined: frozenset[str] = frozenset(),
    last: bool = False,
    bounds: bool = True,
) -> list[str] | str:
    """What a statement leaves standing, or why nothing does.

    `kind` is what an answer looks like: `value` (numbers and formulas), `words`, `sided` (yes or no) or
    `label`. One text that is as it was given means that nothing was found. `joined` names the separators that
    the reference has itself, which part nothing here; `last` that the text is prose, whose last value counts;
    `bounds` that a bound such as `at least 7` is no answer.
    """
    if len(text) > LONG or plain(text):
        return [text]
    whole = unstruck(text)
    struck = whole != text
    whole = _without_markup(whole)
    if last and kind == "value" and "and" not in joined and (listed := BRACKETED.fullmatch(whole)):
        whole = listed[1]
    reading = Reading(whole, kind)
    if "not" not in joined:
        deny(reading, bounds=bounds)
    withdraw(reading)
    borne = [k for k in range(len(reading.parts)) if reading.bears(k)]
    if not borne:
        return reading.why or (DENIED if struck else [text])
    if reading.breaks_off():
        return UNFINISHED
    if kind == "sided" and len(whole) <= SHORT and (sides := _sides(reading)):
        return sides
    told = _alternatives(reading, borne, joined, last=last)
    if len(told) > 1:
        return [reading.stands(k) for k in told]
    if not (struck or reading.why or (reading.narrowed and not last)):
        return [text]
    return [reading.stands(borne[0]) if len(borne) == 1 else _joined(reading, borne)]


def unstruck(text: str) -> str:
    """`text` without what is struck through or commented out."""
    return STRUCK.sub(" ", text) if "~" in text or "<" in text or "\\" in text else text


def _without_markup(text: str) -> str:
    text = PRICE.sub("$", text.replace("{,}", ",").replace(",\\!", ","))  # one number each
    text = TAG.sub(" ", text)
    while (bare := wording.COMMAND.sub(lambda match: f" {match[1]} ", text)) != text:
        text = bare
    return text


def _sides(reading: Reading) -> list[str]:
    """A plain yes and a plain no, where both are left."""
    parts = [k for k in range(len(reading.parts)) if not reading.dropped[k]]
    said = [token for k in parts for token in reading.left(k) if is_plain_side(token)]
    return [token.said for token in said] if len(set(map(side_of, said))) > 1 else []


def _alternatives(reading: Reading, borne: list[int], joined: frozenset[str], *, last: bool) -> list[int]:
    """The parts among which the statement leaves the choice: of prose, those that stand with its `last`."""
    told = [borne[0]]
    for before, k in pairwise(borne):
        joints = {part.joint for part in reading.parts[before + 1 : k + 1]}
        chained = joints & {"equals", "arrow"}
        if chained and (reading.parts[before].joint == "equals" or not _is_value(reading, before)):
            if told[-1] == before:
                told[-1] = k  # `x = 7`: the name of the value
        elif joints <= joined:
            continue
        elif _listed(reading, joints, before, k):
            told.append(k)
        elif last:
            told = [k]
    return told


def _is_value(reading: Reading, k: int) -> bool:
    """Whether what stands left of `=` or an arrow is an answer itself, not the name of one or a step towards
    it.
    """
    if reading.kind == "value":
        return PLAIN_VALUE.fullmatch(reading.stands(k)) is not None
    return reading.short(k)


def _listed(reading: Reading, joints: set[str], before: int, k: int) -> bool:
    """Whether part `k` is one more answer beside the one of part `before`."""
    if joints & {"about", "order"} and reading.kind == "value":
        return "order" in joints or _apart(reading.stands(before), reading.stands(k))
    if joints & ALTERNATIVE:
        return reading.kind != "value" or "slash" not in joints
    if reading.kind == "words" and reading.parts[k].sign[0] not in "\n.…":
        return False
    return reading.short(k) and reading.short(before)


def _apart(one: str, other: str) -> bool:
    """Whether two numbers are too far from each other for one to be the other, rounded."""
    a, b = numbers.read(one), numbers.read(other)
    if a is None or b is None or "/" in one or "\\" in one:
        return False
    return abs(a.value - b.value) > NEARLY * max(abs(a.value), abs(b.value))


def _joined(reading: Reading, borne: list[int]) -> str:
    """What is left of all parts, with the separators between them."""
    kept = [
        (part.sign, reading.stands(k))
        for k, part in enumerate(reading.parts)
        if not reading.dropped[k] and part.tokens and (k in borne or not reading.gone[part.tokens[0].start])
    ]
    return cleaned(" ".join(f"{sign} {text}" for sign, text in kept))
