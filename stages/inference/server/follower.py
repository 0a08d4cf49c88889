"""A vLLM server on other devices as the sampler of a model under training.

Weights go over after each update through vLLM's own interface for that (`/start_weight_update` and what
follows), to `receiver.py` on the other side. Prompts go as token ids and token ids come back, and with each
completion the name of the weights that drew it: a completion of any others ends the run.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from stages.inference.encoding import end_ids, load_tokenizer, named_ends
from stages.inference.fingerprint import fingerprint
from stages.inference.interface import Completion, Gathered, Request
from stages.inference.output import OutputProcessor, Sequence
from stages.inference.server import transfer
from stages.inference.server.client import NEUTRAL, Refused, Server, address, at, first
from stages.inference.vllm.weights import named_weights
from stages.runtime.errors import R1Error, Unavailable
from stages.runtime.report import Report
from stages.settings.groups import Endpoint, Engine, Sampling, check

START = (
    "start it as VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --enable-scale-out "
    """--weight-transfer-config '{"backend": "r1"}'"""
)
DRAW = "/inference/v1/generate"
IN_FLIGHT = 64  # requests at once
IN_TRANSIT = "r1: in transit"  # the name of weights of which only some have come
LARGEST = 2**63 - 1
NOT_FINITE = -9999.0  # what the server says for a log-probability that is none


class Drawn(NamedTuple):
    """What the server drew, and the names of the weights it drew it with."""

    ids: list[int]
    logprobs: list[float]
    versions: list[str]
    stopped_by: Any  # the text that ended it, a token, or None


@dataclass
class ServerFollower:
    """`model` as the server at `endpoint.base_url` serves it, to sample at `temperature`.

    Of several ranks the one that `is_main` sends the weights.
    Raises UsageError for what no server does, Unavailable where this one cannot be reached or does not take
    weights.
    """

    model: str
    engine: Engine
    endpoint: Endpoint
    temperature: float
    report: Report
    is_main: bool = True
    revision = ""

    def __post_init__(self) -> None:
        self.root = address(self.engine, self.endpoint).rstrip("/").removesuffix("/v1")
        trust = self.engine.trust_remote_code
        self.tokenizer = load_tokenizer(self.model, trust)
        self.ends = end_ids(self.tokenizer, named_ends(self.model, trust))
        self.version = ""
        self.vocabulary = LARGEST  # until it has weights
        self._asked: Server | None = None
        self._closed = False
        self.server = at(self.root, self.endpoint)
        self.limit, self.workers = first(self.root, self.endpoint, self._size, self.report)
        if self.is_main:
            self._begin()

    def _size(self, server: Server) -> tuple[int, int]:
        """The longest sequence the server has room for, and how many workers it has."""
        cards = server.ask("/v1/models", None, lambda page: page["data"])
        if isinstance(server.ask("/weight_info", None, _version), Refused):
            raise Unavailable(f"{self.root} takes no weights; {START}")
        size = server.ask("/get_world_size", None, lambda page: int(page["world_size"]))
        server.ask(DRAW, {}, _drawn)  # refused as it says nothing, or, with 403, for ever
        if isinstance(cards, Refused) or isinstance(size, Refused):
            raise Unavailable(f"{self.root} does not say what it is; {START}")
        return int(cards[0].get("max_model_len") or LARGEST), size

    def _begin(self) -> None:
        try:
            self._tell("/init_weight_transfer_engine", init_info={"temperature": self.temperature})
        except R1Error as error:
            raise Unavailable(f"{error}; {START}") from error

    def close(self) -> None:
        """Drops what the server has not answered: a generation in another thread ends with an error."""
        self._closed = True
        self.server.close()
        if self._asked is not None:
            self._asked.close()

    def follow(self, model: Any, gathered: Gathered = nullcontext) -> int:
        """See `Follower`. Raises R1Error where the server does not take the weights that were sent."""
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        weights = named_weights(model, gathered)
        if not self.is_main:
            held = sum(fingerprint([weight.cpu()]) for _, weight in weights) % 2**64
        else:
            self._tell("/pause?mode=wait")
            self._tell("/update_weight_version", new_version=IN_TRANSIT)
            self._start()
            held = self._send(weights)
            self._tell("/finish_weight_update", weight_version=_named(held))
            self._tell("/resume")
        self.version = _named(held)
        return held

    def _start(self) -> None:
        refused = self.server.tell("/start_weight_update", {})
        if refused is not None:
            # An update that another trainer broke off is in the way: one without a source fails, and ends it.
            self.server.tell("/update_weights", {"update_info": {}})
            self._tell("/start_weight_update")

    def _send(self, weights: Iterator[tuple[str, Any]]) -> int:
        parts = urllib.parse.urlsplit(self.root)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        timeout = self.endpoint.request_timeout
        sender = transfer.Sender(timeout=timeout)
        with ThreadPoolExecutor(1) as beside, contextlib.closing(sender):
            told: Future[None] | None = None
            try:
                source = {
                    "host": transfer.local_address(parts.hostname or "", port),
                    "port": sender.port,
                    "secret": sender.secret,
                    "timeout": timeout,
                }
                told = beside.submit(self._tell, "/update_weights", update_info=source)
                held = sender.send(weights, self.workers, told.done)
            except OSError as error:
                sender.close()  # who still wants to come in fails, and the server answers
                if told is not None:
                    told.result()  # its reason, where it has one
                raise R1Error(
                    f"{self.root}: the weights did not go over ({error}). Run again with --resume, and where "
                    "that fails too, start the server anew"
                ) from error
            except BaseException:
                self.server.close()  # or its answer would be waited for
                raise
            told.result()
        return held

    def generate(self, requests: Iterable[Request | None], sampling: Sampling) -> Iterator[Completion | None]:
        """See `Backend`. Raises R1Error where the server draws with other weights than it was given last."""
        check(sampling)
        processor = OutputProcessor(self.tokenizer, self.ends, self.limit, sampling)
        with at(self.root, self.endpoint) as server:
            self._asked = server
            if self._closed:
                raise R1Error("the sampler was closed while it was generating")

            def draw(sequence: Sequence) -> tuple[Sequence, Drawn | Refused]:
                body = self._body(sequence, processor)
                return sequence, server.ask(DRAW, body, _drawn)

            jobs = self.engine.batch_size or IN_FLIGHT
            for one in server.map(draw, self._sequences(requests, processor), jobs, self.report):
                yield None if one is None else self._completion(*one, processor)

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
        others = sorted(set(drawn.versions) - {self.version})
        if others:
            raise R1Error(
                f"{self.root} does not hold the weights that are trained: it sampled with "
                f"{', '.join(others)}; it was started anew, or another run gives it weights. "
                "Run again with --resume"
            )
        for token, logprob in zip(drawn.ids, drawn.logprobs, strict=True):
            if logprob <= NOT_FINITE:
                raise R1Error(f"{self.root}: its logits are not finite, its weights are broken")
            processor.take(sequence, token, logprob)
            if sequence.finish:
                break
        if not sequence.finish:
            if drawn.stopped_by not in self._closers(sequence, processor):
                raise R1Error(f"{self.root} ended a completion early")
            sequence.finish = "stop"  # by a character that no single token shows
        return processor.completion(sequence)

    def _closers(self, sequence: Sequence, processor: OutputProcessor) -> list[str]:
        return [*processor.sampling.stop, *sequence.request.prompt.stop]

    def _tell(self, path: str, **body: Any) -> None:
        """Raises R1Error with what the server has against it; nothing is told twice."""
        refused = self.server.tell(path, body)
        if refused is not None:
            raise R1Error(f"{self.root}{path}: {refused.why}")


def _named(held: int) -> str:
    return f"r1:{held:016x}"


def _version(page: Any) -> str:
    return str(page["weight_version"])


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
