"""The turns of a conversation, whole: every key that a record gives them is kept.

A turn has a `role` and `content`: a text, a list of `{"type": "text", "text": …}` parts, or nothing beside
`reasoning_content` or `tool_calls`. `train` or `weight` says whether, and how much, an assistant's turn is
learned; `completion_ids` are the tokens it was sampled as.
"""

from __future__ import annotations

import json
import math
from typing import Any

from stages.records.record import Record, bad_record, kind_of, need, place_of

Turn = dict[str, Any]

MESSAGES = "a prompt is a string, or a list of {role, content} messages, each a text"
PARTS = 'only text is read: a part is {"type": "text", "text": …}'
# What is said of a turn and not in it: a chat template does not get these.
ASIDE = ("train", "weight", "completion_ids")


def turns_of(record: dict[str, Any]) -> list[Turn]:
    """The turns of the prompt; a string is one of the user. Raises BadInput where it is neither."""
    prompt = need(record, "prompt", (str, list), MESSAGES)
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not prompt:
        raise bad_record(record, "the prompt has no message", MESSAGES)
    return [turn_of(turn, record) for turn in prompt]


def answer_turns(record: dict[str, Any], remedy: str) -> list[Turn]:
    """The turns of the completion; a string is one of the assistant, its `prefill` before it."""
    said = need(record, "completion", (str, list), remedy)
    if isinstance(said, str):
        return [{"role": "assistant", "content": str(record.get("prefill") or "") + said}]
    turns = [turn_of(turn, record) for turn in said]
    if not turns or turns[-1]["role"] != "assistant":
        what = f"a completion of {len(turns)} turns, the last of them not the assistant's"
        remedy = "a completion ends with the assistant's words"
        raise bad_record(record, what, remedy)
    return turns


def turn_of(turn: Any, record: dict[str, Any]) -> Turn:
    """One chat message of `record`, as it is. Raises BadInput where it is none."""
    if not isinstance(turn, dict):
        what = f"a message is {kind_of(turn)}"
        raise bad_record(record, what, MESSAGES)
    message = Record(turn, place=place_of(record))
    need(message, "role", str, MESSAGES)
    content = turn.get("content")
    if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") for p in content):
        for part in content:
            if part["type"] != "text" or not isinstance(part.get("text"), str):
                what = f"a message has a part of type {part['type']!r}"
                raise bad_record(record, what, PARTS)
    elif content is not None or not (turn.get("tool_calls") or turn.get("reasoning_content")):
        need(message, "content", str, MESSAGES)
    calls = turn.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(map(_is_call, calls))):
        what = "the tool_calls of a message are not a list of calls"
        remedy = 'a call is {"type": "function", "function": {"name": …, "arguments": {…}}}'
        raise bad_record(record, what, remedy)
    if turn.get("reasoning_content") is not None:
        need(message, "reasoning_content", str, "it is a text")
    return dict(turn)


def _is_call(call: Any) -> bool:
    function = call.get("function", call) if isinstance(call, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def words_of(turn: Turn) -> str:
    """The text of a turn; its parts stand one a line."""
    content = turn.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content)
    return content or ""


def whole_words(turn: Turn) -> str:
    """The text of an assistant's turn, its reasoning before it as models write it."""
    thinking = turn.get("reasoning_content")
    if not thinking:
        return words_of(turn)
    return f"<think>\n{thinking.strip()}\n</think>\n\n{words_of(turn)}"


def in_words(record: Record) -> Record:
    """The record with its completion as one text, for who judges words: of several turns the assistant's."""
    if not isinstance(record.get("completion"), list):
        return record
    turns = answer_turns(record, "a text, or a list of messages")
    said = "\n".join(whole_words(turn) for turn in turns if turn["role"] == "assistant")
    return record.adding(completion=said)


def plain(turn: Turn) -> bool:
    """Whether the turn is its role and a text, and nothing more."""
    more = {key for key, value in turn.items() if value not in (None, [])}  # as tables fill up rows
    return more <= {"role", "content"} and isinstance(turn.get("content"), str)


def share(turn: Turn, record: dict[str, Any]) -> float | None:
    """How much the turn says that it is learned: 0, 1, another weight, or None where it says nothing."""
    for key in ("weight", "train"):
        value = turn.get(key)
        if value is None:
            continue
        if not isinstance(value, (bool, int, float)) or not 0 <= value < math.inf:
            what = f"{key!r} of a turn is {value!r}"
            remedy = "give `train` true or false, or `weight` a number that is not negative"
            raise bad_record(record, what, remedy)
        if value and turn["role"] != "assistant":
            what = f"{key!r} of a turn of role {turn['role']!r} is {value!r}"
            remedy = "only the assistant's turns are learned"
            raise bad_record(record, what, remedy)
        return float(value)
    return None


def tools_of(record: dict[str, Any]) -> list[Any] | None:
    """The record's tools, which some data sets hold as JSON text; None where it has none."""
    tools = record.get("tools")
    if isinstance(tools, str) and tools.strip():
        try:
            tools = json.loads(tools)
        except ValueError:
            raise bad_record(
                record, "field 'tools' is a text that is not JSON", "it is a list of function signatures"
            ) from None
    if not tools:
        return None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        what = f"field 'tools' is {kind_of(tools)}"
        remedy = "it is a list of function signatures"
        raise bad_record(record, what, remedy)
    return tools


RESERVED = {
    "conversation", "tools", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize",
    "return_dict", "return_tensors", "return_assistant_tokens_mask", "padding", "truncation", "max_length",
}  # fmt: skip


def options_of(record: dict[str, Any]) -> dict[str, Any]:
    """The record's `chat_template_kwargs`, such as {"enable_thinking": false}."""
    options = record.get("chat_template_kwargs")
    if options is None:
        return {}
    remedy = 'it is an object of what the chat template asks for, such as {"enable_thinking": false}'
    if not isinstance(options, dict):
        what = f"field 'chat_template_kwargs' is {kind_of(options)}"
        raise bad_record(record, what, remedy)
    if taken := RESERVED.intersection(options):
        what = f"chat_template_kwargs has {', '.join(sorted(taken))}, which is decided here"
        raise bad_record(record, what, remedy)
    return dict(options)
