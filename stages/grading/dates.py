"""Dates, however written: `05/01/2021`, `May 1st, 2021`, `1. Mai 2021`, `2021-05-01`, `2021年5月1日`.

Two numbers before a year are month and day, as in the United States, unless the first cannot be a
month or points divide them (`01.05.2021`).
Own code: right on 34 of 34 pairs, dateutil on 22, dateparser on 26 (docs/libraries.md).
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

MONTHS = (
    "january jan janvier januar jänner enero janeiro gennaio января",
    "february feb février fevrier februar febrero fevereiro febbraio февраля",
    "march mar mars märz maerz marzo março марта",
    "april apr avril abril aprile апреля",
    "may mai mayo maio maggio мая",
    "june jun juin juni junio junho giugno июня",
    "july jul juillet juli julio julho luglio июля",
    "august aug août aout agosto августа",
    "september sep sept septembre septiembre setembro settembre сентября",
    "october oct octobre oktober okt octubre outubro ottobre октября",
    "november nov novembre noviembre novembro ноября",
    "december dec décembre decembre dezember dez diciembre dezembro dicembre декабря",
)
YEAR = r"(\d{4})"
FORMS = (
    rf"\b{YEAR}[-/.](\d{{1,2}})[-/.](\d{{1,2}})\b",
    rf"{YEAR}\s*[年년]\s*(\d{{1,2}})\s*[月월]\s*(\d{{1,2}})\s*[日일]",
    rf"\b(\d{{1,2}})([/.-])(\d{{1,2}})\2{YEAR}\b",
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|er|\.|º)?(?:\s+(?:of|de))?"
    rf"\s+([^\W\d_]{{3,10}})\.?,?(?:\s+(?:of|de))?\s+{YEAR}\b",
    rf"\b([^\W\d_]{{3,10}})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?,?\s+{YEAR}\b",
)


@lru_cache(maxsize=1)
def _forms() -> list[re.Pattern[str]]:
    return [re.compile(form, re.IGNORECASE) for form in FORMS]


@lru_cache(maxsize=1)
def _months() -> dict[str, int]:
    return {name: k for k, names in enumerate(MONTHS, 1) for name in names.split()}


def dates_in(text: str) -> list[date]:
    """All dates of `text`, in no order of meaning."""
    found = []
    for kind, form in enumerate(_forms()):
        for match in form.finditer(text):
            day = _date(kind, match.groups())
            if day is not None:
                found.append((match.start(), day))
    return [day for _, day in sorted(found)]


def read(text: str) -> date | None:
    """The date that `text` is, and nothing besides; None where it is none."""
    return _read(text) if len(text) <= 40 else None


@lru_cache(maxsize=512)
def _read(text: str) -> date | None:
    for kind, form in enumerate(_forms()):
        match = form.fullmatch(text.strip(" ."))
        if match is not None:
            return _date(kind, match.groups())
    return None


def _date(kind: int, parts: tuple[str, ...]) -> date | None:
    if kind < 2:
        year, month, day = map(int, parts)
    elif kind == 2:
        month, day, year = int(parts[0]), int(parts[2]), int(parts[3])
        if parts[1] == "." or month > 12:
            month, day = day, month
    else:
        day_text, name = parts[:2] if kind == 3 else (parts[1], parts[0])
        month, day, year = _months().get(name.casefold(), 0), int(day_text), int(parts[2])
    try:
        return date(year, month, day)
    except ValueError:
        return None
