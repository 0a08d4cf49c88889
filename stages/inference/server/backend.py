"""A model behind a server as a backend: one request for each sample, so that none depends on another.

A text goes to /completions, chat messages to /chat/completions. What only vLLM knows of (token ids, the text
of a rendered prompt, an answer that is begun) is asked of a server whose /models says that vllm owns the
model; elsewhere it is done here, or refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.checkpoints.checkpoint import revision
from stages.inference.interface import Completion, Request
from stages.inference.server.client import Refused, Server, address, at, first
from stages.inference.server.protocol import Answer, body_of, read
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.runtime.report import Report
from stages.settings.groups import Endpoint, Engine, Sampling, check

IN_FLIGHT = 64  # requests at once
ENDS = {"stop", "length"}
THINK, CLOSE = "<think>\n", "\n</think>\n\n"


def check_served(sampling: Sampling, endpoint: Endpoint, *, tokens: bool = False) -> None:
    """Raises UsageError for sampling that no server does."""
    check(sampling)
    if sampling.think_budget is not None or sampling.think_extend:
        raise UsageError(
            "--think-budget and --think-extend need a backend in this process: a server "
            "does not let go of a completion half-way"
        )
    temperature = endpoint.fields.get("temperature", sampling.temperature)
    if tokens and temperature not in (0, 1):
        raise UsageError(
            f"--tokens with a temperature of {temperature}: a server's log-probabilities are "
            "those before the temperature; use 1 or 0, or a backend in this process"
        )


@dataclass
class OpenAIBackend:
    """`model` as the server at `endpoint.base_url` serves it. `tokens` asks for ids and log-probabilities.

    Raises UsageError for what no server does, Unavailable where this one cannot be reached, does not serve
    the model, or gives no token ids and `tokens` is set.
    """

    model: str
    engine: Engine
    endpoint: Endpoint
    report: Report
    tokens: bool = False
    tokenizer = None  # the server has it

    def __post_init__(self) -> None:
        url = address(self.engine, self.endpoint)
        self._told: set[str] = set()
        self._server: Server | None = None
        card = self._card(first(url, self.endpoint, _models, self.report))
        self.vllm = card.get("owned_by") == "vllm"
        # Where the server's directory is here too, its weights have a name; else the model's stands for it.
        root = Path(str(card.get("root") or "") if self.vllm else "")
        here = root.is_absolute() and root.is_dir()
        self.revision = revision(str(root)) if here else self.model
        if self.vllm:
            self.report.note(
                f"{url} runs vLLM: equal seeds may still give another text, as rounding depends "
                "on what is computed together"
            )
        elif self.tokens:
            raise Unavailable(
                f"--tokens: {url} does not say that it runs vLLM, and only vLLM is known to give token ids"
            )
        else:
            self.report.note(
                f"{url} does not say that it runs vLLM: it may ignore seeds, and whether its "
                "chat template opens <think> is not seen"
            )

    def generate(self, requests: Iterable[Request | None], sampling: Sampling) -> Iterator[Completion | None]:
        """See `Backend`. Raises BadInput for a prompt that the server does not answer with a text."""
        self._check(sampling)
        with at(self.endpoint.base_url or "", self.endpoint) as server:
            self._server = server

            def complete(job: tuple[Request, int]) -> Completion:
                return self._complete(server, *job, sampling)

            yield from server.map(
                complete, _samples(requests), self.engine.batch_size or IN_FLIGHT, self.report
            )

    def close(self) -> None:
        """Drops what the server has not answered."""
        if self._server is not None:
            self._server.close()

    def _card(self, listed: Any) -> dict[str, Any]:
        """What the server says of the model; {} where it says nothing, as some have no such page.

        Raises Unavailable where it lists others only.
        """
        cards = listed.get("data") if isinstance(listed, dict) else None
        if isinstance(listed, Refused) or not isinstance(cards, list):
            return {}
        known = {card.get("id"): card for card in cards if isinstance(card, dict)}
        if self.model not in known:
            names = ", ".join(map(str, known)) or "no model"
            raise Unavailable(
                f"{self.endpoint.base_url} serves {names}, and not {self.model}; name it with -m"
            )
        return known[self.model]

    def _check(self, sampling: Sampling) -> None:
        check_served(sampling, self.endpoint, tokens=self.tokens)
        if sampling.top_k and not self.vllm:
            raise UsageError(f"--top-k {sampling.top_k}: only vLLM is known to take it from a request")

    def _complete(self, server: Server, request: Request, index: int, sampling: Sampling) -> Completion:
        """One sample; runs in a thread of its own."""
        prompt = request.prompt
        chat = prompt.text is None
        if chat and prompt.prefill and not self.vllm:
            raise UsageError(
                f"{self.endpoint.base_url} is not known to let an answer begin with {prompt.prefill!r}: "
                "use a template that begins none, such as chat, or one that is a text, such as r1-zero"
            )
        if prompt.options and not self.vllm:
            raise UsageError(
                f"{self.endpoint.base_url} is not known to take chat_template_kwargs, which the records have"
            )
        body = body_of(
            self.model,
            prompt,
            request.seeds[index],
            sampling,
            vllm=self.vllm,
            tokens=self.tokens,
            extra=self.endpoint.fields,
        )
        path = "/chat/completions" if chat else "/completions"
        answer = server.ask(path, body, read)
        if isinstance(answer, Refused):
            raise answer.at(request.place)
        if answer.finish not in ENDS or not (answer.text is not None or answer.thinking or answer.calls):
            raise BadInput(
                f"the server gave no completion (finish_reason {answer.finish!r})",
                place=request.place,
                remedy="drop the problem with `r1 filter --where`, then --resume goes on",
            )
        prefill = self._opened(server, request, answer) if chat else prompt.prefill
        if self.tokens and (answer.ids is None or answer.prompt_ids is None or answer.logprobs is None):
            raise Unavailable(
                f"--tokens: {self.endpoint.base_url} gives no token ids; it needs vLLM 0.10.2 or later"
            )
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
        if answer.calls:
            self._once(
                server,
                "the server takes calls out of its answers; they are put back as <tool_call>…</tool_call>",
            )
            called = (f"<tool_call>\n{call}\n</tool_call>" for call in answer.calls)
            text = "\n".join([text] * bool(text) + [*called])
        if answer.thinking:
            if self.tokens:
                raise UsageError(
                    "--tokens: start vllm serve without --reasoning-parser, which takes the "
                    "thinking out of the text"
                )
            self._once(
                server, "the server takes the thinking out of its answers; it is put back as <think>…</think>"
            )
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
                self._once(
                    server,
                    "this vLLM does not show the prompts it makes: whether the chat template "
                    "opens <think> is not seen",
                )
            return wanted
        for begun in (wanted, wanted.rstrip()) if wanted else (THINK, THINK.rstrip()):
            if shown.endswith(begun):
                return begun
        if wanted:
            raise BadInput(
                f"the chat template makes the prompt end in {shown[-40:]!r}, not in {wanted!r}",
                place=request.place,
                remedy="use a template that begins an answer as it does, or none",
            )
        return ""

    def _once(self, server: Server, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            server.told.put(message)


def _models(server: Server) -> Any:
    return server.ask("/models", None, lambda page: page)


def _samples(requests: Iterable[Request | None]) -> Iterator[tuple[Request, int] | None]:
    """A request for each sample of each request."""
    for request in requests:
        if request is None:
            yield None
            continue
        for index in range(len(request.samples)):
            yield request, index
