r"""1 where the answer equals the reference, 0 where it does not.

Multiple choice, dates, words and signs are compared as what they are; numbers exactly; the rest is
for math-verify (algebra.py), whose judgement the short way of numbers never contradicts. `places`
says where an answer may stand, such as `answer+boxed`; any of the five by default (see places.py).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from stages.grading import algebra, choices, equality, questions, units, wording
from stages.grading.places import Found, chosen, find
from stages.language.thinking import split_thinking
from stages.records.record import kind_of, need
from stages.records.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    ({"completion": "3+4=7, so \\boxed{7}", "answer": "7"}, {}, 1.0),
    ({"completion": "<think>7</think> <answer>8</answer>", "answer": "7"}, {}, 0.0),
    ({"completion": "so 7</think>\n\n\\boxed{1,000}", "prefill": "<think>\n", "answer": "1000"}, {}, 1.0),
    ({"completion": "it is 7, hence 7", "prefill": "<think>\n", "answer": "7"}, {}, 0.0),
    ({"completion": "She has 72 clips.\n#### 72", "answer": "72"}, {}, 1.0),
    ({"completion": "That makes 72 clips.", "answer": "72"}, {"places": "boxed"}, 0.0),
    ({"completion": "The answer is $\\frac{2}{4}$.", "answer": "1/2"}, {}, 1.0),
    ({"completion": "\\boxed{(x+1)^2}", "answer": "x^2+2x+1"}, {}, 1.0),
    ({"completion": "\\boxed{\\text{Tuesday}}", "answer": "tuesday"}, {}, 1.0),
    ({"completion": "La respuesta es (C).", "answer": "C"}, {}, 1.0),
    ({"completion": "It is Paris.", "answer": 1, "choices": ["Rome", "Paris"]}, {}, 1.0),
    ({"completion": "So the answer is yes.", "answer": "Yes"}, {}, 1.0),
    ({"completion": "\\boxed{500\\text{ cm}}", "answer": "5 m"}, {}, 1.0),
    ({"completion": "\\boxed{7}"}, {}, None),
]  # fmt: skip


def accuracy(record: dict[str, Any], *, places: str = "any") -> Verdict:
    """Null where the record has no reference answer, or one that cannot be read."""
    verdict = quick(record, places=places)
    if verdict is not None:
        return verdict
    asked = questions.question(record)
    found = _answer(record, places)
    assert isinstance(found, Found)
    gold = reference(record)
    if asked is not None and asked.texts:
        gold = asked.texts[min(asked.right)]
    gold = units.pointed(gold)
    kept = equality.committed(gold, found, places)
    assert not isinstance(kept, str)
    verdict = Verdict(0.0, "no answer")
    for each in kept:
        verdict = equality.settle(gold, each) or equality.compared(gold, each, choice=asked is not None)
        if verdict.value != 1:
            return verdict
    return verdict


def quick(record: dict[str, Any], *, places: str = "any") -> Verdict | None:
    """The verdict where no computer algebra is needed, else None. Some microseconds."""
    chosen(places)
    need(record, "completion", str, "accuracy judges completions: run r1 generate first")
    lacking = unusable(record)
    if lacking:
        return Verdict(None, lacking)
    gold = reference(record)
    found = _answer(record, places)
    asked = questions.question(record)
    if asked is not None:
        if isinstance(found, str) and places != "any":
            return Verdict(0.0, found)
        given = found if isinstance(found, Found) else None
        if given is None and record.get("finish") == "length":
            return Verdict(0.0, str(found))
        verdict = choices.settle(asked, given, section(record)[-algebra.TAIL :], places)
        if verdict is not None:
            return verdict
        gold = asked.texts[min(asked.right)]
    if isinstance(found, str):
        return Verdict(0.0, found)
    gold = units.pointed(gold)
    kept = equality.committed(gold, found, places)
    if isinstance(kept, str):
        return Verdict(0.0, kept)
    verdicts = [equality.settle(gold, each) or equality.unreachable(gold, each) for each in kept]
    wrong = next((each for each in verdicts if each is not None and each.value == 0), None)
    # A list of answers is right where each of them is.
    return wrong or (
        None if None in verdicts else next((v for v in verdicts if v and v.value is None), verdicts[-1])
    )


def unusable(record: dict[str, Any]) -> str:
    """Why the reference answer cannot be used at all; "" where it may be."""
    answer = record.get("answer")
    if answer is None:
        return "the record has no reference answer"
    if isinstance(answer, dict) or (isinstance(answer, list) and len(answer) != 1):
        return f"the reference answer is {kind_of(answer)}, not a text"
    return "" if reference(record) else "the reference answer is empty"


def reference(record: dict[str, Any]) -> str:
    """The reference as text; what follows `####` where it is a GSM8K solution."""
    answer = record["answer"]
    if isinstance(answer, list):
        answer = answer[0]
    if isinstance(answer, bool):
        return "true" if answer else "false"
    return _reference(str(answer))


@lru_cache(maxsize=1024)
def _reference(answer: str) -> str:
    text = wording.ascii_digits(answer)
    return (text.rpartition("####")[2] if "####" in text else text).strip()


def section(record: dict[str, Any]) -> str:
    """The completion after its thinking."""
    return wording.ascii_digits(split_thinking(record["completion"], str(record.get("prefill") or "")).answer)


def _answer(record: dict[str, Any], places: str) -> Found | str:
    """Where the answer stands, or why there is none."""
    parts = split_thinking(record["completion"], str(record.get("prefill") or ""))
    if parts.thinking is not None and not parts.answer.strip():
        return "no answer: nothing follows the thinking"
    cut = record.get("finish") == "length"
    found = find(wording.ascii_digits(parts.answer), places, cut=cut)
    if found is None:
        where = "" if places == "any" else f" in {places}"
        return f"no answer{where}" + (": the completion was cut off" if cut else "")
    if found.place == "last":
        return found._replace(text=found.text[-algebra.TAIL :])
    return found


def prepare() -> None:
    """Loads math-verify in a worker before the clock of the first record starts."""
    algebra.prepare()


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """An option or a number, right or wrong: null where the reference is missing or cannot be read."""
    asked = questions.question(problem)
    return [(f"</think>\\boxed{{{asked.series[0] if asked else 17}}}", 0.0)]
