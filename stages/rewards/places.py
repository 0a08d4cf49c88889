r"""Where in a completion the answer stands.

In this order: the last `<answer>…</answer>`, the last `\boxed{…}`, what follows `####`, what
follows "the answer is" or `A:`, and the last number of the text. Only the text after the thinking
is looked at: an answer inside the thinking was not given.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from stages.data.errors import UsageError
from stages.rewards import phrases

PLACES = ("answer", "boxed", "hash", "says", "last")
HASH = re.compile(r"####[ \t]*([^\n]*)")
SENTENCE_END = re.compile(r"\n|[.!?](?:\s|\**\Z)|[。！？؟।]|</answer>|I hope it is correct")
BRACE = re.compile(r"\\boxed\s?\{|\\.|[{}]", re.DOTALL)
TOGETHER = re.compile(r"\b(?:and|or)\b")
LETTERS = re.compile(r"(?<!\\)\b[A-Za-z]{2,}")


class Found(NamedTuple):
    """`text` is the answer as written in `place`; `context` the answer section it stands in."""

    place: str
    text: str
    context: str
    several: bool = False  # more than one box: the answer may be all of them together


@lru_cache(maxsize=64)
def chosen(places: str) -> frozenset[str]:
    """The set that `answer+boxed` names. Raises UsageError for a place there is not."""
    names = frozenset(PLACES) if places == "any" else frozenset(places.split("+"))
    if unknown := sorted(names - set(PLACES)):
        raise UsageError(
            f"accuracy: no place {unknown[0]!r}; choose from {', '.join(PLACES)}, joined by +"
        )
    return names


def find(section: str, places: str, *, cut: bool) -> Found | None:
    """The answer in the section after the thinking, or None. `cut` says that the text is cut off."""
    names = chosen(places)
    if "answer" in names and "<answer>" in section:
        tagged = _tagged(section, cut)
        if tagged is not None:
            box = _boxes(tagged) if "boxed" in names and "\\boxed" in tagged else []
            if box:
                return Found("boxed", box[-1], tagged, _several(tagged))
            return Found("answer", tagged.strip(), tagged)
        if cut:
            return None
    if "boxed" in names and "\\boxed" in section:
        box = _boxes(section)
        if box:
            return Found("boxed", box[-1], section, _several(section))
    if "hash" in names and "####" in section:
        after = HASH.findall(section)[-1].strip()
        if after:
            return Found("hash", after, section)
    if "says" in names:
        said = _said(section, cut)
        if said:
            return Found("says", said, section)
    if "last" in names and not cut and section.strip():
        return Found("last", section.strip(), section)
    return None


def _tagged(section: str, cut: bool) -> str | None:
    """Content of the last answer tag. One left open counts where the text was not cut off: some
    engines take the closing tag away when they stop at it."""
    start = section.rfind("<answer>")
    inside, closed, _ = section[start + len("<answer>") :].partition("</answer>")
    return inside if closed or not cut else None


def _several(text: str) -> bool:
    """Whether the last two boxes are one answer: nothing but `and`, `or` or a comma is between them."""
    gaps = text.rsplit("\\boxed{", 2)
    if len(gaps) < 3:
        return False
    gap = gaps[1][gaps[1].rfind("}") + 1 :]
    return len(gap) < 60 and bool(TOGETHER.search(gap) or not LETTERS.search(gap))


def _boxes(text: str) -> list[str]:
    r"""Contents of the closed `\boxed{…}` in order; of boxes in each other the innermost."""
    found: list[str] = []
    open_: list[
        tuple[bool, int, str | None]
    ] = []  # is it a box, where it begins, the box inside it
    for brace in BRACE.finditer(text):
        token = brace.group()
        if token.endswith("{") and token != "\\{":
            open_.append((token != "{", brace.end(), None))
        elif token == "}" and open_:
            is_box, start, inner = open_.pop()
            content = text[start : brace.start()].strip() if is_box and inner is None else inner
            if content is None:
                continue
            if open_:
                open_[-1] = (*open_[-1][:2], content)
            elif is_box or inner is not None:
                found.append(content)
    # A box inside braces that never close is closed itself.
    found += [inner for _, _, inner in open_ if inner is not None]
    return found


def _said(section: str, cut: bool) -> str | None:
    announced = phrases.announced(section)
    if announced is None:
        return None
    rest = section[announced[1] :]
    stop = SENTENCE_END.search(rest)
    if stop is None and cut:
        return None
    return rest[: stop.start() if stop else None].strip(" *:：")
