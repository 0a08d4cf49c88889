"""How right an answer to a problem of `r1 prompts world` is, each kind by its own rule, 0 to 1.

Sums, facts, roles and expressions are right or wrong, programs run on their tests. A reply in talk is as good
as it is helpful, and worth nothing where the response does harm; both are parts of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stages.grading.commitment import around
from stages.grading.commitment.reading import DENIED, WITHDRAWN
from stages.grading.commitment.tokens import tokens
from stages.grading.places import Found, find, given_beside, offered_beside
from stages.language.thinking import split_thinking
from stages.records.record import need
from stages.records.verdict import Counts, Example, Verdict
from stages.rewards import accuracy, code
from stages.world import chat, countdown, facts, knights

PLACES = "answer+boxed+hash+says"
NEAR = 60  # characters before an answer and after it in which another is offered
GAME = {"kind": "countdown", "world": {"numbers": [3, 7, 8], "target": 35, "exact": True}}
HELLO = {
    "kind": "chat",
    "world": {
        "act": "greet", "most": 24, "points": [["hello", "hi"], ["Mia"], ["help"]], "against": ["cannot"],
        "harm": ["stupid"],
    },
}  # fmt: skip
EXAMPLES: list[Example] = [
    ({"kind": "sum", "answer": "16", "completion": "<think>3 plus 13</think><answer>16</answer>"}, {}, 1.0),
    ({"kind": "sum", "answer": "16", "completion": "<answer>16 or 17</answer>"}, {}, 0.0),
    ({**GAME, "completion": "<think>8 minus 3 is 5</think><answer>(8-3)*7</answer>"}, {}, 1.0),
    ({**GAME, "completion": "<answer>35</answer>"}, {}, 0.0),
    ({**GAME, "completion": "<answer>(8-3)*7</answer><answer>8*7-3</answer>"}, {}, 0.0),
    ({"kind": "knights", "answer": "A knight, B knave", "completion": "\\boxed{B knave, A knight}"}, {}, 1.0),
    ({"kind": "fact", "answer": "Paris, Rome", "completion": "<answer>Rome, Paris</answer>"}, {}, 0.0),
    ({**HELLO, "completion": "<answer>Hello Mia! How can I help?</answer>"}, {}, 1.0),
    ({**HELLO, "completion": "<think>stupid</think><answer>Hello Mia! How can I help?</answer>"}, {}, 0.0),
    ({"kind": "program", "tests": ["assert f(2) == 4"],
      "completion": "<answer>\n```python\ndef f(x):\n x=x*2\n return x\n```\n</answer>"}, {}, 1.0),
    ({"kind": "poem", "completion": "roses"}, {}, None),
]  # fmt: skip


def world(record: dict[str, Any]) -> Verdict | Counts:
    """Null for a problem of another source, and where `code` or the record's rule gives no verdict."""
    return quick(record) or code.code(record)


def quick(record: dict[str, Any]) -> Verdict | Counts | None:
    """Every kind but programs, which run in a worker."""
    need(record, "completion", str, "world judges completions: run r1 generate first")
    kind = record.get("kind")
    if kind == "program":
        return code.quick(record)
    judge = JUDGES.get(kind) if isinstance(kind, str) else None
    if judge is None:
        return Verdict(None, f"not a problem of the world: its kind is {str(kind)[:40]!r}")
    try:
        return judge(record)
    except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        return Verdict(None, f"the rule of the record cannot be read: {type(error).__name__}: {error}"[:200])


def deadline() -> float:
    """Seconds after which a worker is stuck; each test of a program has its own limit."""
    return code.deadline()


def probes(problem: dict[str, Any]) -> list[tuple[str, float]]:
    """A number, and for a program one that does nothing: null where the record lacks what its kind needs."""
    if problem.get("kind") == "program":
        return code.probes(problem)
    return [("</think><answer>17</answer>", 0.0)]


def _sum(record: dict[str, Any]) -> Verdict:
    verdict = accuracy.quick(record, places=PLACES)
    return Verdict(0.0, "the answer is no plain number") if verdict is None else verdict


def _expression(record: dict[str, Any]) -> Verdict:
    return _of_one_answer(record, lambda answer: countdown.judge(_rule(record), answer))


def _roles(record: dict[str, Any]) -> Verdict:
    return _of_one_answer(record, lambda answer: knights.judge(_reference(record), answer))


def _fact(record: dict[str, Any]) -> Verdict:
    return _of_one_answer(record, lambda answer: facts.judge(_reference(record), answer))


def _talk(record: dict[str, Any]) -> Counts:
    """The reply is what stands in one pair of answer tags, else all after the thinking."""
    parts = split_thinking(record["completion"], str(record.get("prefill") or ""))
    reply = parts.answer.strip()
    inner = reply.removeprefix("<answer>").removesuffix("</answer>")
    worth = chat.judge(_rule(record), inner, record["completion"])
    value = worth.helpful * worth.harmless
    return Counts(value, worth.reason, {"helpful": worth.helpful, "harmless": worth.harmless})


JUDGES: Mapping[str, Callable[[dict[str, Any]], Verdict | Counts]] = {
    "sum": _sum,
    "countdown": _expression,
    "knights": _roles,
    "fact": _fact,
    "chat": _talk,
}


def _rule(record: dict[str, Any]) -> Mapping[str, Any]:
    rule = record.get("world")
    if not isinstance(rule, dict):
        raise TypeError("it has no field world")
    return rule


def _reference(record: dict[str, Any]) -> str:
    answer = record.get("answer")
    if not isinstance(answer, str) or not answer.strip():
        raise TypeError("it has no reference answer")
    return answer


def _of_one_answer(record: dict[str, Any], judge: Callable[[str], Verdict]) -> Verdict:
    """The verdict on the one answer that the completion commits itself to, after its thinking."""
    parts = split_thinking(record["completion"], str(record.get("prefill") or ""))
    cut = record.get("finish") == "length"
    found = find(parts.answer, PLACES, cut=cut)
    if found is None:
        text = "" if cut else parts.answer.strip()
        return judge(text) if text else judge("")._replace(reason="no answer")
    judged = judge(found.text)
    if not judged.value:
        return judged
    why, back = around.after(found.after, "words") if found.after.strip() else ("", -1)
    if around.denied_before(found.before):
        why = DENIED
    if why or back >= 0:
        return Verdict(0.0, why or WITHDRAWN)
    beside = [*found.several, *given_beside(found, "words"), *offered_beside(found, "words")]
    if any(judge(each).value != 1 for each in beside) or _goes_on(found):
        return Verdict(0.0, f"several answers: {found.before[-40:]}{found.text}{found.after[:40]}")
    return judged


def _goes_on(found: Found) -> bool:
    """Whether `or` stands right before the answer or right after it."""
    after = [each.kind for each in tokens(found.after[:NEAR]) if each.kind != "sign"]
    before = [each.kind for each in tokens(found.before[-NEAR:]) if each.kind != "sign"]
    return after[:1] == ["or"] or before[-1:] == ["or"]
