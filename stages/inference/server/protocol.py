"""Completions in the OpenAI protocol: what a request says, and what an answer does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from stages.inference.server.client import NEUTRAL
from stages.records.templates import Rendered
from stages.records.turns import ASIDE
from stages.settings.groups import Sampling

CUT_OFF = {None, "abort", "error"}  # the server stopped before the model did


class Answer(NamedTuple):
    """What a server answered with; `matched` is the stop text that ended it, `shown` the prompt's text.

    `calls` are the calls of functions that it took out of the text, each in JSON.
    """

    text: str | None
    thinking: str
    finish: str
    matched: str | None
    shown: str | None
    counts: tuple[int, int]
    prompt_ids: list[int] | None
    ids: list[int] | None
    logprobs: list[float] | None
    calls: tuple[str, ...] = ()


def body_of(
    model: str,
    prompt: Rendered,
    seed: int,
    sampling: Sampling,
    *,
    vllm: bool,
    tokens: bool,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """A request for one completion; `vllm` and `tokens` ask for what only vLLM knows of.

    Fields of `extra` stand above all others; None leaves one out.
    """
    stop = list(sampling.stop)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": seed & 0x7FFFFFFF,  # more bits are an error to some servers
    }
    if prompt.text is not None:
        body["prompt"] = prompt.text
    else:
        body["messages"] = [
            {key: value for key, value in turn.items() if key not in ASIDE} for turn in prompt.messages
        ]
        if prompt.tools:
            body["tools"] = prompt.tools
    if vllm:
        # Special tokens are part of the text, as <think> is one in some models.
        body |= NEUTRAL | {"top_k": sampling.top_k, "skip_special_tokens": False}
        stop += prompt.stop
        if prompt.text is None:
            body["return_prompt_text"] = True
            if prompt.options:
                body["chat_template_kwargs"] = prompt.options
            if prompt.tools:  # shown to the model, and what it calls stays in its text
                body["tool_choice"] = "none"
    if stop:
        body["stop"] = stop
    if prompt.text is None and prompt.prefill:
        begun = {"role": "assistant", "content": prompt.prefill}
        body["messages"] = [*body["messages"], begun]
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if tokens:
        body["return_token_ids"] = True
        body["logprobs"] = 0 if prompt.text is not None else True
    if (
        extra.get("max_completion_tokens") is not None
    ):  # its older name beside it is an error to who knows both
        del body["max_tokens"]
    body |= extra
    return {name: value for name, value in body.items() if value is not None}


def read(reply: Any) -> Answer:
    """What /completions or /chat/completions answered.

    Raises ValueError, LookupError or TypeError where it is neither.
    """
    choice, usage = reply["choices"][0], reply["usage"]
    finish = choice["finish_reason"]
    if finish in CUT_OFF:
        raise ValueError(f"it was cut off, finish_reason {finish!r}")
    message, thinking = choice.get("message"), ""
    calls: tuple[str, ...] = ()
    if message is not None:
        calls = tuple(map(_call, message.get("tool_calls") or ()))
        text = message.get("content")
        thinking = message.get("reasoning") or message.get("reasoning_content") or ""
    else:
        text = choice["text"]
    if not isinstance(text, str | None) or not isinstance(thinking, str):
        raise TypeError("the text is none")
    if message is not None and message.get("refusal"):
        finish = "refusal"
    elif calls and finish == "tool_calls":
        finish = "stop"
    ids = choice.get("token_ids")
    logprobs = _logprobs(choice.get("logprobs"))
    if ids is not None and logprobs is not None and len(ids) != len(logprobs):
        raise ValueError(f"{len(ids)} token ids and {len(logprobs)} log-probabilities")
    return Answer(
        text,
        thinking,
        finish,
        choice.get("stop_reason"),
        reply.get("prompt_text"),
        (int(usage["prompt_tokens"]), int(usage["completion_tokens"])),
        choice.get("prompt_token_ids") or reply.get("prompt_token_ids"),
        ids,
        logprobs,
        calls,
    )


def _call(said: Any) -> str:
    """A call as models write it; its arguments come as JSON text."""
    function = said["function"]
    given = function.get("arguments") or "{}"
    try:
        arguments = json.loads(given)
    except (ValueError, RecursionError):
        arguments = given  # as it stands, for the rewards to judge
    return json.dumps({"name": function["name"], "arguments": arguments}, ensure_ascii=False)


def _logprobs(said: Any) -> list[float] | None:
    if not said:
        return None
    values = said.get("token_logprobs")
    if values is None:
        values = [token["logprob"] for token in said.get("content") or ()]
    return [float(value) for value in values]
