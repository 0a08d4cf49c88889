"""What a reward model gives: the number of a sequence-classification checkpoint for prompt and completion.

The checkpoint's chat template joins the two where it has one. `part` is what it sees: the whole completion, or the
summary after the thinking. `squash=sigmoid` brings the number between 0 and 1; a model of two classes gives the
probability of the second.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from stages.data.errors import UsageError
from stages.data.options import Engine
from stages.data.record import Record, need
from stages.data.templates import messages_of
from stages.data.text import split_thinking
from stages.rewards.verdict import Example, Verdict

EXAMPLES: list[Example] = [([], {"model": "nothing is asked of it"}, [])]


def reward_model(
    batch: list[Record],
    *,
    model: str,
    part: Literal["whole", "summary"] = "whole",
    squash: Literal["none", "sigmoid"] = "none",
    size: int = 8,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
) -> list[Verdict]:
    """Null for a text that is longer than the model reads. `size` texts are read at once.

    Raises Unavailable for a model that cannot be had, BadInput for a record without a completion.
    """
    if size < 1:
        raise UsageError(f"--reward reward_model: size={size} must be at least 1")
    conversations = [_conversation(record, part) for record in batch]
    if not batch:
        return []
    values = _opened(model, Engine(device=device, dtype=dtype)).rate(conversations, size)
    return [_verdict(value, squash) for value in values]


def _conversation(record: Record, part: str) -> list[dict[str, str]]:
    text = need(record, "completion", str, "reward_model judges completions: run r1 generate first")
    prefill = str(record.get("prefill") or "")
    said = split_thinking(text, prefill).answer if part == "summary" else prefill + text
    return [*messages_of(record), {"role": "assistant", "content": said}]


def _verdict(value: float | int, squash: str) -> Verdict:
    if isinstance(value, int):
        return Verdict(None, f"{value} tokens are more than the model reads")
    if squash == "sigmoid":
        import math

        value = 1 / (1 + math.exp(-value)) if value > -700 else 0.0
    return Verdict(value, "as the model rates it")


@lru_cache(maxsize=2)
def _opened(model: str, engine: Engine) -> Any:
    from stages.inference.classifier import Classifier

    return Classifier(model, engine)
