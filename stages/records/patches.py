"""The patch that a completion gives: between <patch> tags, in a block of code, or as the text goes."""

from __future__ import annotations

from typing import Any

HEADS = ("diff --git ", "--- ")  # what the first line of a patch begins with
FENCES = ("```", "```diff", "```patch")


def patch_of(record: dict[str, Any]) -> str:
    """The last patch after the thinking, which ends in a line break; "" where there is none."""
    text = str(record.get("prefill") or "") + record["completion"]
    answer = text.rpartition("</think>")[2]
    if "<think>" in answer:
        return ""
    pieces = [each.partition("</patch>") for each in answer.split("<patch>")[1:]]
    for places in ([inside for inside, end, _ in pieces if end], _blocks(answer), [answer]):
        found = [patch for patch in map(_from_head, places) if patch]
        if found:
            return found[-1]
    return ""


def _blocks(answer: str) -> list[str]:
    """What stands in closed blocks of code that say diff, patch or nothing."""
    found: list[str] = []
    lines: list[str] | None = None
    for line in answer.split("\n"):
        if lines is None:
            lines = [] if line.rstrip() in FENCES else None
        elif line.startswith("```"):
            found.append("\n".join(lines))
            lines = None
        else:
            lines.append(line)
    return found


def _from_head(text: str) -> str:
    """The text from the first line of a patch on; "" where it has none."""
    lines = text.split("\n")
    start = next((k for k, line in enumerate(lines) if line.startswith(HEADS)), None)
    return "" if start is None else "\n".join(lines[start:]).strip("\n") + "\n"
