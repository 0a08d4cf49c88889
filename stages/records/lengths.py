"""How long a completion is, and how long it might have been."""

from __future__ import annotations

from typing import Any

from stages.records.record import bad_record, need, said_by


def size_of(record: dict[str, Any], unit: str, reward: str) -> int:
    """Tokens or characters of the completion. Raises BadInput where they cannot be counted."""
    text = need(record, "completion", str, f"{reward} judges completions: run r1 generate first")
    if unit == "characters":
        return len(text)
    counted = tokens_of(record)
    if counted is None:
        raise bad_record(
            record,
            "field 'completion_ids' is missing",
            f"make it with r1 generate --tokens, or give {reward}:unit=characters",
        )
    return counted


def tokens_of(record: dict[str, Any]) -> int | None:
    """Tokens of the completion, by its ids or by what `generate` counted; None where nothing says it."""
    ids = record.get("completion_ids")
    if isinstance(ids, list):
        return len(ids)
    counted = said_by(record, "generate").get("tokens")
    return counted if isinstance(counted, int) else None


def limit_of(record: dict[str, Any], unit: str) -> int:
    """The --max-tokens that the record was made with; 0 where it is not known, or for characters."""
    most = said_by(record, "generate").get("max_tokens")
    return most if isinstance(most, int) and unit == "tokens" else 0
