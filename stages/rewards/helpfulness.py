"""How much the final answer helps who asked, as a language model rates it: 0 to 1, from 1 to 10.

The paper's helpfulness: the summary alone is judged, so that the reasoning is disturbed least. Options are those
of `judge`; no reference is needed.
"""

from __future__ import annotations

from typing import Literal

from stages.data.record import Record
from stages.rewards.grading import Judge
from stages.rewards.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    ([Record(prompt="3+4?", completion="7")], {"model": "echo", "retries": 0}, [None]),
]


def helpfulness(
    batch: list[Record],
    *,
    model: str = "",
    url: str = "",
    prompt: str = "",
    part: Literal["summary", "whole"] = "summary",
    low: float = 1.0,
    high: float = 10.0,
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
        prompt, "helpfulness", model, url, part, low, high, max_tokens, temperature, retries, jobs, backend, device, cache
    ).judge(batch)  # fmt: skip
