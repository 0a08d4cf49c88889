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
from stages.inference.interface import Completion, Request, unasked
from stages.inference.server.client import Fetch, Servers
from stages.inference.server.faults import Refused
from stages.inference.server.fleet import Fleet, Site
from stages.inference.server.protocol import Answer, body_of, read
from stages.inference.server.survey import addresses, at, survey
from stages.runtime.errors import BadInput, TooLong, Unavailable, UsageError
from stages.runtime.report import Report
from stages.settings.groups import Endpoint, Engine, Sampling, check

IN_FLIGHT = 64  # requests at once to each server
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
    """`model` as the servers at `endpoint.base_url` serve it. `tokens` asks for ids and log-probabilities.

    Raises UsageError for what no server does, Unavailable where none of these can be reached, or one does not
    serve the model, or serves another than the first, or gives no token ids and `tokens` is set.
    """

    model: str
    engine: Engine
    endpoint: Endpoint
    report: Report
    tokens: bool = False
    tokenizer = None  # the server has it

    def __post_init__(self) -> None:
        self.fleet = Fleet(addresses(self.engine, self.endpoint))
        self._told: set[str] = set()
        self._servers: Servers | None = None
        pages = survey(self.fleet, self.endpoint, _models, self.report)
        shown = {site: self._shown(site, pages[site]) for site in self.fleet.sites if site in pages}
        self.vllm, self.revision = next(iter(shown.values()))
        for site, each in shown.items():
            if why := self._differs(site, each):
                raise Unavailable(why)
        url = self.fleet.named
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
        with at(self.fleet, self.endpoint, self._unfit) as servers:
            self._servers = servers

            def complete(job: tuple[Request, int]) -> Completion:
                return self._complete(servers, *job, sampling)

            jobs = self.engine.batch_size or IN_FLIGHT * len(self.fleet.sites)
            yield from servers.map(complete, _samples(requests), jobs, self.report)

    def close(self) -> None:
        """Drops what the server has not answered."""
        if self._servers is not None:
            self._servers.close()

    def _unfit(self, site: Site, fetch: Fetch) -> str:
        """Why a server that came back is not to be asked; "" where it serves what it should."""
        try:
            return self._differs(site, self._shown(site, fetch("/models")))
        except Unavailable as error:
            return str(error)

    def _shown(self, site: Site, listed: Any) -> tuple[bool, str]:
        """Whether vLLM serves the model at `site`, and the revision of its weights.

        Where the server's directory is here too, its weights have a name; else the model's stands for it.
        Raises Unavailable where it lists other models only; some list none.
        """
        cards = listed.get("data") if isinstance(listed, dict) else None
        card: dict[str, Any] = {}
        if isinstance(cards, list):
            known = {each.get("id"): each for each in cards if isinstance(each, dict)}
            if self.model not in known:
                names = ", ".join(map(str, known)) or "no model"
                raise Unavailable(f"{site.url} serves {names}, and not {self.model}; name it with -m")
            card = known[self.model]
        vllm = card.get("owned_by") == "vllm"
        if vllm:
            site.shows_health = True
        root = Path(str(card.get("root") or "") if vllm else "")
        here = root.is_absolute() and root.is_dir()
        return vllm, revision(str(root)) if here else self.model

    def _differs(self, site: Site, shown: tuple[bool, str]) -> str:
        """What a server serves else than the first one; "" where it is the same."""
        if shown == (self.vllm, self.revision):
            return ""
        words = [
            f"{rev} by {'vLLM' if vllm else 'a server that is not vLLM'}"
            for vllm, rev in (shown, (self.vllm, self.revision))
        ]
        return f"{site.url} serves {words[0]}, and the first server {words[1]}; all must serve the same"

    def _check(self, sampling: Sampling) -> None:
        check_served(sampling, self.endpoint, tokens=self.tokens)
        if sampling.top_k and not self.vllm:
            raise UsageError(f"--top-k {sampling.top_k}: only vLLM is known to take it from a request")

    def _complete(self, servers: Servers, request: Request, index: int, sampling: Sampling) -> Completion:
        """One sample; runs in a thread of its own."""
        prompt = request.prompt
        chat = prompt.text is None
        if chat and prompt.prefill and not self.vllm:
            raise UsageError(
                f"{self.fleet.named}: not known to let an answer begin with {prompt.prefill!r}: "
                "use a template that begins none, such as chat, or one that is a text, such as r1-zero"
            )
        if prompt.options and not self.vllm:
            raise UsageError(
                f"{self.fleet.named}: not known to take chat_template_kwargs, which the records have"
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
        answer = servers.ask(path, body, read)
        if isinstance(answer, Refused):
            error = answer.at(request.place)
            if isinstance(error, TooLong):
                return unasked(request, error)[index]
            raise error
        if answer.finish not in ENDS or not (answer.text is not None or answer.thinking or answer.calls):
            raise BadInput(
                f"the server gave no completion (finish_reason {answer.finish!r})",
                place=request.place,
                remedy="drop the problem with `r1 filter --where`, then --resume goes on",
            )
        prefill = self._opened(servers, request, answer) if chat else prompt.prefill
        if self.tokens and (answer.ids is None or answer.prompt_ids is None or answer.logprobs is None):
            raise Unavailable(
                f"--tokens: {self.fleet.named} gives no token ids; it needs vLLM 0.10.2 or later"
            )
        return Completion(
            request.key,
            request.samples[index],
            self._text(servers, answer, request, prefill),
            answer.finish,
            prefill,
            answer.prompt_ids or [],
            answer.ids or [],
            list(answer.logprobs or []),
            answer.counts,
        )

    def _text(self, servers: Servers, answer: Answer, request: Request, prefill: str) -> str:
        text = answer.text or ""
        if answer.calls:
            self._once(
                servers,
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
                servers,
                "the server takes the thinking out of its answers; it is put back as <think>…</think>",
            )
            opener = "" if "<think>" in prefill else THINK
            text = opener + answer.thinking.strip("\n") + (CLOSE + text if text else "")
        closers = request.prompt.stop
        if self.vllm:
            return text + (answer.matched if answer.matched in closers else "")
        cuts = [at + len(each) for each in closers if (at := text.find(each)) >= 0]
        return text[: min(cuts, default=len(text))]

    def _opened(self, servers: Servers, request: Request, answer: Answer) -> str:
        """What the answer really began with: a chat template may open the thinking, or trim what we began."""
        wanted, shown = request.prompt.prefill, answer.shown
        if shown is None:
            if self.vllm:
                self._once(
                    servers,
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

    def _once(self, servers: Servers, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            servers.told.put(message)


def _models(servers: Servers) -> Any:
    return servers.ask("/models", None, lambda page: page)


def _samples(requests: Iterable[Request | None]) -> Iterator[tuple[Request, int] | None]:
    """A request for each sample of each request."""
    for request in requests:
        if request is None:
            yield None
            continue
        for index in range(len(request.samples)):
            yield request, index
