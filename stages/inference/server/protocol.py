"""Completions in the OpenAI protocol: what a request says, and what an answer does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from stages.inference.chat import calls_of
from stages.records.templates import Rendered
from stages.records.turns import ASIDE, Turn
from stages.settings.groups import Sampling

# The model's own generation_config.json would change what is drawn, unless each setting is given.
NEUTRAL = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
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
        body["messages"] = list(map(_message, prompt.messages))
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


def _message(turn: Turn) -> Turn:
    """A turn as servers take it: the arguments of its calls are JSON text."""
    shown = {key: value for key, value in turn.items() if key not in ASIDE}
    return shown | {"tool_calls": calls_of(turn, as_text=True)} if turn.get("tool_calls") else shown


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


NO_TOKENS: Mapping[str, float] = {}


class Reply(NamedTuple):
    """`first` and `last` are log-probabilities of the likeliest tokens at the first and the last place of the
    text; without any where the server gives none. Tokens are None where it does not count them.
    """

    text: str
    first: Mapping[str, float] = NO_TOKENS
    last: Mapping[str, float] = NO_TOKENS
    tokens_in: int | None = None
    tokens_out: int | None = None

    def record(self) -> dict[str, Any]:
        """It as a record, for a cache."""
        likely = {"first": self.first, "last": self.last} if self.first or self.last else {}
        return {"reply": self.text, **likely}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Reply:
        """It from its record, of which nothing is asked again: without tokens."""
        return cls(str(record["reply"]), record.get("first", NO_TOKENS), record.get("last", NO_TOKENS))


def reply_of(answer: Any) -> Reply | str:
    """The reply in a server's answer; where it holds no text, why.

    Raises LookupError or TypeError for what is no completion.
    """
    choice = answer["choices"][0]
    text = choice["message"]["content"]
    if not isinstance(text, str):
        return f"no text: {choice.get('finish_reason')}"
    places = _list(_object(choice.get("logprobs")).get("content"))
    usage = _object(answer.get("usage"))
    return Reply(
        text,
        _likely(places[0]) if places else NO_TOKENS,
        _likely(_last(places, text)),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
    )


def _last(places: list[Any], text: str) -> Any:
    """The place at which the text ends: after it some servers have a token that ends the turn, or a blank."""
    for place in reversed(places):
        token = _object(place).get("token")
        if isinstance(token, str) and token.strip() and text.rstrip().endswith(token.strip()):
            return place
    return None


def _likely(place: Any) -> Mapping[str, float]:
    """Of a token's alternatives, each with its log-probability; the first of two that read alike."""
    found: dict[str, float] = {}
    for each in _list(_object(place).get("top_logprobs")):
        token, value = _object(each).get("token"), _object(each).get("logprob")
        if isinstance(token, str) and isinstance(value, (int, float)) and value <= 0:
            found.setdefault(token, float(value))
    return found


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
