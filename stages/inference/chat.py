"""What a model's chat template makes of a conversation, and what it leaves out.

A chat template is a program that a model brings along. It may refuse a conversation, ignore parts of it, or
write earlier turns anew once there are later ones; whatever it does, it does here, in one place, for all that
renders.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from stages.checkpoints.contents import NO_TEMPLATE
from stages.inference.template_limits import LimitExceeded, limited
from stages.records.templates import Rendered
from stages.records.turns import ASIDE, Turn, words_of
from stages.runtime.errors import BadInput, UsageError

OPENERS = ("<think>\n", "<think>")
THINKING = ("reasoning_content", "thinking", "reasoning")
QUESTION, ANSWER = "xQuestionx", "xAnswerx"


def text_of(
    tokenizer: Any, prompt: Rendered, place: str, *, turns: Sequence[Turn] = (), begin: bool = True
) -> str:
    """The text of the prompt's messages and `turns` after them, and where `begin` the head of an answer.

    Raises UsageError where the model has no chat template, BadInput where the template refuses.
    """
    if not tokenizer.chat_template:
        raise UsageError(NO_TEMPLATE)
    messages = [*prompt.messages, *turns]
    key = thinking_key(tokenizer, str(tokenizer.chat_template))
    refusal: Exception | None = None if key else LimitExceeded()
    for form in _forms(messages, key) if key else ():
        try:
            with limited():
                text: str = tokenizer.apply_chat_template(
                    form,
                    tools=prompt.tools,
                    add_generation_prompt=begin,
                    tokenize=False,
                    **prompt.options,
                )
        except LimitExceeded as error:
            refusal = error
            break
        except Exception as error:  # jinja2 raises what the template tells it to
            refusal = refusal or error
            continue
        if _garbled(text, form):
            continue
        return text
    raise BadInput(
        f"the model's chat template refuses the prompt: {refusal or 'it writes no text for it'}",
        place=place,
        remedy="see its messages",
    ) from refusal


def _forms(messages: Sequence[Turn], thinking: str) -> Iterator[list[Turn]]:
    """The same conversation in the forms that templates read: a call's arguments as an object, or as JSON.

    Some read a list of parts, others a text only; some need a text where there is none to show.
    """
    clean = [
        {
            thinking if key == "reasoning_content" else key: value
            for key, value in turn.items()
            if key not in ASIDE and not (key != "content" and value in (None, []))
        }
        for turn in messages
    ]
    listed = any(isinstance(turn.get("content"), list) for turn in clean)
    silent = any(turn.get("content") is None for turn in clean)
    called = any(turn.get("tool_calls") for turn in clean)
    for flat in (False, True) if listed or silent else (False,):
        for as_text in (False, True) if called else (False,):
            yield [
                {
                    **turn,
                    **({"content": words_of(turn)} if flat else {}),
                    **({"tool_calls": calls_of(turn, as_text=as_text)} if turn.get("tool_calls") else {}),
                }
                for turn in clean
            ]


def calls_of(turn: Turn, *, as_text: bool) -> list[Any]:
    """The `tool_calls` of a turn, their arguments as JSON text, or as an object where the text is one."""
    return [
        {**call, "function": _arguments(call["function"], as_text)}
        if isinstance(call.get("function"), dict)
        else _arguments(call, as_text)
        for call in turn["tool_calls"]
    ]


def _arguments(function: dict[str, Any], as_text: bool) -> dict[str, Any]:
    given = function.get("arguments")
    if as_text and isinstance(given, (dict, list)):
        return {**function, "arguments": json.dumps(given, ensure_ascii=False)}
    if not as_text and isinstance(given, str):
        try:
            read = json.loads(given)
        except ValueError:
            return function
        return {**function, "arguments": read} if isinstance(read, dict) else function
    return function


@lru_cache(maxsize=16)
def thinking_key(tokenizer: Any, template: str) -> str:
    """What the chat template calls the reasoning of a turn: the first of these names that it reads.

    "" where two short turns are too much for it, which is not tried again.
    """
    for key in THINKING:
        turns = [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": QUESTION, key: ANSWER},
        ]
        try:
            with limited():
                if ANSWER in tokenizer.apply_chat_template(turns, tokenize=False):
                    return key
        except LimitExceeded:
            return ""
        except Exception:  # as in `text_of`: it may want another conversation
            continue
    return THINKING[0]


def _garbled(text: str, form: Sequence[Turn]) -> bool:
    """Whether the template wrote a Python value where it should have written words, or nothing for parts."""
    parts = [p for turn in form if isinstance(turn.get("content"), list) for p in turn["content"]]
    if parts and ("'type': 'text'" in text or not all(p["text"].strip() in text for p in parts)):
        return True
    spoken = json.dumps(form, ensure_ascii=False)
    silent = any(turn.get("content") is None for turn in form)
    return silent and text.count("None") > spoken.count("None")


def head_of(tokenizer: Any, prompt: Rendered, place: str) -> tuple[str, str]:
    """The text up to where an answer begins, and what the template has opened of the answer at its end."""
    text = text_of(tokenizer, prompt, place)
    opened = next((tag for tag in OPENERS if text.endswith(tag)), "")
    return text.removesuffix(opened), opened


def begun(prompt: Rendered, opened: str) -> str:
    """The beginning of the answer: the prompt's own, after what the chat template has opened."""
    if not opened:
        return prompt.prefill
    return opened + prompt.prefill.removeprefix("<think>").removeprefix("\n")


def continued(tokenizer: Any, prompt: Rendered, turn: Turn, head: str, place: str) -> str | None:
    """What follows `head` where the answer `turn` stands in the conversation, to the text's end.

    None where the template does not go on from there: it writes what came before the answer anew, or leaves a
    part of the answer out.
    """
    text = text_of(tokenizer, prompt, place, turns=[turn], begin=False)
    if not text.startswith(head):
        return None
    said = text[len(head) :]
    return said if holds(tokenizer, prompt, turn, said, place) else None


def holds(tokenizer: Any, prompt: Rendered, turn: Turn, said: str, place: str) -> bool:
    """Whether `said`, the template's text for the turn, has all of it."""
    parts = turn["content"] if isinstance(turn.get("content"), list) else [{"text": words_of(turn)}]
    for part in parts:
        if not all(_within(piece, said) for piece in part["text"].split("</think>")):
            return False
    return not unshown(tokenizer, prompt, place, turns=[turn], begin=False, only=len(prompt.messages))


def _within(piece: str, text: str) -> bool:
    return piece.replace("<think>", "").strip() in text


def shared(one: str, other: str) -> str:
    """The beginning that two texts have in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))]


def unshown(
    tokenizer: Any,
    prompt: Rendered,
    place: str,
    *,
    turns: Sequence[Turn] = (),
    begin: bool = True,
    only: int | None = None,
) -> list[str]:
    """What the conversation, or turn `only` of it, holds and the template does not show, in words.

    A part is shown where the text changes without it.
    """
    if prompt.text is not None or tokenizer is None:  # a server's template is not seen
        return list(prompt.unshown)
    asked = replace(prompt, messages=(*prompt.messages, *turns))
    looked = [(i, asked.messages[i]) for i in (range(len(asked.messages)) if only is None else [only])]
    said = [(i, turn) for i, turn in looked if turn["role"] != "assistant" and words_of(turn).strip()]
    keys = [
        (i, key)
        for i, turn in looked
        for key in ("reasoning_content", "tool_calls", *(("name",) if only is None else ()))
        if turn.get(key) and not (key == "name" and turn["role"] == "tool")
    ]
    tools = asked.tools if only is None else None
    if not keys and not tools and not said:
        return []
    text = text_of(tokenizer, asked, place, begin=begin)

    def same(**changes: Any) -> bool:
        try:
            return text_of(tokenizer, replace(asked, **changes), place, begin=begin) == text
        except BadInput:  # it looks at what was changed
            return False

    def matters(index: int, key: str) -> bool:
        return not any(same(messages=other) for other in _without(asked.messages, index, key))

    spoken = [(i, turn) for i, turn in said if words_of(turn).strip() not in text]
    missing = [f"turns of role {turn['role']}" for i, turn in spoken if not matters(i, "content")]
    missing += [key for i, key in keys if not matters(i, key)]
    return [*missing, "tools"] if tools and same(tools=None) else missing


def _without(messages: Sequence[Turn], index: int, key: str) -> Iterator[tuple[Turn, ...]]:
    """The conversation with another value of one turn; of its calls, each is left out by itself."""
    value = messages[index][key]
    others: list[Any] = [ANSWER]
    if key == "tool_calls":  # a template may show the first only
        others = [[*value[:i], *value[i + 1 :]] for i in range(len(value))]
    for other in others:
        turn = {**messages[index], key: other}
        if key == "tool_calls" and not other:
            del turn[key]
            turn["content"] = turn.get("content") or ""
        yield (*messages[:index], turn, *messages[index + 1 :])
