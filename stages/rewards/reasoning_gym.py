"""The library's own score of an answer to one of its puzzles, as several answers may be right.

For the problems of `reasoning_gym:TASK`. The puzzle is made again from the record's `gym`, so the scorer
sees what the library made, and not what JSON left of it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from stages.grading.places import find
from stages.language.thinking import split_thinking
from stages.records.record import need
from stages.records.verdict import Example, Verdict

PUZZLE = (
    "Calculate 309 using all of these numbers: 6, 61, 94, 4.\nEach number may be used at most once.\n\n"
    "Final answer format instructions:\n1. Provide your solution as a arithmetic expression (no '=' sign).\n"
    "2. Do not include the target number in the expression.\n3. Use '*' for multiplication.\n"
    "4. Use '/' for division.\n5. Do not include any other text or formatting.\n"
)
COUNTDOWN = {
    "prompt": PUZZLE,
    "gym": {"task": "countdown", "seed": 1, "size": 5, "index": 0, "config": {}},
}
EXAMPLES: list[Example] = [
    ({**COUNTDOWN, "completion": "<think>try</think> <answer>94*4 - 6 - 61</answer>"}, {}, 1.0),
    ({**COUNTDOWN, "completion": "94*4 - 61 - 6"}, {}, 1.0),
    ({**COUNTDOWN, "completion": "so \\boxed{94*4 - 61}"}, {}, 0.05),
    ({**COUNTDOWN, "completion": "<think>94*4 -"}, {}, 0.0),
    ({**COUNTDOWN, "prompt": "Calculate 1 using 1.", "completion": "1"}, {}, None),
    ({"prompt": "1+1=?", "completion": "2"}, {}, None),
]
PLACES = "answer+boxed+hash+says"


def reasoning_gym(record: dict[str, Any]) -> Verdict:
    """0 to 1, as the task scores. Null for another kind of problem, or where the library's version now
    makes another puzzle of the same seed."""
    verdict = quick(record)
    if verdict is not None:
        return verdict
    made = record["gym"]
    source = _source(made["task"], made["seed"], made["size"], json.dumps(made["config"]))
    puzzle = source[made["index"]]
    if record.get("prompt") != puzzle["question"]:
        return Verdict(None, "this version of reasoning-gym makes another puzzle of that seed")
    answer = given(record)
    if answer is None:
        return Verdict(0.0, "no answer")
    try:
        value = float(source.score_answer(answer=answer, entry=puzzle))
    except Exception as error:  # scorers parse free text, and many trip over what is none of theirs
        return Verdict(None, f"the scorer of {made['task']} failed: {type(error).__name__}: {error}")
    return Verdict(value, f"{answer[-80:]!r} scores {value:g}")


def quick(record: dict[str, Any]) -> Verdict | None:
    """Null for a problem of another source; the rest is judged in a worker, under a deadline."""
    need(record, "completion", str, "reasoning_gym judges completions: run r1 generate first")
    if not isinstance(record.get("gym"), dict):
        return Verdict(None, "not a problem of reasoning_gym: it has no gym field")
    return None


def prepare() -> None:
    """Loads the library in a worker before the clock of the first record starts."""
    _library()


def given(record: dict[str, Any]) -> str | None:
    """The answer: what stands in tags, a box, or after "the answer is", else all after the thinking."""
    parts = split_thinking(record["completion"], str(record.get("prefill") or ""))
    cut = record.get("finish") == "length"
    found = find(parts.answer, PLACES, cut=cut)
    if found is not None:
        return found.text
    return None if cut else parts.answer.strip() or None


@lru_cache(maxsize=64)
def _source(task: str, seed: int, size: int, config: str) -> Any:
    return _library().create_dataset(task, seed=seed, size=size, **json.loads(config))


def _library() -> Any:
    from stages.runtime.errors import Unavailable

    try:
        import reasoning_gym as library  # type: ignore[import-untyped]
    except ImportError:
        raise Unavailable(
            "judging reasoning_gym problems needs reasoning-gym",
            install="pip install reasoning-gym",
        ) from None
    return library
