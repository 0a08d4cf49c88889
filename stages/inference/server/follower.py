"""vLLM servers on other devices as the sampler of a model under training.

Weights go over after each update through vLLM's own interface for that (`/start_weight_update` and what
follows), or are written to a directory, to `receiver.py` on the other side. Prompts go as token ids and token
ids come back, and with each completion the name of the weights that drew it: a server that drew it with any
others is asked no more until the next weights go over, and where there is no other the run ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from stages.checkpoints.checkpoint import dtype_of
from stages.inference.encoding import end_ids, load_tokenizer, named_ends
from stages.inference.fingerprint import fingerprint
from stages.inference.interface import Completion, Gathered, Request
from stages.inference.output import OutputProcessor, Sequence
from stages.inference.server.client import Fetch, Servers
from stages.inference.server.delivery import DRAW, LARGEST, Delivery, version_of
from stages.inference.server.faults import Refused, Unfit
from stages.inference.server.fleet import Fleet, Site
from stages.inference.server.protocol import NEUTRAL
from stages.inference.server.survey import addresses, at
from stages.inference.vllm.weights import named_weights
from stages.runtime.errors import R1Error
from stages.runtime.report import Report
from stages.settings.groups import Endpoint, Engine, Sampling, Transfer, check

IN_FLIGHT = 64  # requests at once to each server
NOT_FINITE = -9999.0  # what the server says for a log-probability that is none


class Drawn(NamedTuple):
    """What the server drew, and the names of the weights it drew it with."""

    ids: list[int]
    logprobs: list[float]
    versions: list[str]
    stopped_by: Any  # the text that ended it, a token, or None


@dataclass
class ServerFollower:
    """`model` as the servers at `endpoint.base_url` serve it, to sample at `temperature`.

    Of several ranks the one that `is_main` sends the weights, or writes them where `transfer` says. Of
    several servers one that is away gets them when it is back, and samples from then on.
    Raises UsageError for what no server does, Unavailable where none can be reached or one does not take
    weights.
    """

    model: str
    engine: Engine
    endpoint: Endpoint
    temperature: float
    report: Report
    is_main: bool = True
    transfer: Transfer = Transfer()
    revision = ""

    def __post_init__(self) -> None:
        urls = addresses(self.engine, self.endpoint)
        self.fleet = Fleet([url.rstrip("/").removesuffix("/v1") for url in urls])
        trust = self.engine.trust_remote_code
        self.tokenizer = load_tokenizer(self.model, trust)
        self.ends = end_ids(self.tokenizer, named_ends(self.model, trust))
        self.version = ""
        self.vocabulary = LARGEST  # until it has weights
        self._asked: Servers | None = None
        self._closed = False
        self._kept_in: torch.dtype | None = None  # the type in a directory, else that of the model
        self._delivery = Delivery(self.fleet, self.endpoint, self.temperature, self.report, self._unfit)
        if self.transfer.weights_dir is not None:
            kind = self.transfer.weights_dtype
            if kind == "auto":
                kind = "bfloat16" if dtype_of(self.model) == "bfloat16" else "float32"
            self._kept_in = getattr(torch, kind)
            if self.is_main:
                self._delivery.write_to(self.transfer.weights_dir, kind, self.model)
        self.limit = self._delivery.join(begin=self.is_main)

    def close(self) -> None:
        """Drops what the server has not answered: a generation in another thread ends with an error."""
        self._closed = True
        self._delivery.close()
        if self._asked is not None:
            self._asked.close()

    def follow(self, model: Any, gathered: Gathered = nullcontext) -> int:
        """See `Follower`. Raises R1Error where no server takes the weights that were sent."""
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        weights = named_weights(model, gathered)
        if self._kept_in is not None:
            weights = ((name, weight.to(self._kept_in)) for name, weight in weights)
        self.fleet.ask_anew()
        if self.is_main:
            held = self._delivery.give(weights)
        else:
            held = sum(fingerprint([weight.cpu()]) for _, weight in weights) % 2**64
        self.version = version_of(held)
        return held

    def generate(self, requests: Iterable[Request | None], sampling: Sampling) -> Iterator[Completion | None]:
        """See `Backend`. Raises R1Error where the server draws with other weights than it was given last."""
        check(sampling)
        processor = OutputProcessor(self.tokenizer, self.ends, self.limit, sampling)
        with at(self.fleet, self.endpoint, self._unfit) as servers:
            self._asked = servers
            if self._closed:
                raise R1Error("the sampler was closed while it was generating")

            def draw(sequence: Sequence) -> tuple[Sequence, Drawn | Refused]:
                body = self._body(sequence, processor)
                return sequence, servers.ask(DRAW, body, self._current)

            jobs = self.engine.batch_size or IN_FLIGHT * len(self.fleet.sites)
            for one in servers.map(draw, self._sequences(requests, processor), jobs, self.report):
                yield None if one is None else self._completion(*one, processor)

    def _unfit(self, site: Site, fetch: Fetch) -> str:
        """Why a server that came back is not to be asked before the next weights go over."""
        page = fetch("/weight_info")
        held = page.get("weight_version") if isinstance(page, dict) else None
        return "" if held == self.version else f"it holds {held}, and not the weights that are trained"

    def _current(self, reply: Any) -> Drawn:
        """What was drawn. Raises Unfit where that was with other weights than the server was given last."""
        drawn = _drawn(reply)
        others = sorted(set(drawn.versions) - {self.version})
        if others:
            raise Unfit(
                f"it does not hold the weights that are trained: it sampled with {', '.join(others)}; it was "
                "started anew, or another run gives it weights"
            )
        return drawn

    def _sequences(
        self, requests: Iterable[Request | None], processor: OutputProcessor
    ) -> Iterator[Sequence | None]:
        for request in requests:
            if request is None:
                yield None
                continue
            yield from processor.begin(request, self.vocabulary)

    def _body(self, sequence: Sequence, processor: OutputProcessor) -> dict[str, Any]:
        sampling, request = processor.sampling, sequence.request
        closers = self._closers(sequence, processor)
        return {
            "token_ids": sequence.prompt_ids,
            "sampling_params": {
                **NEUTRAL,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k,
                "max_tokens": processor.room(sequence),
                "seed": request.seeds[sequence.index] & LARGEST,
                "stop": closers,
                "stop_token_ids": sorted(self.ends),
                "ignore_eos": True,
                "skip_special_tokens": False,  # a closer may be one
                "detokenize": bool(closers),
                "logprobs": 0,
            },
        }

    def _completion(
        self, sequence: Sequence, drawn: Drawn | Refused, processor: OutputProcessor
    ) -> Completion:
        if isinstance(drawn, Refused):
            raise drawn.at(sequence.request.place)
        for token, logprob in zip(drawn.ids, drawn.logprobs, strict=True):
            if logprob <= NOT_FINITE:
                raise R1Error(f"{self.fleet.named}: its logits are not finite, its weights are broken")
            processor.take(sequence, token, logprob)
            if sequence.finish:
                break
        if not sequence.finish:
            if drawn.stopped_by not in self._closers(sequence, processor):
                raise R1Error(f"{self.fleet.named} ended a completion early")
            sequence.finish = "stop"  # by a character that no single token shows
        return processor.completion(sequence)

    def _closers(self, sequence: Sequence, processor: OutputProcessor) -> list[str]:
        return [*processor.sampling.stop, *sequence.request.prompt.stop]


def _drawn(reply: Any) -> Drawn:
    (choice,) = reply["choices"]
    if choice["finish_reason"] not in ("stop", "length"):
        raise ValueError(f"it was cut off, finish_reason {choice['finish_reason']!r}")
    ids, content = choice["token_ids"], choice["logprobs"]["content"]
    if len(ids) != len(content):
        raise ValueError(f"{len(ids)} token ids and {len(content)} log-probabilities")
    versions = [span["version"] for span in choice["weight_versions"]]
    if not versions:
        raise ValueError("it does not say which weights it has")
    logprobs = [float(token["logprob"]) for token in content]
    return Drawn(ids, logprobs, versions, choice.get("stop_reason"))
