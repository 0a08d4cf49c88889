"""The formats of JSON Schema that are checked: dates and times (RFC 3339), addresses, names of things."""

from __future__ import annotations

import datetime
import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TIME = re.compile(r"\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|z|[+-]\d\d:\d\d)", re.ASCII)
EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)*", re.ASCII | re.IGNORECASE)
URI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s<>\"{}|\\^`]+", re.ASCII | re.IGNORECASE)
LONGEST = 2000  # characters


def _date(text: str) -> bool:
    if DATE.fullmatch(text) is None:
        return False
    datetime.date.fromisoformat(text)
    return True


def _time(text: str) -> bool:
    if TIME.fullmatch(text) is None:
        return False
    # What Python reads has six digits of a second at most, and no leap second.
    second = "59" if text[6:8] == "60" else text[6:8]
    offset = text[8:].lstrip(".0123456789").upper().replace("Z", "+00:00")
    datetime.time.fromisoformat(text[:6] + second + offset)
    return True


def _date_time(text: str) -> bool:
    return text[10:11] in ("T", "t", " ") and _date(text[:10]) and _time(text[11:])


def _address(kind: Callable[[str], object]) -> Callable[[str], bool]:
    return lambda text: "%" not in text and kind(text) is not None


def _uuid(text: str) -> bool:
    return str(uuid.UUID(text)) == text.lower()


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date": _date,
    "time": _time,
    "date-time": _date_time,
    "email": lambda text: EMAIL.fullmatch(text) is not None,
    "uri": lambda text: URI.fullmatch(text) is not None,
    "uuid": _uuid,
    "ipv4": _address(ipaddress.IPv4Address),
    "ipv6": _address(ipaddress.IPv6Address),
}


def has_format(name: str, text: str) -> bool:
    """Whether the text is of the format, one of FORMATS."""
    try:
        return len(text) <= LONGEST and FORMATS[name](text)
    except ValueError:
        return False
