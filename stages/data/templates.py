"""Prompt templates: how a problem becomes the text a model continues.

`r1-zero` is the paper's conversation for base models, `r1` the released R1 form over the model's
chat template, `chat` the chat template alone, `none` the prompt as it is. A file is text
with `{prompt}`; what follows `{prefill}` in it is put into the model's mouth and recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stages.data.errors import BadInput, UsageError
from stages.data.record import Record, kind_of, need, place_of

MESSAGES = "a prompt is a string, or a list of {role, content} messages, each a text"
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

Style = Literal["think-answer", "think", "plain"]


@dataclass(frozen=True)
class Rendered:
    """A prompt ready for a tokenizer: `text`, or chat `messages` that its chat template turns into text.

    `prefill` is the beginning of the answer; it is part of what the model reads. `stop` are closers that
    end a completion and stay in it.
    """

    text: str | None
    messages: tuple[dict[str, str], ...]
    prefill: str
    stop: tuple[str, ...]


@dataclass(frozen=True)
class Template:
    """A way to render prompts. `style` is the answer form it asks for, as `format` judges it."""

    name: str
    body: str  # "" where the model's chat template renders
    prefill: str
    suffix: str  # put after the user's words
    stop: tuple[str, ...]
    style: Style

    def render(
        self, record: dict[str, Any], *, examples: Sequence[Record] = (), reflect: bool = False
    ) -> Rendered:
        """The record's prompt, after `examples` (each with `prompt` and `completion`)."""
        turns = messages_of(record)
        ask = self.suffix + (("\n" + REFLECT) if reflect else "")
        if self.body:
            if self.name == "none" and len(turns) == 1:
                question = turns[0]["content"]
            else:
                question = "\n".join(turn["content"] for turn in turns)
            shots = "".join(self._shot(example) for example in examples)
            text = shots + self.body.replace("{prompt}", question + ask)
            return Rendered(text + self.prefill, (), self.prefill, self.stop)
        turns = [
            *turns[:-1],
            {**turns[-1], "content": turns[-1]["content"] + ("\n" + ask if ask else "")},
        ]
        system = [turn for turn in turns if turn["role"] == "system"]
        shots_turns = [
            turn
            for example in examples
            for turn in (
                {"role": "user", "content": messages_of(example)[-1]["content"]},
                {"role": "assistant", "content": _completion_of(example)},
            )
        ]
        rest = [turn for turn in turns if turn["role"] != "system"]
        return Rendered(None, tuple(system + shots_turns + rest), self.prefill, self.stop)

    def _shot(self, example: Record) -> str:
        question = "\n".join(turn["content"] for turn in messages_of(example))
        return (
            self.body.replace("{prompt}", question + self.suffix)
            + self.prefill
            + _completion_of(example).removeprefix(self.prefill)
            + "\n\n"
        )


def messages_of(record: dict[str, Any]) -> list[dict[str, str]]:
    """The prompt as chat messages; a string is one message of the user."""
    prompt = need(record, "prompt", (str, list), MESSAGES)
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not prompt:
        raise BadInput("the prompt has no message", place=place_of(record), remedy=MESSAGES)
    return [message_of(turn, record) for turn in prompt]


def message_of(turn: Any, record: dict[str, Any]) -> dict[str, str]:
    """The role and text of one chat message of `record`. Raises BadInput where it is none."""
    if not isinstance(turn, dict):
        what = f"a message is {kind_of(turn)}"
        raise BadInput(what, place=place_of(record), remedy=MESSAGES)
    message = Record(turn, place=place_of(record))
    return {name: need(message, name, str, MESSAGES) for name in ("role", "content")}


def _completion_of(example: Record) -> str:
    text: str = need(
        example, "completion", str, "each few-shot example needs prompt and completion"
    )
    return str(example.get("prefill") or "") + text


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
    return Template(
        template.name, template.body, prefill, template.suffix, template.stop, template.style
    )


def _from_file(name: str) -> Template:
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no template {name!r}: choose {', '.join(NAMES)}, or a file that holds {{prompt}}"
        )
    body = path.read_text("utf-8").removesuffix("\n")
    if body.count("{prompt}") != 1:
        raise UsageError(f"template {name}: must hold {{prompt}} exactly once")
    body, _, prefill = body.partition("{prefill}")
    style: Style = "think-answer" if "<answer>" in body + prefill else "think"
    stop = ("</answer>",) if style == "think-answer" else ()
    return Template(str(path), body, prefill, "", stop, style)
