"""1 where the completion makes the calls that BFCL allows, 0 where not, by the leaderboard's own rules.

For the problems of `r1 prompts bfcl`: of allowed calls (`ground_truth`) by its AST checker, and whether any
call is made in its categories of relevance and irrelevance. With `tools` in the record a call is a turn's
`tool_calls` or stands between `<tool_call>` tags; else it is `[f(a=1)]`, alone in the answer. The value
stands as `bfcl/CATEGORY`, too, so that `r1 eval` has the figures of the leaderboard: its accuracies by
category, `bfcl/live` and `bfcl/non_live`, which are means over problems and over kinds, and
`bfcl/irrelevance_detection`.
Source: gorilla.cs.berkeley.edu, bfcl-eval 2026.3.23.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from stages.grading.leaderboard import java, javascript
from stages.grading.leaderboard.checking import Language, Wrong, check_calls, unknown_form
from stages.grading.leaderboard.decoding import (
    Undecoded,
    bracketed,
    decode_tagged,
    decode_turn,
    decode_words,
    well_formed,
)
from stages.language.thinking import split_thinking
from stages.records.record import need
from stages.records.turns import answer_turns, whole_words
from stages.records.verdict import Counts, Example, Verdict
from stages.runtime.errors import Unavailable

TURNS = True  # a completion in turns has its calls beside its words
LANGUAGES: dict[str, Language] = {"simple_java": "java", "simple_javascript": "javascript"}
SIMPLE = ("simple_python", "simple_java", "simple_javascript")
NON_LIVE = ("multiple", "parallel", "parallel_multiple")
LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
IRRELEVANCE = ("irrelevance", "live_irrelevance")
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
    ({**ROME, "category": "multi_turn_base", "completion": "[]"}, {}, None),
    ({"completion": "[]"}, {}, None),
]  # fmt: skip


def bfcl(record: dict[str, Any]) -> Verdict | Counts:
    """Null for a record that is no problem of BFCL of one turn, and without tree-sitter for Java's.

    Raises BadInput for a record without a completion.
    """
    verdict = quick(record)
    if verdict is not None:
        return verdict
    try:
        return _judged(record, LANGUAGES[record["category"]])
    except Unavailable as error:
        return Verdict(None, str(error))


def quick(record: dict[str, Any]) -> Verdict | Counts | None:
    """The verdict on all but calls in Java and JavaScript, whose patterns are judged in a worker."""
    need(record, "completion", (str, list), "bfcl judges completions: run r1 generate first")
    category = record.get("category")
    if why := _no_problem(record):
        return Verdict(None, why)
    return None if category in LANGUAGES else _judged(record, "python")


def _no_problem(record: dict[str, Any]) -> str:
    category, functions = record.get("category"), record.get("function")
    if not isinstance(category, str) or not isinstance(functions, list):
        return "no problem of BFCL: it needs `category`, `function` and `ground_truth`"
    if category.startswith(("multi_turn", "memory", "web_search")):
        return f"the calls of {category} have to be executed, which is not done here"
    if "relevance" in category:
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
            underscores=_has_tools(record),
        )  # fmt: skip
    except Undecoded as error:
        return _told(category, "irrelevance" in category, str(error))
    except Wrong as error:
        return _told(category, False, str(error))
    return _told(category, True, ", ".join(name for call in calls for name in call))


def _calls(record: dict[str, Any], language: Language) -> list[dict[str, Any]]:
    """The calls of the completion, in all its turns. Raises Undecoded where it has none that can be read."""
    if isinstance(record["completion"], str):
        return _written(record, record["completion"], str(record.get("prefill") or ""), language)
    found: list[dict[str, Any]] = []
    for turn in answer_turns(record, "a text, or a list of messages"):
        if turn["role"] == "assistant":
            beside = turn.get("tool_calls") if _has_tools(record) else None
            found += decode_turn(beside) if beside else _written(record, whole_words(turn), "", language)
    return found


def _written(record: dict[str, Any], text: str, prefill: str, language: Language) -> list[dict[str, Any]]:
    whole = prefill + text if "<think>" in prefill else text
    if whole.rfind("<think>") > whole.rfind("</think>"):
        raise Wrong("no answer: the thinking never ends")
    answer = split_thinking(text, prefill).answer
    if _has_tools(record):
        return [*decode_tagged(answer)]
    if language == "python":
        return [*decode_words(answer)]
    inside = bracketed(answer)[1:-1]
    try:
        return java.decode(inside) if language == "java" else javascript.decode(inside) or []
    except (ValueError, RecursionError) as error:
        raise Undecoded(f"no calls: {error}") from None


def _has_tools(record: dict[str, Any]) -> bool:
    """Whether a model was given tools; some problems have none to give."""
    return record.get("tools") is not None


def _told(category: str, right: bool, reason: str) -> Counts:
    parts = dict.fromkeys([category, *(["live"] if category in LIVE else [])], float(right))
    return Counts(float(right), reason[:300], parts)


def overall(means: Mapping[str, float]) -> dict[str, float]:
    """The leaderboard's figures that are means of those of categories, each where it has all of them."""
    found: dict[str, float] = {}
    if all(name in means for name in (*SIMPLE, *NON_LIVE)):
        simple = fmean(means[name] for name in SIMPLE)
        found["non_live"] = fmean([simple, *(means[name] for name in NON_LIVE)])
    if all(name in means for name in IRRELEVANCE):
        found["irrelevance_detection"] = fmean(means[name] for name in IRRELEVANCE)
    return found


def probes(problem: dict[str, Any]) -> list[tuple[str, float]]:
    """A word, which is no call: null where it is no problem of BFCL."""
    return [("</think>Hello", 0.0)]
