"""Sentences of prose, and which of them holds a value."""

from __future__ import annotations

import re

from stages.grading.commitment.tokens import VALUE

LONG = 1200  # characters of a statement that are read
STOPS = re.compile(r"(?<!\.)(?<!\bvs)(?<!\bbzw)[.!?](?=\s)|[。！？]|\n\s*\n")


def last_statement(text: str) -> tuple[str, str]:
    """The last sentence of prose that holds a value, and what follows it."""
    opens = max(0, len(text) - LONG)
    end = len(text)
    for stop in reversed(list(STOPS.finditer(text[opens:]))):
        start = opens + stop.end()
        if VALUE.search(text, start, end):
            return text[start:end].strip(), text[end:]
        end = opens + stop.start()
    return text[opens:end].strip(), text[end:]


def bears(text: str, kind: str) -> bool:
    """Whether a text holds anything that could be an answer of this kind."""
    return bool(text.strip()) if kind != "value" else VALUE.search(text) is not None
