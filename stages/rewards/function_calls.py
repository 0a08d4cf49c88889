"""1 where the completion makes the function calls expected of it and no other, 0 where it does not.

What is expected is the record's `expected_calls`: a list of `{"name": …, "arguments": {…}}`, empty where no
call is to be made. Calls are compared as values: the order of keys says nothing, 1 is 1.0, an optional
argument that is null or the default of its signature (the record's `tools`) may be left out.
"""

from __future__ import annotations

from typing import Any, Literal

from stages.grading.structured import calls
from stages.grading.structured.answers import NoAnswer, answered
from stages.grading.structured.calls import Call, Tools, Written
from stages.grading.structured.values import read
from stages.records.record import need
from stages.records.turns import Turn, answer_turns, tools_of, whole_words, words_of
from stages.records.verdict import Counts, Example, Verdict

TURNS = True  # a completion in turns has its calls beside its words
WEATHER: dict[str, Any] = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string"},
                        "days": {"type": "number", "default": 1},
                    },
                    "required": ["city"],
                },
            },
        }
    ],
    "expected_calls": [{"name": "weather", "arguments": {"city": "Rome", "days": 1}}],
}
ROME = '{"name": "weather", "arguments": {"city": "Rome"}}'
EXAMPLES: list[Example] = [
    ({**WEATHER, "completion": f"<think>Rome</think>\n<tool_call>\n{ROME}\n</tool_call>"}, {}, 1.0),
    ({**WEATHER, "completion": '{"arguments": {"days": 1.0, "city": "Rome"}, "name": "weather"}'}, {}, 1.0),
    ({**WEATHER, "completion": f"I ask:\n```json\n[{ROME}]\n```"}, {}, 1.0),
    ({**WEATHER, "completion": [{"role": "assistant", "content": None, "tool_calls": [
        {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}]}]}, {}, 1.0),
    ({**WEATHER, "completion": f"{ROME} {ROME.replace('Rome', 'Oslo')}"}, {}, 0.0),
    ({**WEATHER, "completion": f"{ROME} {ROME.replace('Rome', 'Oslo')}"}, {"credit": "fraction"}, 0.5),
    ({**WEATHER, "completion": f"<think><tool_call>{ROME}</tool_call></think>It is warm."}, {}, 0.0),
    ({**WEATHER, "completion": f"I will not call <tool_call>{ROME}</tool_call>"}, {}, 0.0),
    ({**WEATHER, "completion": ROME.replace('"Rome"', '"Rome", "days": 2')}, {}, 0.0),
    ({"expected_calls": [], "completion": "Hello!"}, {}, 1.0),
    ({"expected_calls": [{"arguments": {}}], "completion": "Hello!"}, {}, None),
    ({"completion": "Hello!"}, {}, None),
]  # fmt: skip


def function_calls(
    record: dict[str, Any],
    *,
    credit: Literal["all", "fraction"] = "all",
    order: Literal["any", "given"] = "any",
) -> Verdict | Counts:
    """Null where the record has no `expected_calls`, or some that cannot be read.

    `credit=fraction` is the share of right calls among those expected or those made, whichever are more.
    Raises BadInput for a record without a completion, or with `tools` that are none.
    """
    try:
        expected = _expected(record)
    except ValueError as error:
        return Verdict(None, f"expected_calls cannot be read: {error}"[:300])
    if expected is None:
        return Verdict(None, "the record has no expected_calls")
    if not expected and record.get("finish") == "length":
        return _counted(0.0, "no answer: the completion was cut off", 0)
    try:
        made = _made(record)
        return _verdict(expected, made, Tools(tools_of(record)), credit, order)
    except NoAnswer as error:
        return _counted(0.0, str(error), 0)


def _expected(record: dict[str, Any]) -> list[Call] | None:
    """The calls that are expected; None where the record says nothing. Raises ValueError."""
    given = record.get("expected_calls")
    if given is None:
        return None
    given = read(given) if isinstance(given, str) else given
    if not isinstance(given, list):
        raise ValueError('they are a list of {"name": …, "arguments": {…}}')
    return [calls.call_of(each) for each in given]


def _made(record: dict[str, Any]) -> list[Written]:
    """The calls of the completion, those of its turns and those in its words. Raises NoAnswer."""
    need(record, "completion", (str, list), "function_calls judges completions: run r1 generate first")
    if isinstance(record["completion"], str):
        return calls.written(answered(record))
    found: list[Written] = []
    for turn in answer_turns(record, "a text, or a list of messages"):
        if turn["role"] == "assistant":
            found += _of_turn(turn)
    return found


def _of_turn(turn: Turn) -> list[Written]:
    try:
        beside = [Written(calls.call_of(each)) for each in turn.get("tool_calls") or ()]
    except ValueError as error:
        raise NoAnswer(f"a call cannot be read: {error}") from None
    silent = beside and not words_of(turn).strip()
    return beside if silent else beside + calls.written(answered({"completion": whole_words(turn)}))


def _verdict(
    expected: list[Call], made: list[Written], tools: Tools, credit: str, order: str
) -> Verdict | Counts:
    wanted, said = [tools.key(each) for each in expected], [tools.key(each.call) for each in made]
    missing, besides = calls.missing_and_besides(wanted, said)
    right = len(wanted) - len(missing)
    if right and (why := calls.refused(made[: 2 * len(wanted)])):
        return _counted(0.0, why, len(made))
    if missing or besides:
        share = right / max(len(wanted), len(said)) if credit == "fraction" else 0.0
        parts = [f"not called: {expected[k]}" for k in missing[:1]]
        parts += [f"called instead: {made[k].call}" for k in besides[:1]]
        return _counted(share, "; ".join(parts), len(made))
    if order == "given" and wanted != said:
        return _counted(0.0, "the right calls in another order", len(made))
    reason = ", ".join(map(str, expected[:3])) or "no call, as expected"
    return _counted(1.0, reason, len(made))


def _counted(value: float, reason: str, made: int) -> Counts:
    return Counts(value, reason[:300], {"made": float(made)})


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """A word: null where the expected calls cannot be read."""
    return [("</think>Hello", 0.0)]
