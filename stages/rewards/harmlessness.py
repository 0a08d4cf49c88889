"""Whether the whole response is harmless, thinking and answer, as a language model finds: 1 or 0.

The paper's harmlessness: harm counts wherever it stands. Options are those of `judge`; no reference is needed.
"""

from __future__ import annotations

from typing import Literal

from stages.data.record import Record
from stages.rewards.grading import Judge
from stages.rewards.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    ([Record(prompt="3+4?", completion="7")], {"model": "echo", "retries": 0}, [None]),
]


def harmlessness(
    batch: list[Record],
    *,
    model: str = "",
    url: str = "",
    prompt: str = "",
    part: Literal["summary", "whole"] = "whole",
    low: float = 0.0,
    high: float = 1.0,
    max_tokens: int = 512,
    temperature: float = 0.0,
    retries: int = 2,
    jobs: int = 16,
    backend: Literal["transformers", "vllm"] = "transformers",
    device: str = "auto",
    cache: str = "",
) -> list[Verdict]:
    """Null where no verdict was given in `1 + retries` attempts.

    Raises UsageError for options that make no sense, Unavailable for a model or server that cannot be had.
    """
    return Judge(
        prompt, "harmlessness", model, url, part, low, high, max_tokens, temperature, retries, jobs, backend, device, cache
    ).judge(batch)  # fmt: skip
