"""What a measuring stage returns: figures for programs, a table for people, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Results:
    """`records` go to stdout as JSONL, the table to stderr; a `failure` ends the command with exit code 1."""

    records: list[dict[str, Any]]
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    failure: str | None = None
