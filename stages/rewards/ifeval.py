"""1 where the answer follows all of the instructions that its prompt gives, as IFEval checks them, 0 else.

For the problems of `r1 prompts ifeval`, and others with `instruction_id_list` and `kwargs` of its 25 kinds.
Source: "Instruction-Following Evaluation for Large Language Models" (arXiv 2311.07911).
"""

from __future__ import annotations

from typing import Any, Literal

from stages.grading.instructions.following import checks_of, followed, followed_loosely
from stages.language.thinking import split_thinking
from stages.records.record import need
from stages.records.verdict import Counts, Example, Verdict

TWO: dict[str, Any] = {
    "instruction_id_list": ["punctuation:no_comma", "keywords:frequency"],
    "kwargs": [{}, {"keyword": "sea", "frequency": 2, "relation": "at least"}],
}
WORDS: dict[str, Any] = {
    "instruction_id_list": [
        "keywords:existence", "keywords:forbidden_words", "detectable_format:multiple_sections",
    ],
    "kwargs": [
        {"keywords": ["tide"]}, {"forbidden_words": ["sun"]}, {"section_spliter": "Part", "num_sections": 2},
    ],
}  # fmt: skip
EXAMPLES: list[Example] = [
    ({**TWO, "completion": "<think>Well, then.</think>\n\nThe sea is the sea."}, {}, 1.0),
    ({**TWO, "completion": "Well, the sea is the sea."}, {}, 0.0),
    ({**TWO, "completion": "Well, the sea is the sea."}, {"of": "share"}, 0.5),
    ({**TWO, "completion": "Sure, here it is:\nThe sea is the sea."}, {"of": "loose"}, 1.0),
    ({**TWO, "completion": "<think>The sea is the sea."}, {"of": "share"}, 0.0),
    ({**WORDS, "completion": "Part 1 Tides. Part 2 Sunday."}, {}, 1.0),
    ({**TWO, "kwargs": [{}], "completion": "sea"}, {}, None),
    ({"completion": "sea"}, {}, None),
]


def ifeval(
    record: dict[str, Any],
    *,
    of: Literal["strict", "loose", "share", "share_loose"] = "strict",
    part: Literal["summary", "whole"] = "summary",
) -> Verdict | Counts:
    """Null for a record without instructions, and for those that cannot be read. `of` picks the value.

    `part=summary` is what follows the thinking; `whole` is all of the completion.
    """
    text = need(record, "completion", str, "ifeval judges completions: run r1 generate first")
    try:
        checks = checks_of(record)
    except ValueError as error:
        return Verdict(None, str(error))
    said = _summary(text, str(record.get("prefill") or "")) if part == "summary" else text
    strict, loose = followed(said, checks), followed_loosely(said, checks)
    count = len(checks)
    parts = {
        "strict": float(all(strict)),
        "loose": float(all(loose)),
        "share": sum(strict) / count,
        "share_loose": sum(loose) / count,
        "followed": float(sum(strict)),
        "followed_loose": float(sum(loose)),
        "instructions": float(count),
    }
    broken = [name for name, held in zip(record["instruction_id_list"], strict, strict=True) if not held]
    reason = f"not followed: {', '.join(broken)}" if broken else f"{count} of {count} followed"
    return Counts(parts[of], reason, parts)


def _summary(completion: str, prefill: str) -> str:
    """The answer after the thinking and the space that parts them, without answer tags around all of it."""
    parts = split_thinking(completion, prefill)
    answer = parts.answer if parts.thinking is None else parts.answer.lstrip()
    inner = answer.strip()
    if inner.startswith("<answer>") and inner.endswith("</answer>"):
        return inner.removeprefix("<answer>").removesuffix("</answer>").strip()
    return answer


def probes(problem: dict[str, Any]) -> list[tuple[str, float]]:
    """A word: null where the instructions cannot be read."""
    return [("</think>Yes", 0.0)]
