"""The seam between what asks for text and what generates it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from stages.data.errors import Unavailable, UsageError
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


def open_backend(
    engine: Engine,
    model: str,
    *,
    endpoint: Endpoint = Endpoint(),
    tokens: bool = False,
    report: Report = SILENT,
) -> Backend:
    """The backend that `engine` names, with `model` loaded; `tokens` asks for ids and log-probabilities."""
    if engine.backend == "openai":
        from stages.inference.openai import OpenAI

        return OpenAI(model, engine, endpoint, report, tokens)
    if endpoint.base_url:
        raise UsageError("--base-url is where a server is: add --backend openai")
    if engine.backend == "echo":
        from stages.inference.echo import Echo

        return Echo()
    from stages.inference.transformers import TransformersBackend, load_model, load_tokenizer

    if engine.batch_size < 1:
        raise Unavailable(f"--batch-size {engine.batch_size}: at least one sequence is needed")
    tokenizer = load_tokenizer(model)
    return TransformersBackend(load_model(model, engine), tokenizer, engine)
