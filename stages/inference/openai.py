"""A model behind a server as a backend: one request for each sample, so that none depends on another.

A text goes to /completions, chat messages to /chat/completions. What only vLLM knows of (token ids, the text of a
rendered prompt, an answer that is begun) is asked of a server whose /models says that vllm owns the model; elsewhere
it is done here, or refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stages.data.checkpoint import revision
from stages.data.errors import BadInput, Unavailable, UsageError
from stages.data.options import Endpoint, Engine, Sampling, check
from stages.data.report import Report
from stages.inference.backend import Completion, Request
from stages.inference.crew import worked
from stages.inference.server import Refused, Server, address, heard

ENDS = {"stop": "stop", "length": "length"}
CUT_OFF = {None, "abort", "error"}  # the server stopped before the model did
THINK, CLOSE = "<think>\n", "\n</think>\n\n"
# The model's own generation_config.json would change what is drawn, unless each setting is given.
PLAIN = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}  # fmt: skip


class Answer(NamedTuple):
    """What a server answered with; `matched` is the stop text that ended it, `shown` the prompt's text."""

    text: str | None
    thinking: str
    finish: str
    matched: str | None
    shown: str | None
    counts: tuple[int, int]
    prompt_ids: list[int] | None
    ids: list[int] | None
    logprobs: list[float] | None


@dataclass
class OpenAI:
    """`model` as the server at `endpoint.base_url` serves it. `tokens` asks for ids and log-probabilities.

    Raises UsageError for what no server does, Unavailable where this one cannot be reached, does not serve the
    model, or gives no token ids and `tokens` is set.
    """

    model: str
    engine: Engine
    endpoint: Endpoint
    report: Report
    tokens: bool = False

    def __post_init__(self) -> None:
        address(self.engine, self.endpoint)
        self._told: set[str] = set()
        self._server: Server | None = None
        with self._open() as server:
            pages = heard(server, worked(self._page, [server], 1), self.report)
            listed = next(page for page in pages if page is not None)
        card = self._card(listed)
        self.vllm = card.get("owned_by") == "vllm"
        # Where the server's directory is one here too, its weights have a name; else the model's stands for them.
        root = Path(str(card.get("root") or "") if self.vllm else "")
        here = root.is_absolute() and root.is_dir()
        self.revision = revision(str(root)) if here else self.model
        url = self.endpoint.base_url
        if self.vllm:
            self.report.note(f"{url} runs vLLM: equal seeds may still give another text, as rounding depends on what is computed together")  # fmt: skip
        elif self.tokens:
            raise Unavailable(f"--tokens: {url} does not say that it runs vLLM, and only vLLM is known to give token ids")  # fmt: skip
        else:
            self.report.note(f"{url} does not say that it runs vLLM: it may ignore seeds, and whether its chat template opens <think> is not seen")  # fmt: skip

    def generate(
        self, requests: Iterable[Request | None], sampling: Sampling
    ) -> Iterator[Completion | None]:
        """See `Backend`. Raises BadInput for a prompt that the server refuses or does not answer with a text."""
        self._check(sampling)
        with self._open() as server:
            self._server = server
            each = worked(
                lambda job: self._complete(server, *job, sampling),
                _samples(requests),
                self.engine.batch_size or 64,
            )
            yield from heard(server, each, self.report)

    def close(self) -> None:
        """Drops what the server has not answered."""
        if self._server is not None:
            self._server.close()

    def _open(self) -> Server:
        end = self.endpoint
        return Server(end.base_url or "", patience=end.patience, timeout=end.request_timeout)

    def _page(self, server: Server) -> Any:
        return server.ask("/models", None, lambda page: page)

    def _card(self, listed: Any) -> dict[str, Any]:
        """What the server says of the model, {} where it says nothing. Raises Unavailable where it lists others only."""
        cards = listed.get("data") if isinstance(listed, dict) else None
        if isinstance(listed, Refused) or not isinstance(cards, list):
            return {}  # some servers have no such page
        known = {card.get("id"): card for card in cards if isinstance(card, dict)}
        if self.model not in known:
            names = ", ".join(map(str, known)) or "no model"
            raise Unavailable(f"{self.endpoint.base_url} serves {names}, and not {self.model}; name it with -m")  # fmt: skip
        return known[self.model]

    def _check(self, sampling: Sampling) -> None:
        check(sampling)
        if sampling.think_budget is not None or sampling.think_extend:
            raise UsageError(
                "--think-budget and --think-extend need a backend in this process: a server "
                "does not let go of a completion half-way"
            )
        if sampling.top_k and not self.vllm:
            raise UsageError(f"--top-k {sampling.top_k}: only vLLM is known to take it from a request")  # fmt: skip
        if self.tokens and sampling.temperature not in (0, 1):
            raise UsageError(
                f"--tokens with --temperature {sampling.temperature:g}: a server's log-probabilities are "
                "those before the temperature; use 1 or 0, or a backend in this process"
            )

    def _body(self, request: Request, seed: int, sampling: Sampling) -> dict[str, Any]:
        prompt = request.prompt
        stop = list(sampling.stop)
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed & 0x7FFFFFFF,  # more bits are an error to some servers
        }
        if prompt.text is not None:
            body["prompt"] = prompt.text
        else:
            body["messages"] = list(prompt.messages)
        if self.vllm:
            # Special tokens are part of the text, as <think> is one in some models.
            body |= PLAIN | {"top_k": sampling.top_k, "skip_special_tokens": False}
            stop += prompt.stop
            if prompt.text is None:
                body["return_prompt_text"] = True
        if stop:
            body["stop"] = stop
        if prompt.text is None and prompt.prefill:
            begun = {"role": "assistant", "content": prompt.prefill}
            body["messages"] = [*prompt.messages, begun]
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if self.tokens:
            body["return_token_ids"] = True
            body["logprobs"] = 0 if prompt.text is not None else True
        return body

    def _complete(
        self, server: Server, request: Request, index: int, sampling: Sampling
    ) -> Completion:
        """One sample; runs in a thread of its own."""
        prompt = request.prompt
        chat = prompt.text is None
        if chat and prompt.prefill and not self.vllm:
            raise UsageError(
                f"{self.endpoint.base_url} is not known to let an answer begin with {prompt.prefill!r}: "
                "use --prefill '', or a template that is a text, such as r1-zero"
            )
        body = self._body(request, request.seeds[index], sampling)
        path = "/chat/completions" if chat else "/completions"
        answer = server.ask(path, body, read)
        if isinstance(answer, Refused):
            raise BadInput(answer.why, place=request.place, remedy="change it, or drop it with `r1 filter --where`")  # fmt: skip
        if answer.finish not in ENDS or (answer.text is None and not answer.thinking):
            raise BadInput(
                f"the server gave no completion (finish_reason {answer.finish!r})",
                place=request.place,
                remedy="drop the problem with `r1 filter --where`, then --resume goes on",
            )
        prefill = self._opened(server, request, answer) if chat else prompt.prefill
        if self.tokens and (answer.ids is None or answer.prompt_ids is None or answer.logprobs is None):  # fmt: skip
            raise Unavailable(f"--tokens: {self.endpoint.base_url} gives no token ids; it needs vLLM 0.10.2 or later")  # fmt: skip
        return Completion(
            request.key,
            request.samples[index],
            self._text(server, answer, request, prefill),
            answer.finish,
            prefill,
            answer.prompt_ids or [],
            answer.ids or [],
            list(answer.logprobs or []),
            answer.counts,
        )

    def _text(self, server: Server, answer: Answer, request: Request, prefill: str) -> str:
        text = answer.text or ""
        if answer.thinking:
            if self.tokens:
                raise UsageError("--tokens: start vllm serve without --reasoning-parser, which takes the thinking out of the text")  # fmt: skip
            self._once(server, "the server takes the thinking out of its answers; it is put back as <think>…</think>")  # fmt: skip
            opener = "" if "<think>" in prefill else THINK
            text = opener + answer.thinking.strip("\n") + (CLOSE + text if text else "")
        closers = request.prompt.stop
        if self.vllm:
            return text + (answer.matched if answer.matched in closers else "")
        cuts = [at + len(each) for each in closers if (at := text.find(each)) >= 0]
        return text[: min(cuts, default=len(text))]

    def _opened(self, server: Server, request: Request, answer: Answer) -> str:
        """What the answer really began with: a chat template may open the thinking, or trim what we began."""
        wanted, shown = request.prompt.prefill, answer.shown
        if shown is None:
            if self.vllm:
                self._once(server, "this vLLM does not show the prompts it makes: whether the chat template opens <think> is not seen")  # fmt: skip
            return wanted
        for begun in (wanted, wanted.rstrip()) if wanted else (THINK, THINK.rstrip()):
            if shown.endswith(begun):
                return begun
        if wanted:
            raise BadInput(
                f"the chat template makes the prompt end in {shown[-40:]!r}, not in {wanted!r}",
                place=request.place,
                remedy="use another --prefill",
            )
        return ""

    def _once(self, server: Server, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            server.told.put(message)


def read(reply: Any) -> Answer:
    """What /completions or /chat/completions answered. Raises ValueError, LookupError or TypeError where it is neither."""
    choice, usage = reply["choices"][0], reply["usage"]
    finish = choice["finish_reason"]
    if finish in CUT_OFF:
        raise ValueError(f"it was cut off, finish_reason {finish!r}")
    message, thinking = choice.get("message"), ""
    if message is not None:
        text = message.get("content")
        thinking = message.get("reasoning") or message.get("reasoning_content") or ""
    else:
        text = choice["text"]
    if not isinstance(text, str | None) or not isinstance(thinking, str):
        raise TypeError("the text is none")
    if message is not None and message.get("refusal"):
        finish = "refusal"
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
    )


def _logprobs(said: Any) -> list[float] | None:
    if not said:
        return None
    values = said.get("token_logprobs")
    if values is None:
        values = [token["logprob"] for token in said.get("content") or ()]
    return [float(value) for value in values]


def _samples(requests: Iterable[Request | None]) -> Iterator[tuple[Request, int] | None]:
    """A request for each sample of each request."""
    for request in requests:
        if request is None:
            yield None
            continue
        for index in range(len(request.samples)):
            yield request, index
