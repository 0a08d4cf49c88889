"""DROP's F1 of the answer, 0 to 1: over bags of words, numbers included; exact match stands beside it.

The answer is what stands in `<answer>`, else in a box, else after the first `Answer:`, else all that follows
the thinking. References are `answers`, each a list of spans, as `r1 prompts drop` gives them; else `answer`.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from stages.grading.places import find
from stages.grading.spans import best_overlap
from stages.language.thinking import split_thinking
from stages.records.record import need
from stages.records.verdict import Counts, Example, Verdict

LINE = re.compile(r"answer\s*:\s*([^\n]+)", re.IGNORECASE)
COMMAS = re.compile(r"[,;\n]|\band\b")
CITIES = {"answers": [["Dallas", "New York"], ["Dallas"]]}
EXAMPLES: list[Example] = [
    ({"answers": [["3"]], "completion": "<think>1+2</think>So.\nAnswer: 3 yards"}, {}, 0.67),
    ({"answers": [["3"], ["3 yards"]], "completion": "Answer: 3 yards."}, {}, 1.0),
    ({"answers": [["3"]], "completion": "Answer: 4 yards"}, {}, 0.0),
    ({**CITIES, "completion": "Answer: Dallas and New York"}, {}, 0.4),
    ({**CITIES, "completion": "Answer: New York, Dallas"}, {"spans": "list"}, 1.0),
    ({"answer": "the Bears", "completion": "\\boxed{Bears}"}, {}, 1.0),
    ({"completion": "3"}, {}, None),
]


def drop_f1(record: dict[str, Any], *, spans: Literal["one", "list"] = "one") -> Verdict | Counts:
    """Null for a record without a reference. `spans=list` parts the answer at commas and `and`.

    The published programs that read a text take it as one span, so that a reference of several is never
    matched whole; `list` reads it as what it says.
    """
    completion = need(record, "completion", str, "drop_f1 judges completions: run r1 generate first")
    references = _references(record)
    if not references:
        return Verdict(None, "the record has no reference: a text `answer`, or `answers`, lists of spans")
    said = _answer(split_thinking(completion, str(record.get("prefill") or "")).answer)
    given = [part for part in map(str.strip, COMMAS.split(said)) if part] if spans == "list" else [said]
    exact, f1 = best_overlap(given or [""], references)
    wanted = " / ".join(", ".join(each) for each in references)
    return Counts(f1, f"{' | '.join(given)[:80]!r} for {wanted[:80]!r}", {"em": exact})


def _references(record: dict[str, Any]) -> list[list[str]]:
    """Each a list of spans; [] where the record has none that can be read."""
    given = record.get("answers")
    if isinstance(given, list) and given:
        lists = [[each] if isinstance(each, str) else each for each in given]
        whole = all(isinstance(each, list) and all(isinstance(span, str) for span in each) for each in lists)
        lists = [each for each in lists if each and each[0].strip()] if whole else []
        return lists
    answer = record.get("answer")
    return [[answer]] if isinstance(answer, str) and answer.strip() else []


def _answer(section: str) -> str:
    found = find(section, "answer+boxed", cut=False)
    if found is not None:
        return found.text
    line = LINE.search(section)
    return (line[1] if line else section).strip()


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """A word: null where there is no reference."""
    return [("</think>Answer: yes", 0.0)]
