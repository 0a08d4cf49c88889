"""Conversations, in the forms that TRL, ShareGPT, axolotl, LLaMA-Factory and OpenAI write them."""

from __future__ import annotations

from typing import Any

from stages.records.jsonl import decode
from stages.records.record import Record, bad_record, kind_of, need, object_of
from stages.records.turns import Turn, plain, turn_of, words_of

ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}


def words_alone(turns: list[Turn]) -> str | list[Turn]:
    """One plain answer as its text; what is more stays as it is."""
    return words_of(turns[0]) if len(turns) == 1 and plain(turns[0]) else turns


def prompt_alone(turns: list[Turn]) -> str | list[Turn]:
    """One plain turn of the user as its text; what is more stays as it is."""
    alone = len(turns) == 1 and turns[0]["role"] == "user" and plain(turns[0])
    return turns[0]["content"] if alone else turns


def split_turns(fields: Record, turns: Any) -> Record:
    """Chat turns as the prompt and, where the last is the assistant's, the completion."""
    if not isinstance(turns, list) or not turns:
        raise bad_record(fields, "messages hold no turns", "a list of {role, content} messages")
    clean = [turn_of(turn, fields) for turn in turns]
    if clean[-1]["role"] == "assistant":
        if len(clean) == 1:
            raise bad_record(
                fields, "an answer without a question", "a user's message must come before the assistant's"
            )
        fields["completion"] = words_alone([clean.pop()])
    fields["prompt"] = prompt_alone(clean)
    return fields


def sharegpt(fields: Record) -> Record:
    """`conversations` of {from, value} turns, or of {role, content}, with `system` before them."""
    turns = need(fields, "conversations", list, "a list of {from, value} turns")
    del fields["conversations"]
    messages = [_turn(turn, fields) for turn in turns]
    system = fields.pop("system", None)
    if system:
        messages.insert(0, {"role": "system", "content": str(system)})
    for key in ("chosen", "rejected"):  # LLaMA-Factory's pairs: one turn each
        if isinstance(fields.get(key), dict):
            fields[key] = [_turn(fields[key], fields)]
    return split_turns(fields, messages)


def _turn(turn: Any, fields: Record) -> Turn:
    if not isinstance(turn, dict):
        raise bad_record(
            fields, f"a turn is {kind_of(turn)}", "conversations are a list of {from, value} turns"
        )
    entry = Record(turn, place=fields.place)
    speaker = entry.get("from", entry.get("role"))
    if not isinstance(speaker, str) or speaker not in ROLES:
        raise bad_record(fields, f"a turn is from {speaker!r}", f"known speakers are {', '.join(ROLES)}")
    text = "value" if "value" in entry else "content"
    more = {key: entry[key] for key in entry if key not in ("from", "value", "role", "content")}
    if text == "content" and more.get("tool_calls") and entry.get(text) is None:
        return {"role": ROLES[speaker], "content": None, **more}
    words = need(entry, text, str, "each turn needs text")
    if speaker == "function_call":
        return {"role": "assistant", "content": None, "tool_calls": _calls(words, fields), **more}
    return {"role": ROLES[speaker], "content": words, **more}


def _calls(text: str, fields: Record) -> list[dict[str, Any]]:
    """LLaMA-Factory's calls: {name, arguments} as JSON text, or a list of such."""
    try:
        value = decode(text)
    except ValueError:
        value = None
    calls = value if isinstance(value, list) else [value]
    if not calls or not all(isinstance(call, dict) and "name" in call for call in calls):
        raise bad_record(
            fields,
            "a turn from 'function_call' holds no call",
            'its value is JSON text: {"name": …, "arguments": {…}}',
        )
    return [{"type": "function", "function": call} for call in calls]


def with_history(fields: Record) -> Record:
    """Alpaca's `history` of [question, answer] pairs and `system`, before the question of the row."""
    pairs = need(fields, "history", list, "[question, answer] pairs") if fields.get("history") else []
    system = need(fields, "system", str, "it is a text") if fields.get("system") else ""
    fields.pop("history", None)
    fields.pop("system", None)
    turns: list[Turn] = [{"role": "system", "content": system}] if system else []
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise bad_record(
                fields,
                "history holds something else than [question, answer] pairs",
                "each is a list of two texts",
            )
        turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    if turns:
        fields["prompt"] = [*turns, {"role": "user", "content": fields["prompt"]}]
    return fields


def preference(fields: Record) -> Record:
    """TRL's `chosen` and `rejected` with the prompt in them: what both begin with is the prompt.

    Of texts it ends with their last common word.
    """
    chosen = need(fields, "chosen", (list, str), "a text, or a list of {role, content} messages")
    rejected = need(fields, "rejected", type(chosen), "of the form that chosen has")
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    if isinstance(chosen, str):
        shared = max(chosen.rfind(space, 0, shared) for space in " \n\t") + 1
    if not shared:
        raise bad_record(
            fields,
            "chosen and rejected begin differently, so neither says what was asked",
            "give the prompt in a field 'prompt'",
        )
    first = chosen[:shared]
    fields["prompt"] = (
        first if isinstance(first, str) else prompt_alone([turn_of(turn, fields) for turn in first])
    )
    fields["chosen"], fields["rejected"] = chosen[shared:], rejected[shared:]
    return fields


def holds_prompt(fields: Record) -> bool:
    """Whether the answers of a preference row begin with what was asked, whatever its `prompt` says."""
    chosen = fields.get("chosen")
    if isinstance(chosen, list):
        first = chosen[0] if chosen else None
        return "prompt" not in fields or (isinstance(first, dict) and first.get("role") != "assistant")
    return isinstance(chosen, str) and "prompt" not in fields


def segments(fields: Record) -> Record:
    """axolotl's `segments` [{label, text}]: what is not learned, then what is."""
    parts = need(fields, "segments", list, "a list of {label, text}")
    del fields["segments"]
    rows = [Record(object_of(part), place=fields.place) for part in parts]
    texts = [need(part, "text", str, "each segment needs text") for part in rows]
    learned = [bool(part.get("label")) for part in rows]
    if learned != sorted(learned) or not any(learned) or all(learned):
        raise bad_record(
            fields,
            "segments are learned in turns",
            "one prompt and one completion are read: give a conversation as messages",
        )
    start = learned.index(True)
    fields["prompt"], fields["completion"] = "".join(texts[:start]), "".join(texts[start:])
    return fields
