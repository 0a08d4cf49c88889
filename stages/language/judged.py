"""What a reward model is shown of a record: the same where it is trained and where it judges."""

from __future__ import annotations

from typing import Literal

from stages.language.thinking import split_thinking
from stages.records.record import Record, need
from stages.records.templates import messages_of

Part = Literal["whole", "summary"]


def conversation_of(record: Record, part: Part, remedy: str) -> list[dict[str, str]]:
    """The prompt's turns, then the completion as the assistant's: whole, or what follows the thinking.

    Raises BadInput, with `remedy`, for a record whose completion is no text.
    """
    text = need(record, "completion", str, remedy)
    prefill = str(record.get("prefill") or "")
    said = split_thinking(text, prefill).answer if part == "summary" else prefill + text
    return [*messages_of(record), {"role": "assistant", "content": said}]
