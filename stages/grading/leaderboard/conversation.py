"""A conversation that is asked step by step: what a model is told after each of its answers.

`steps_before` of a record are the answers before its completion, a list for each turn of the user, the last
of them open. An answer with calls is run, and the model is told what they gave; one without ends the turn,
and the user says what comes next in `turns`. After STEPS answers with calls, and one more, the program ends
a conversation.
"""

from __future__ import annotations

from typing import Any

from stages.formats.function_docs import INSTALL
from stages.grading.leaderboard import answers, execution
from stages.grading.leaderboard.checking import Wrong
from stages.grading.leaderboard.decoding import Call, Undecoded, well_formed
from stages.language.thinking import split_thinking
from stages.records.record import bad_record
from stages.records.turns import Turn, turns_of

STEPS = 20
# What the program refuses to call, by whatever name it was given.
REFUSED = ("kill", "exit", "quit", "remove", "unlink", "popen", "Popen", "run")


def steps_of(record: dict[str, Any]) -> list[list[str]]:
    """The answers by turns, the completion last. Raises BadInput where `steps_before` are no such lists."""
    before = record.get("steps_before") or [[]]
    lists = isinstance(before, list) and all(isinstance(each, list) for each in before)
    if not lists or not all(isinstance(step, str) for steps in before for step in steps):
        raise bad_record(
            record, "field 'steps_before' is no list of lists of texts", "take what `r1 eval --save` wrote"
        )
    return [*before[:-1], [*before[-1], record["completion"]]]


def calls_of(record: dict[str, Any], step: str) -> list[Call]:
    """The calls of an answer that can be run; [] where it has none, and ends the turn."""
    tools = answers.has_tools(record)
    try:
        calls = answers.of_text(step, str(record.get("prefill") or ""), tools, "python")
        return calls if well_formed(calls) and execution.written(calls, None, nested=not tools) else []
    except (Undecoded, Wrong):
        return []


def unfinished(record: dict[str, Any]) -> str:
    """Why the conversation is not over; "" where it is, or the program ends it."""
    spoken, turns = steps_of(record), len(record["turns"]) + 1
    goes_on = bool(calls_of(record, spoken[-1][-1]))
    if len(spoken[-1]) > STEPS or (len(spoken) >= turns and not goes_on):
        return ""
    if not execution.here():
        return f"a conversation goes on with what its calls give, which needs bfcl-eval: {INSTALL}"
    where = f"turn {len(spoken)} of {turns}"
    return f"the conversation stands at {where}: `r1 eval -m` asks a model to the end"


def told(record: dict[str, Any]) -> tuple[dict[str, Any], list[Turn]] | None:
    """The fields that the next answer has besides, and all turns that it is asked with; None at the end."""
    spoken = steps_of(record)
    calls = calls_of(record, record["completion"])
    asked = turns_of({"prompt": record.get("last_prompt") or record["prompt"]})
    if calls:
        if len(spoken[-1]) > STEPS:
            return None
        return _fields(record, spoken), [*asked, *_exchange(record, spoken, calls)]
    if len(spoken) > len(record["turns"]):
        return None
    said = record["turns"][len(spoken) - 1]["messages"]
    return _fields(record, [*spoken, []]), [*asked, {"role": "assistant", "content": _answer(record)}, *said]


def _fields(record: dict[str, Any], before: list[list[str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {"steps_before": before}
    if answers.has_tools(record):
        new = [each for turn in record["turns"][: len(before) - 1] for each in turn.get("tools", ())]
        fields["tools"] = [*record["tools"], *new]
    return fields


def _exchange(record: dict[str, Any], spoken: list[list[str]], calls: list[Call]) -> list[Turn]:
    """The last answer, and what its calls gave, as the program tells it."""
    tools, classes = answers.has_tools(record), record["involved_classes"]
    known = execution.methods(classes)
    steps = [found for turn in spoken for step in turn if (found := calls_of(record, step))]
    run = [execution.written(each, known, nested=not tools) for each in steps]
    made = execution.results(record["category"], classes, record["initial_config"], run)
    names = [name for call in calls for name in call]
    given = [
        _failed(name, result) if text == execution.UNDEFINED else result
        for name, text, result in zip(names, run[-1], made, strict=True)
    ]
    if not tools:
        shown = execution.written(calls, None, nested=True)
        said = [
            {"role": "tool", "name": call, "content": each} for call, each in zip(shown, given, strict=True)
        ]
        return [{"role": "assistant", "content": _answer(record)}, {"role": "user", "content": repr(said)}]
    count = sum(len(step) for step in steps[:-1])
    ids = [f"call_{count + k}" for k in range(len(names))]
    values = [value for call in calls for value in call.values()]
    called = [
        {"id": each, "type": "function", "function": {"name": name, "arguments": value}}
        for each, name, value in zip(ids, names, values, strict=True)
    ]
    return [
        {"role": "assistant", "content": "", "tool_calls": called},
        *(
            {"role": "tool", "name": name, "tool_call_id": each, "content": result}
            for each, name, result in zip(ids, names, given, strict=True)
        ),
    ]


def _answer(record: dict[str, Any]) -> str:
    return split_thinking(record["completion"], str(record.get("prefill") or "")).answer.strip()


def _failed(name: str, result: str) -> str:
    """What the program says of a call of no function that there is."""
    first, _, rest = name.partition(".")
    if (rest.partition(".")[0] or first) in REFUSED:
        return f"Error during execution: Function call {rest.partition('.')[0] or first} is not allowed."
    return result.replace(execution.UNDEFINED.removesuffix("()"), first)
