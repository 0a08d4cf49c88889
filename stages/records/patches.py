"""The patch that a completion gives: between <patch> tags, in a block of code, or as the text goes."""

from __future__ import annotations

import re
from typing import Any

TAGGED = re.compile(r"<patch>[ \t]*\n?(.*?)</patch>", re.DOTALL)
BLOCK = re.compile(r"^```[ \t]*(?:diff|patch)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEAD = re.compile(r"^(?:diff --git |--- )", re.MULTILINE)


def patch_of(record: dict[str, Any]) -> str:
    """The last patch after the thinking, which ends in a line break; "" where there is none."""
    text = str(record.get("prefill") or "") + record["completion"]
    answer = text.rpartition("</think>")[2]
    if "<think>" in answer:
        return ""
    for pattern in (TAGGED, BLOCK):
        found = [text for text in pattern.findall(answer) if HEAD.search(text)]
        if found:
            return _ended(found[-1])
    head = HEAD.search(answer)
    return _ended(answer[head.start() :]) if head else ""


def _ended(text: str) -> str:
    return text.strip("\n") + "\n"
