"""How long a completion is, and how long it might have been."""

from __future__ import annotations

from typing import Any

from stages.data.errors import BadInput
from stages.data.record import need, place_of


def size_of(record: dict[str, Any], unit: str, reward: str) -> int:
    """Tokens or characters of the completion. Raises BadInput where they cannot be counted."""
    text = need(record, "completion", str, f"{reward} judges completions: run r1 generate first")
    if unit == "characters":
        return len(text)
    ids = record.get("completion_ids")
    if isinstance(ids, list):
        return len(ids)
    counted = _origin(record).get("tokens")
    if not isinstance(counted, int):
        raise BadInput(
            "field 'completion_ids' is missing",
            place=place_of(record),
            remedy=f"make it with r1 generate --tokens, or give {reward}:unit=characters",
        )
    return counted


def limit_of(record: dict[str, Any], unit: str) -> int:
    """The --max-tokens that the record was made with; 0 where it is not known, or for characters."""
    most = _origin(record).get("max_tokens")
    return most if isinstance(most, int) and unit == "tokens" else 0


def _origin(record: dict[str, Any]) -> dict[str, Any]:
    """What `generate` said of the record, or nothing."""
    meta = record.get("meta")
    origin = meta.get("generate") if isinstance(meta, dict) else None
    return origin if isinstance(origin, dict) else {}
