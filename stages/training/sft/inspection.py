"""A model looked at closely, for `r1 doctor -m`: what is made of a conversation, and how the model is
computed.

doctor runs it in a process of its own, whatever a model's code does there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

from stages.inference.encoding import load_tokenizer
from stages.inference.transformers.backend import TransformersBackend
from stages.inference.transformers.execution import execution_of
from stages.inference.transformers.model import load_model
from stages.records import templates
from stages.records.record import Record
from stages.runtime.errors import R1Error
from stages.settings.groups import Engine
from stages.training.learned_text import marked
from stages.training.sft.examples import Examples

QUESTION, THOUGHT, ANSWER = "What is 17 + 25?", "17 + 25 = 42.", "It is 42."
TALK = [
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "reasoning_content": THOUGHT, "content": ANSWER},
]
TOOL = {
    "type": "function",
    "function": {
        "name": "add_numbers",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
SAMPLES = (
    "The answer is 42.",
    "  two spaces, a\ttab\n\nand lines",
    "你好，世界 – naïve café 🙂",
    "x = {'a': [1, 2]}  # <b>",
)
GIB = 2**30
Found = tuple[str, str, str, str]  # check, state, found, remedy


def findings(model: str) -> Iterator[Found]:
    """Each finding as it is made. A model without a chat template is asked as `--template none` asks it."""
    tokenizer = load_tokenizer(model)
    loaded = load_model(model, Engine(threads=1))
    backend = TransformersBackend(loaded, tokenizer, Engine(threads=1))
    chats = bool(tokenizer.chat_template)
    template = templates.load("chat" if chats else "none")
    looks: tuple[Callable[[], Iterator[Found]], ...] = (
        lambda: _prompt(tokenizer, backend, template),
        lambda: _switches(tokenizer) if chats else iter(()),
        lambda: _ends(tokenizer, backend),
        lambda: _round(tokenizer),
        lambda: _learned(tokenizer, backend, template, chats),
        lambda: _computed(loaded, backend),
    )
    for look in looks:
        try:
            yield from look()
        except R1Error as error:
            what, _, remedy = str(error).partition("; ")
            yield "conversation", "warning", what, remedy or "see docs/models.md"


def _prompt(tokenizer: Any, backend: Any, template: Any) -> Iterator[Found]:
    rendered = template.render(Record(id="doctor", prompt=QUESTION))
    ids, prefill = backend.encode(rendered)
    yield "a prompt", "works", json.dumps(tokenizer.decode(ids), ensure_ascii=False), ""
    if prefill:
        yield "what is opened", "works", json.dumps(prefill), ""
    begin = tokenizer.bos_token_id
    count = sum(1 for _ in takewhile(lambda token: token == begin, ids)) if begin is not None else 0
    twice = f"{count} times {tokenizer.bos_token!r}" if count else "no token that begins a text"
    remedy = "take the token out of the chat template, or set add_bos_token to false"
    yield "beginning", *(("warning", twice, remedy) if count > 1 else ("works", twice, ""))


def _switches(tokenizer: Any) -> Iterator[Found]:
    """What the template shows of thinking and tools."""
    asked = TALK[:1]

    def text(turns: Any, **more: Any) -> str:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, **more))

    def differs(**more: Any) -> bool:
        whole = {"add_generation_prompt": True}
        return text(asked, **whole, **more) != text(asked, **whole)

    kept = THOUGHT in text(TALK)
    named = [k for k in ("enable_thinking", "thinking") if differs(**{k: False}) or differs(**{k: True})]
    said = f"switch {', '.join(named)}" if named else "no switch"
    shown = "shows reasoning_content" if kept else "does not show reasoning_content"
    yield "thinking", "works", f"{said}; the template {shown} of the last answer", ""
    tools = "add_numbers" in text(asked, tools=[TOOL])
    yield (
        "tools",
        "works",
        "the template shows them" if tools else "the template does not show them",
        "",
    )


def _ends(tokenizer: Any, backend: Any) -> Iterator[Found]:
    named = ", ".join(f"{tokenizer.decode([end])!r} ({end})" for end in sorted(backend.ends))
    yield "ends", "works", named, ""


def _round(tokenizer: Any) -> Iterator[Found]:
    lost = []
    for text in SAMPLES:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        again = tokenizer(tokenizer.decode(ids), add_special_tokens=False)["input_ids"]
        if again != ids:
            lost.append(text)
    if lost:
        found = f"other ids for {json.dumps(lost[0], ensure_ascii=False)} once decoded"
        yield "ids to text and back", "warning", found, "keep ids: generate --tokens"
    else:
        yield "ids to text and back", "works", f"{len(SAMPLES)} texts give the same ids again", ""


def _learned(tokenizer: Any, backend: Any, template: Any, chats: bool) -> Iterator[Found]:
    turns = TALK
    if chats and THOUGHT not in str(tokenizer.apply_chat_template(TALK, tokenize=False)):
        turns = [TALK[0], {"role": "assistant", "content": ANSWER}]  # sft refuses what is not shown
    given = {"prompt": turns[:1], "completion": turns[1:]}
    record = Record(id="doctor", **(given if chats else {"prompt": "1+2=", "completion": "3"}))
    [sample] = Examples(template, backend).of(record)
    shown = marked(tokenizer, sample)
    yield "what is learned", "works", json.dumps(shown, ensure_ascii=False), ""


def _computed(loaded: Any, backend: Any) -> Iterator[Found]:
    execution = execution_of(loaded)
    context = f"{backend.limit} tokens" if backend.limit < 1 << 30 else "none is named"
    yield "context", "works", context, ""
    gap = f"differs from transformers alone by {execution.error:.0e} of the logits' size"
    if execution.flat:
        yield "computed", "works", f"{execution.name} over flat rows, {gap}", ""
    else:
        yield (
            "computed",
            "warning",
            f"{execution.note()}; {gap}",
            "--backend vllm is faster where vLLM knows the model",
        )
    count = sum(p.numel() for p in loaded.parameters())
    sizes = (
        f"{count:,} weights: {2 * count / GIB:.2f} GiB to generate in bfloat16, {4 * count / GIB:.2f} in "
        f"float32; "
        f"{16 * count / GIB:.2f} GiB to train, {4 * count / GIB:.2f} with --lora, and activations"
    )
    yield "memory", "works", sizes, ""
