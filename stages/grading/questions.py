"""The multiple choice that a record poses: its options, their labels, and which of them are right.

The options are the record's `choices` (a list of texts, `{label: text}`, or `{"label": […], "text":
[…]}`), else what the prompt lists as `(A) …`, `B. …`. A reference is a label, an option's text, or,
where it is a JSON number beside `choices`, its place counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from stages.grading.wording import ascii_digits, bare, undressed
from stages.records.templates import messages_of

LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SMALL = LATIN.lower()
# Labels of other scripts, in the order of their options.
SERIES = (
    "أبجدهوزح", "ابجدهوزح", "가나다라마바사", "ㄱㄴㄷㄹㅁㅂㅅ", "アイウエオカキ", "甲乙丙丁戊己",
    "कखगघङच", "কখগঘঙচ", "กขคงจฉ", "АБВГДЕЖ", "ΑΒΓΔΕΖ", "אבגדהו",
)  # fmt: skip
DIGITS = "123456789"
LABEL = re.compile(r"[(\[（【「『]?\s*([^\W\d_])\s*(?:[)\]）】」』].*|[.:：．、,，)].*)?", re.DOTALL)
LISTED = re.compile(  # to the end of the line, or to the next label in it
    r"(?:^|\s)\(?([A-Z])[).:][ \t]+(.(?:\S++|[^\S\n]++(?!\(?[A-Z][).:][ \t]))*+)", re.DOTALL
)
SEVERAL = re.compile(r"[A-J](?:[,;&\s]|and)*(?:[A-J](?:[,;&\s]|and)*)+")


class Question(NamedTuple):
    """`right` holds the places of the right options; `texts` is empty where they are not known."""

    right: frozenset[int]
    texts: tuple[str, ...]
    series: str  # the letters or digits that label the options


def question(record: dict[str, Any]) -> Question | None:
    """The multiple choice that `record` poses, or None where it is none."""
    answer = record.get("answer")
    given = record.get("choices", record.get("options"))
    labels, texts = _options(given)
    if texts:
        return _among(answer, labels, texts)
    if not isinstance(answer, str) or len(answer) > 40:
        return None
    return _lettered(answer, record)


def _among(answer: Any, labels: Sequence[str], texts: tuple[str, ...]) -> Question | None:
    """The question whose options the record lists; None where its reference is none of them."""
    series = "".join(labels) if all(len(label) == 1 for label in labels) else ""
    if isinstance(answer, int) and not isinstance(answer, bool):
        inside = 0 <= answer < len(texts)
        return Question(frozenset({answer}), texts, series or LATIN) if inside else None
    wanted = ascii_digits(str(answer)).strip()
    plain = [bare(text) for text in texts]
    places = several(wanted)
    label = "" if places else _label_of(wanted) or ""  # `A, C` is no label before a text
    for names in (series, LATIN, *SERIES, DIGITS) if label else ():
        if label in names and names.index(label) < len(texts):
            return Question(frozenset({names.index(label)}), texts, names)
    if wanted.isdigit() and 1 <= int(wanted) <= len(texts) and wanted not in plain:
        return Question(frozenset({int(wanted) - 1}), texts, DIGITS)
    if bare(wanted) in plain:
        return Question(frozenset({plain.index(bare(wanted))}), texts, series or LATIN)
    return Question(places, texts, LATIN) if places and max(places) < len(texts) else None


def _lettered(answer: str, record: dict[str, Any]) -> Question | None:
    """The question whose reference is a letter, or several."""
    wanted = undressed(ascii_digits(answer))
    if places := several(wanted):
        return Question(places, (), LATIN)
    label = _label_of(wanted)
    if label is None:
        return None
    enclosed = wanted[0] in "([（【"
    if label in LATIN and (enclosed or label in LATIN[:10]):
        place, series = LATIN.index(label), LATIN
    elif label in SMALL and enclosed:
        place, series = SMALL.index(label), LATIN
    else:
        found = next((each for each in SERIES if label in each), None)
        if found is None:
            return None
        place, series = found.index(label), found
    texts = _listed(record)
    return Question(frozenset({place}), texts if place < len(texts) else (), series)


def _label_of(text: str) -> str | None:
    """The label that `text` is, alone or before its option: `B`, `(B)`, `B.`, `(B) Paris`."""
    if len(text) == 1:
        return text if text.isalpha() else None
    match = LABEL.fullmatch(text)
    if match is None or "=" in text or ("," in text and text.rstrip()[-1] in ")]"):
        return None  # an equation, an interval, a point
    return match[1]


def several(text: str) -> frozenset[int]:
    """The places of `A, C`, `A and C` or `ACD`; none for a word such as `BAD`."""
    text = text.strip(" .()[]")
    letters = re.findall("[A-J]", text) if SEVERAL.fullmatch(text) else []
    ordered = len(letters) > 1 and letters == sorted(set(letters))
    return frozenset(map(LATIN.index, letters)) if ordered else frozenset()


def _options(given: Any) -> tuple[list[str], tuple[str, ...]]:
    """Labels and texts of the record's options; labels are empty where only the texts are given."""
    if isinstance(given, dict) and isinstance(given.get("text"), list):
        labels = given.get("label")
        texts = tuple(map(str, given["text"]))
        whole = isinstance(labels, list) and len(labels) == len(texts)
        return (list(map(str, labels)) if whole and labels else []), texts
    if isinstance(given, dict):
        return list(map(str, given)), tuple(map(str, given.values()))
    if isinstance(given, list):
        return [], tuple(re.sub(r"^\(?[A-J][).:]\s+", "", str(text)) for text in given)
    return [], ()


def _listed(record: dict[str, Any]) -> tuple[str, ...]:
    """The options that the prompt lists as (A), (B) and so on."""
    if not record.get("prompt"):
        return ()
    return _listed_in(messages_of(record)[-1]["content"])


@lru_cache(maxsize=64)
def _listed_in(prompt: str) -> tuple[str, ...]:
    found = LISTED.findall(prompt)
    starts = [k for k, (label, _) in enumerate(found) if label == "A"]
    texts: list[str] = []
    for label, text in found[starts[-1] :] if starts else ():
        if label != LATIN[len(texts)]:
            break
        texts.append(text.strip())
    return tuple(texts) if len(texts) > 1 else ()
