"""The seam between what asks for text and what generates it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from stages.data.errors import UsageError
from stages.data.options import Endpoint, Engine, Sampling
from stages.data.report import SILENT, Report
from stages.data.templates import Rendered


@dataclass(frozen=True)
class Request:
    """`samples` completions of one prompt. `seeds` gives each its own stream of random numbers."""

    key: int
    prompt: Rendered
    samples: tuple[int, ...]
    seeds: tuple[int, ...]
    place: str = ""
    logprobs: bool = True  # False: nobody reads them, and a backend may leave them out


@dataclass(frozen=True)
class Completion:
    """Sample `sample` of request `key`. `logprobs` has a None where a token was forced, not drawn.

    A log-probability is that of the distribution the token was drawn from, after the temperature
    and before top-p or top-k cut it.
    """

    key: int
    sample: int
    text: str
    finish: str  # stop or length
    prefill: str
    prompt_ids: list[int]
    completion_ids: list[int]
    logprobs: list[float | None]
    counts: tuple[int, int] | None = None  # tokens of prompt and completion, where ids are unknown

    @property
    def lengths(self) -> tuple[int, int]:
        """How many tokens the prompt and the completion have."""
        return self.counts or (len(self.prompt_ids), len(self.completion_ids))


class Backend(Protocol):
    """What generates. Reads `requests` as places come free; a None in it means: none at present."""

    def generate(
        self, requests: Iterable[Request | None], sampling: Sampling
    ) -> Iterator[Completion | None]:
        """Completions in the order they finish; a None where none has, and what waits may be given out.

        Closing the iterator drops what is unfinished.
        """

    def close(self) -> None:
        """Frees the device and ends child processes."""


Whole = Callable[[Any], AbstractContextManager[Any]]


class Follower(Backend, Protocol):
    """A backend that samples with the weights of a model under training."""

    def follow(self, model: Any, whole: Whole = nullcontext) -> int:
        """Takes over the weights of `model`, and from now on samples with no others. Returns their fingerprint.

        `whole(weight)` is a context within which a weight is all here. Raises R1Error, now or when it samples,
        where a checksum shows that it has others.
        """


def resolved(engine: Engine) -> Engine:
    """`engine` with its backend chosen: vLLM where it is installed and there is a GPU to use, else transformers.

    Raises UsageError where options of vLLM's are given and it is another.
    """
    chosen = engine.backend
    if chosen == "auto":
        chosen = "transformers"
        if engine.device != "cpu" and not engine.deterministic and find_spec("vllm") is not None:
            import torch

            if torch.cuda.is_available():
                chosen = "vllm"
    if chosen != "vllm" and (engine.tp > 1 or engine.dp > 1 or engine.vllm):
        raise UsageError("--tp, --dp and --vllm are for --backend vllm")
    return replace(engine, backend=chosen)


def open_backend(
    engine: Engine,
    model: str,
    *,
    endpoint: Endpoint = Endpoint(),
    adapter: Path | None = None,
    tokens: bool = False,
    report: Report = SILENT,
) -> Backend:
    """The backend that `engine` names, with `model` and its LoRA `adapter` loaded.

    `tokens` asks for ids and log-probabilities.
    """
    engine = resolved(engine)
    if adapter is not None and engine.backend not in ("transformers", "vllm"):
        raise UsageError(
            f"--adapter {adapter}: not for --backend {engine.backend}; a server has its own: "
            "vllm serve --enable-lora --lora-modules NAME=DIR, then -m NAME"
        )
    if engine.backend == "openai":
        from stages.inference.openai import OpenAI

        return OpenAI(model, engine, endpoint, report, tokens)
    if endpoint.base_url:
        raise UsageError("--base-url is where a server is: add --backend openai")
    if engine.backend == "echo":
        from stages.inference.echo import Echo

        return Echo()
    if engine.backend == "vllm":
        from stages.inference.replicas import Replicas
        from stages.inference.vllm import VllmBackend

        kind = Replicas if engine.dp > 1 else VllmBackend
        return kind(model, engine, adapter=adapter)
    from stages.inference.encoding import load_tokenizer
    from stages.inference.transformers import TransformersBackend, load_model

    tokenizer = load_tokenizer(model)
    return TransformersBackend(load_model(model, engine, adapter), tokenizer, engine)


def open_follower(
    engine: Engine,
    model: str,
    trained: Any,
    *,
    apart: bool,
    temperature: float = 1.0,
    endpoint: Endpoint = Endpoint(),
    report: Report = SILENT,
    leads: bool = True,
) -> Follower:
    """A backend that samples from `trained`, a transformers model that began as the checkpoint `model`.

    With `apart`, or where `trained` is None, it has weights of its own, and may sample while `trained` changes. Of
    several processes with a server in common the one that `leads` sends it the weights.
    """
    if engine.backend == "openai":
        from stages.inference.remote import Remote

        return Remote(model, engine, endpoint, temperature, report, leads)
    if endpoint.base_url:
        raise UsageError("--base-url is where a server is: add --backend openai")
    if engine.backend == "vllm":
        from stages.inference.vllm import VllmBackend

        return VllmBackend(model, engine, follows=True, apart=apart)
    from stages.inference.encoding import load_tokenizer
    from stages.inference.transformers import TransformersBackend, load_model

    if trained is None:
        own = load_model(model, engine)
    else:
        own = copy.deepcopy(trained) if apart else trained
    return TransformersBackend(own, load_tokenizer(model), engine)
