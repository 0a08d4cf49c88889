r"""Where in a completion the answer stands.

In this order: the last `<answer>…</answer>`, the last `\boxed{…}`, what follows `####`, what
follows "the answer is" or `A:`, and the last number of the text. Only the text after the thinking
is looked at: an answer inside the thinking was not given.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from stages.grading import phrases
from stages.grading.commitment import gaps, rivals
from stages.runtime.errors import UsageError

PLACES = ("answer", "boxed", "hash", "says", "last")
HASH = re.compile(r"####[ \t]*([^\n]*)")
SENTENCE_END = re.compile(r"\n|[.!?](?:\s|\**\Z)|[。！？؟।]|</answer>|I hope it is correct")
JOINT = re.compile(r"\s(?:or|and)\s*$")
BRACE = re.compile(r"\\boxed\s?\{|\\.|[{}]", re.DOTALL)


SHORT = 60  # characters of an answer that may stand beside another, and of what is between them


class Found(NamedTuple):
    """`text` is the answer as written in `place`; `context` the answer section it stands in."""

    place: str
    text: str
    context: str
    several: tuple[str, ...] = ()  # boxes that stand together: the answer may be all of them
    before: str = ""  # what stands before the answer, and after it
    after: str = ""
    beside: str = ""  # the answer that was given in the same way right before it


@lru_cache(maxsize=64)
def chosen(places: str) -> frozenset[str]:
    """The set that `answer+boxed` names. Raises UsageError for a place there is not."""
    names = frozenset(PLACES) if places == "any" else frozenset(places.split("+"))
    if unknown := sorted(names - set(PLACES)):
        raise UsageError(f"accuracy: no place {unknown[0]!r}; choose from {', '.join(PLACES)}, joined by +")
    return names


def find(section: str, places: str, *, cut: bool) -> Found | None:
    """The answer in the section after the thinking, or None. `cut` says that the text is cut off."""
    names = chosen(places)
    if "answer" in names and "<answer>" in section:
        tagged = _tagged(section, cut)
        if tagged is not None:
            before, inside, after, beside = tagged
            if "boxed" in names and "\\boxed" in inside and (boxed := _boxed(inside)) is not None:
                return boxed._replace(before=before + boxed.before, after=f"{boxed.after}\n{after}")
            return Found("answer", inside.strip(), inside, (), before, after, beside)
        if cut:
            return None
    if "boxed" in names and "\\boxed" in section and (boxed := _boxed(section)) is not None:
        return boxed
    if "hash" in names and "####" in section:
        hashed = list(HASH.finditer(section))[-1]
        if hashed[1].strip():
            after = section[hashed.end() :]
            return Found(
                "hash",
                hashed[1].strip(),
                section,
                (),
                "",
                after,
                _hash_before(section, hashed.start()),
            )
    if "says" in names:
        said = _said(section, cut)
        if said is not None:
            return said
    if "last" in names and not cut and section.strip():
        return Found("last", section.strip(), section)
    return None


def given_beside(found: Found, kind: str) -> list[str]:
    """What is given beside the answer found: in the same way right before it, as a sentence after it."""
    return [each for each in (found.beside, rivals.goes_on(found.after, kind)) if each]


def offered_beside(found: Found, kind: str) -> list[str]:
    """The answers that are offered beside the one found: `6 or` before it, `or 7` after it."""
    offers = rivals.offered(found.before, kind), rivals.offers(found.after, kind)
    return [each for each in offers if each]


def _hash_before(section: str, start: int) -> str:
    """What follows a `####` on the line before the one at `start`."""
    earlier = HASH.search(section, max(0, section.rfind("####", 0, start)), start) if start else None
    return earlier[1].strip() if earlier and _together(earlier[1], section[earlier.end() : start]) else ""


def _together(inside: str, gap: str) -> bool:
    """Whether an answer and what stands between it and the next make them two answers."""
    near = 0 < len(inside.strip()) <= SHORT and len(gap) <= SHORT
    return near and gaps.says_something(inside) and gaps.stands_beside(gap)


def _tagged(section: str, cut: bool) -> tuple[str, str, str, str] | None:
    """Before, inside and after the last answer tag, and what stands in one right before it. One left open
    counts where the text was not cut off: some engines take the closing tag away when they stop at it."""
    before, _, rest = section.rpartition("<answer>")
    inside, closed, after = rest.partition("</answer>")
    if not closed and cut:
        return None
    _, again, last = before[-4 * SHORT :].rpartition("<answer>")
    earlier, ended, gap = last.partition("</answer>")
    beside = earlier.strip() if again and ended and _together(earlier, gap) else ""
    return before, inside, after, beside


def _boxed(text: str) -> Found | None:
    """The last box, with those that it stands together with."""
    boxes = _boxes(text)
    if not boxes:
        return None
    content, start, end = boxes[-1]
    together = [content]
    for (each, begins, ends), (_, follows, _) in zip(boxes[-2::-1], boxes[:0:-1], strict=False):
        gap = text[ends:follows]
        if begins > follows or len(gap) >= 60 or not gaps.joins("}" + gap + "\\boxed"):
            break
        together.insert(0, each)
        start = begins
    several = tuple(together) if len(together) > 1 else ()
    return Found("boxed", content, text, several, text[:start], text[end:])


def _boxes(text: str) -> list[tuple[str, int, int]]:
    r"""The closed `\boxed{…}` in order, each with its content, where it begins and ends; of boxes in each
    other the innermost.
    """
    found: list[tuple[str, int, int]] = []
    # For each open brace: whether it is a box, where it begins, where its content begins, and the box inside
    # it.
    open_: list[tuple[bool, int, int, str | None]] = []
    for brace in BRACE.finditer(text):
        token = brace.group()
        if token.endswith("{") and token != "\\{":
            open_.append((token != "{", brace.start(), brace.end(), None))
        elif token == "}" and open_:
            is_box, begins, start, inner = open_.pop()
            content = text[start : brace.start()].strip() if is_box and inner is None else inner
            if content is None:
                continue
            if open_:
                open_[-1] = (*open_[-1][:3], content)
            elif is_box or inner is not None:
                found.append((content, begins, brace.end()))
    # A box inside braces that never close is closed itself.
    found += [(inner, begins, len(text)) for _, begins, _, inner in open_ if inner is not None]
    return found


def _said(section: str, cut: bool) -> Found | None:
    announced = phrases.announced(section)
    if announced is None:
        return None
    return announcement(section, announced[1], cut=cut, begins=announced[0])


def announcement(section: str, start: int, *, cut: bool, begins: int = 0) -> Found | None:
    """The answer whose announcement begins at `begins` and ends at `start`; None where it is empty or cut
    off.
    """
    stop = SENTENCE_END.search(section, start)
    if stop is None and cut:
        return None
    end = stop.start() if stop else len(section)
    text = section[start:end].strip(" *:：")
    if not text:
        return None
    beside = _said_before(section[max(0, begins - 2 * SHORT) : begins]) if begins else ""
    return Found("says", text, section, (), section[:start], section[end:], beside)


def _said_before(near: str) -> str:
    """What an announcement at the end of `near` announces, right before another one."""
    if (ends := phrases.last_end(near)) < 0:
        return ""
    between = near[ends:]
    if (stop := SENTENCE_END.search(between)) is not None:
        inside, gap = between[: stop.start()], between[stop.end() :]
    else:
        joint = JOINT.search(between)
        inside, gap = (between[: joint.start()], joint[0]) if joint else (between, "")
    return inside.strip(" *:：") if _together(inside, gap) else ""
