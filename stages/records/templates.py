"""Prompt templates: how a problem becomes the text a model continues.

`r1-zero` is the paper's conversation for base models, `r1` the released R1 form over the model's
chat template, `chat` the chat template alone, `none` the prompt as it is. A file is text
with `{prompt}`; what follows `{prefill}` in it is put into the model's mouth and recorded. With
`{completion}` it shows a completion as well, to be rewritten; one that begins with `{chat}` is what the user
says under the model's chat template.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from stages.records.record import Record, need, place_of
from stages.records.turns import (
    Turn,
    answer_turns,
    options_of,
    tools_of,
    turns_of,
    whole_words,
    words_of,
)
from stages.runtime import text_file
from stages.runtime.errors import UsageError

NAMES = ("r1-zero", "r1", "chat", "none")

# arXiv 2501.12948, table 1, in our words for everything but the tags it prescribes.
R1_ZERO = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant "
    "solves it. The assistant first thinks about the reasoning process in the mind and then "
    "provides the user with the answer. The reasoning process and answer are enclosed within "
    "<think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process "
    "here </think> <answer> answer here </answer>.\n"
)
BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
REFLECT = (
    "Solve the problem in full sentences. When you have an answer, look back: check each "
    "step, verify the result another way, and correct what is wrong before you give the answer."
)

CHAT, COMPLETION = "{chat}", "{completion}"
MARK = re.compile(r"\{(prompt|completion)\}")
REWRITE = "a template with {completion} is for r1 generate, and for completions: it has them rewritten"

Style = Literal["think-answer", "think", "plain"]


@dataclass(frozen=True)
class Rendered:
    """A prompt ready for a tokenizer: `text`, or chat `messages` that its chat template turns into text.

    The chat template gets `tools` and `options` besides. `prefill` is the beginning of the answer; it is part
    of what the model reads. `stop` are closers that end a completion and stay in it. `unshown` names what the
    record holds and a `text` has no place for.
    """

    text: str | None
    messages: tuple[Turn, ...]
    prefill: str
    stop: tuple[str, ...]
    tools: list[Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    unshown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Template:
    """A way to render prompts. `style` is the answer form it asks for, as `format` judges it."""

    name: str
    body: str  # "" where the model's chat template renders
    prefill: str
    suffix: str  # put after the user's words
    stop: tuple[str, ...]
    style: Style
    user: str = ""  # what the user says under the model's chat template, where a file says it

    @property
    def rewrites(self) -> bool:
        """Whether it shows the completion that a record has as its draft."""
        return COMPLETION in self.body + self.user

    def render(
        self, record: dict[str, Any], *, examples: Sequence[Record] = (), reflect: bool = False
    ) -> Rendered:
        """The record's prompt, after `examples` (each with `prompt` and `completion`)."""
        turns = turns_of(record)
        ask = self.suffix + (("\n" + REFLECT) if reflect else "")
        if self.body:
            shots = "".join(self._shot(example) for example in examples)
            text = shots + _filled(self.body, record, ask)
            return Rendered(
                text + self.prefill, (), self.prefill, self.stop, unshown=_unwritten(record, turns)
            )
        first = next((i for i, turn in enumerate(turns) if turn["role"] != "system"), 0)
        shown = [
            turn
            for example in examples
            for turn in ({"role": "user", "content": self._question(example)}, *_answers(example))
        ]
        if self.user:
            said = _filled(self.user, record, ask)
            whole = (*shown, {"role": "user", "content": said})
            return Rendered(None, whole, self.prefill, self.stop, unshown=_unwritten(record, turns))
        turns = [*turns[:first], *shown, *_asking(turns[first:], ask)]
        return Rendered(None, tuple(turns), self.prefill, self.stop, tools_of(record), options_of(record))

    def _question(self, example: Record) -> str:
        return _filled(self.user, example) if self.user else asked(example)

    def _shot(self, example: Record) -> str:
        answer = "\n".join(map(whole_words, _answers(example)))
        return (
            _filled(self.body, example, self.suffix)
            + self.prefill
            + answer.removeprefix(self.prefill)
            + "\n\n"
        )


def _filled(text: str, record: dict[str, Any], ask: str = "") -> str:
    """A template's text with the record's prompt in it, and the draft of its answer where that is shown."""
    given = {"prompt": "\n".join(map(words_of, turns_of(record))) + ask}
    if COMPLETION in text:
        draft = Record(need(record, "draft", dict, REWRITE), place=place_of(record))
        given["completion"] = "\n".join(map(whole_words, answer_turns(draft, REWRITE)))
    return MARK.sub(lambda mark: given[mark[1]], text)


def messages_of(record: dict[str, Any]) -> list[dict[str, str]]:
    """The prompt as roles and texts, for who reads words only; a string is one message of the user."""
    return [{"role": turn["role"], "content": words_of(turn)} for turn in turns_of(record)]


def asked(record: dict[str, Any]) -> str:
    """The text of the prompt's last turn."""
    return words_of(turns_of(record)[-1])


def _asking(turns: list[Turn], ask: str) -> list[Turn]:
    """The turns, with `ask` added to the last words of the user."""
    if not ask:
        return turns
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "user"), default=len(turns) - 1)
    content = turns[last].get("content")
    if isinstance(content, list):
        content = [*content, {"type": "text", "text": "\n" + ask}]
    else:
        content = (content or "") + "\n" + ask
    return [*turns[:last], {**turns[last], "content": content}, *turns[last + 1 :]]


def _unwritten(record: dict[str, Any], turns: Sequence[Turn]) -> tuple[str, ...]:
    """What the record holds beside texts: a template that is a text has no place for it."""
    held = {key for turn in turns for key in ("reasoning_content", "tool_calls") if turn.get(key)}
    return tuple(sorted(held | ({"tools"} if record.get("tools") else set())))


def _answers(example: Record) -> list[Turn]:
    return answer_turns(example, "each few-shot example needs prompt and completion")


def load(name: str, *, prefill: str | None = None) -> Template:
    """The template called `name`, or the one in the file `name`. `prefill` replaces its own.

    Raises UsageError for a name that is neither.
    """
    if name == "r1-zero":
        template = Template(
            name, R1_ZERO + "User: {prompt}\nAssistant:", "", "", ("</answer>",), "think-answer"
        )
    elif name == "r1":
        template = Template(name, "", "<think>\n", "\n" + BOXED, (), "think")
    elif name == "chat":
        template = Template(name, "", "", "", (), "plain")
    elif name == "none":
        template = Template(name, "{prompt}", "", "", (), "plain")
    else:
        template = _from_file(name)
    if prefill is None:
        return template
    return replace(template, prefill=prefill)


def _from_file(name: str) -> Template:
    path = Path(name)
    if not os.path.isfile(path):  # pathlib raises where the name is too long
        raise UsageError(f"no template {name!r}: choose {', '.join(NAMES)}, or a file that holds {{prompt}}")
    body = text_file.read(path).removesuffix("\n")
    if body.count("{prompt}") != 1 or body.count(COMPLETION) > 1:
        raise UsageError(f"template {name}: must hold {{prompt}} exactly once, and {COMPLETION} at most once")
    body, _, prefill = body.partition("{prefill}")
    style: Style = "think-answer" if "<answer>" in body + prefill else "think"
    stop = ("</answer>",) if style == "think-answer" else ()
    if body.startswith(CHAT):
        return Template(str(path), "", prefill, "", stop, style, body.removeprefix(CHAT).lstrip("\n"))
    return Template(str(path), body, prefill, "", stop, style)
