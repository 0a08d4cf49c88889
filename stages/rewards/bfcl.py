"""1 where the completion makes the calls that BFCL allows, 0 where not, by the leaderboard's own rules.

For the problems of `r1 prompts bfcl`: of allowed calls (`ground_truth`) by its AST checker, in its categories
of relevance and irrelevance by whether any call is made, in conversations by what the calls do: those of a
completion of messages, or of one text after the steps in `steps_before`. With `tools`
in the record a call is a turn's `tool_calls` or stands between `<tool_call>` tags; else it is `[f(a=1)]`,
alone in the answer. The value stands as `bfcl/CATEGORY`, too, so that `r1 eval` has the figures of the
leaderboard: its accuracies by category, `bfcl/live` and `bfcl/non_live`, which are means over problems and
over kinds, `bfcl/irrelevance_detection` and `bfcl/multi_turn`.
Source: gorilla.cs.berkeley.edu, bfcl-eval 2026.3.23.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from stages.grading.leaderboard import answers, conversation, execution
from stages.grading.leaderboard.checking import Language, Wrong, check_calls, unknown_form
from stages.grading.leaderboard.decoding import Call, Undecoded, well_formed
from stages.records.record import Record, need
from stages.records.turns import Turn, answer_turns
from stages.records.verdict import Counts, Example, Verdict
from stages.runtime.errors import Unavailable

TURNS = True  # a completion in turns has its calls beside its words
LANGUAGES: dict[str, Language] = {"simple_java": "java", "simple_javascript": "javascript"}
SIMPLE = ("simple_python", "simple_java", "simple_javascript")
NON_LIVE = ("multiple", "parallel", "parallel_multiple")
LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
IRRELEVANCE = ("irrelevance", "live_irrelevance")
MULTI_TURN = tuple(f"multi_turn_{each}" for each in ("base", "miss_func", "miss_param", "long_context"))
ROME: dict[str, Any] = {
    "category": "simple_python",
    "function": [{"name": "weather.get", "parameters": {"type": "dict", "required": ["city"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"},
        "at": {"type": "array", "items": {"type": "float"}},
    }}}],
    "ground_truth": [{"weather.get": {"city": ["New York", "NYC"], "days": [1, ""], "at": [[1.5], ""]}}],
}  # fmt: skip
TOLD: dict[str, Any] = {**ROME, "tools": [{"type": "function"}]}
NONE: dict[str, Any] = {"category": "irrelevance", "function": ROME["function"]}
TAGGED = '<tool_call>\n{"name": "weather_get", "arguments": {"city": "NYC"}}\n</tool_call>'
TURN: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [
    {"type": "function", "function": {"name": "weather_get", "arguments": '{"city": "NYC"}'}},
]}  # fmt: skip
EXAMPLES: list[Example] = [
    ({**ROME, "completion": "[weather.get(city='new-york')]"}, {}, 1.0),
    ({**ROME, "completion": "<think>NYC</think>\n`weather.get(days=3-2, city='NYC', at=[1.5])`"}, {}, 1.0),
    ({**ROME, "completion": "[weather.get(city='NYC', days='1')]"}, {}, 0.0),
    ({**ROME, "completion": "[weather.get(city='NYC', at=[1])]"}, {}, 0.0),
    ({**ROME, "completion": "It is [weather.get(city='NYC')]"}, {}, 0.0),
    ({**ROME, "completion": "[weather.get(city='NYC'), weather.get(city='NYC')]"}, {}, 0.0),
    ({**ROME, "completion": "<think>[weather.get(city='NYC')]"}, {}, 0.0),
    ({**TOLD, "completion": TAGGED}, {}, 1.0),
    ({**TOLD, "completion": [TURN]}, {}, 1.0),
    ({**NONE, "completion": "No function fits."}, {}, 1.0),
    ({**NONE, "completion": "[weather.get(city='NYC')]"}, {}, 0.0),
    ({**NONE, "category": "live_relevance", "completion": "[weather.get(city='Oslo')]"}, {}, 1.0),
    ({**ROME, "category": "memory_kv", "completion": "[]"}, {}, None),
    ({**ROME, "category": "multi_turn_base", "completion": "[]"}, {}, None),
    ({"completion": "[]"}, {}, None),
]  # fmt: skip


def bfcl(record: dict[str, Any]) -> Verdict | Counts:
    """Null for a record that is no problem of BFCL, or needs tree-sitter or bfcl-eval where it is not.

    Raises BadInput for a record without a completion.
    """
    verdict = quick(record)
    if verdict is not None:
        return verdict
    try:
        if record["category"] in MULTI_TURN:
            return _executed(record)
        return _judged(record, LANGUAGES[record["category"]])
    except Unavailable as error:
        return Verdict(None, str(error))


def quick(record: dict[str, Any]) -> Verdict | Counts | None:
    """The verdict on all but calls in Java and JavaScript and conversations, which are judged in a worker."""
    need(record, "completion", (str, list), "bfcl judges completions: run r1 generate first")
    category = record.get("category")
    if why := _no_problem(record):
        return Verdict(None, why)
    if category in MULTI_TURN and isinstance(record["completion"], str):
        if record.get("ended_early"):  # for the program an answer that is an error, and wrong
            return _told(category, False, f"the conversation ended early: {record['ended_early']}")
        try:
            why = conversation.unfinished(record)
        except (AttributeError, KeyError, TypeError) as error:
            why = f"no conversation of BFCL in the published form ({error!r})"[:300]
        return Verdict(None, why) if why else None
    return None if category in LANGUAGES or category in MULTI_TURN else _judged(record, "python")


def _no_problem(record: dict[str, Any]) -> str:
    category, functions = record.get("category"), record.get("function")
    if not isinstance(category, str) or not isinstance(functions, list):
        return "no problem of BFCL: it needs `category`, `function` and `ground_truth`"
    if category.startswith(("memory", "web_search")):
        return f"{category} is not judged here"
    if "relevance" in category or category in MULTI_TURN:
        return ""
    return unknown_form(functions, record.get("ground_truth"), LANGUAGES.get(category, "python"))


def _judged(record: dict[str, Any], language: Language) -> Verdict | Counts:
    category = record["category"]
    try:
        calls = _calls(record, language)
        made = bool(calls) and well_formed(calls)
        if "relevance" in category:
            return _told(category, made != ("irrelevance" in category), f"{len(calls) if made else 0} calls")
        if not well_formed(calls):
            raise Wrong("the arguments of a call have no names")
        check_calls(
            record["function"], calls, record["ground_truth"], category=category, language=language,
            underscores=answers.has_tools(record),
        )  # fmt: skip
    except Undecoded as error:
        return _told(category, "irrelevance" in category, str(error))
    except Wrong as error:
        return _told(category, False, str(error))
    return _told(category, True, ", ".join(name for call in calls for name in call))


def _executed(record: dict[str, Any]) -> Verdict | Counts:
    """The verdict on a conversation."""
    try:
        classes, config = record["involved_classes"], record["initial_config"]
        known = execution.methods(classes)
        wanted = [execution.rewritten(each, known) for each in record["ground_truth"]]
        turns: list[list[list[str]]] = []
        for steps in _steps(record):
            turns.append([])
            for calls in steps:
                with contextlib.suppress(Undecoded):  # an object that is empty, of which there is no call
                    turns[-1].append(execution.written(calls, known, nested=not answers.has_tools(record)))
        why = execution.fault(record["category"], classes, config, turns, wanted)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        return Verdict(None, f"no conversation of BFCL in the published form ({error!r})"[:300])
    return _told(record["category"], not why, why or f"{len(turns)} turns")


def _steps(record: dict[str, Any]) -> list[list[list[Call]]]:
    """The calls of each step that makes some, by turns: in a completion of messages each of the user begins
    another.
    """
    if isinstance(record["completion"], str):
        spoken = conversation.steps_of(record)
        found = [[conversation.calls_of(record, step) for step in steps] for steps in spoken]
        return [[calls for calls in steps if calls] for steps in found]
    turns: list[list[list[Call]]] = [[]]
    for message in answer_turns(record, "a text, or a list of messages"):
        if message["role"] == "user":
            turns.append([])
        elif message["role"] == "assistant":
            with contextlib.suppress(Undecoded, Wrong):  # words that call nothing end the turn
                calls = answers.of_turn(message, answers.has_tools(record), "python")
                if calls and well_formed(calls):
                    turns[-1].append(calls)
    return turns


def _calls(record: dict[str, Any], language: Language) -> list[dict[str, Any]]:
    """The calls of the completion, in all its turns. Raises Undecoded where it has none that can be read."""
    if isinstance(record["completion"], str):
        prefill = str(record.get("prefill") or "")
        return answers.of_text(record["completion"], prefill, answers.has_tools(record), language)
    found: list[dict[str, Any]] = []
    for turn in answer_turns(record, "a text, or a list of messages"):
        if turn["role"] == "assistant":
            found += answers.of_turn(turn, answers.has_tools(record), language)
    return found


def _told(category: str, right: bool, reason: str) -> Counts:
    parts = dict.fromkeys([category, *(["live"] if category in LIVE else [])], float(right))
    return Counts(float(right), reason[:300], parts)


def again(record: Record) -> tuple[dict[str, Any], list[Turn]] | None:
    """What a model is told after a step of a conversation; None where that is over or bfcl-eval not here."""
    if record.get("category") not in MULTI_TURN or not isinstance(record.get("completion"), str):
        return None
    return conversation.told(record) if execution.here() else None


def overall(mean: float, means: Mapping[str, float]) -> dict[str, float]:
    """The leaderboard's figures that are means of those of categories, each where it has all of them."""
    found: dict[str, float] = {}
    if all(name in means for name in (*SIMPLE, *NON_LIVE)):
        simple = fmean(means[name] for name in SIMPLE)
        found["non_live"] = fmean([simple, *(means[name] for name in NON_LIVE)])
    if all(name in means for name in IRRELEVANCE):
        found["irrelevance_detection"] = fmean(means[name] for name in IRRELEVANCE)
    if all(name in means for name in MULTI_TURN):
        found["multi_turn"] = fmean(means[name] for name in MULTI_TURN)
    return found


def probes(problem: dict[str, Any]) -> list[tuple[str, float]]:
    """A word, which is no call: null where it is no problem of BFCL."""
    return [("</think>Hello", 0.0)]
