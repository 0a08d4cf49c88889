"""What stands between two answers: whether it makes them one list."""

from __future__ import annotations

from stages.grading.commitment.tokens import BRACKETS, small, tokens


def joins(text: str) -> bool:
    """Whether what stands between two answers makes them one list."""
    kinds = {token.kind for token in tokens(text)}
    if kinds & {"back", "rather", "no"}:
        return False
    return bool(kinds & {"or", "and"}) or not kinds & {"word", "character", "link"}


def stands_beside(gap: str) -> bool:
    """Whether nothing, or a word that joins, stands between two answers."""
    return {token.kind for token in tokens(gap)} <= BRACKETS | {"or", "and", "stop", "link"}


def says_something(text: str) -> bool:
    """Whether a text holds more than small words."""
    return not small(tokens(text))
