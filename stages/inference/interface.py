"""What asks for text and what generates it meet here: requests in, completions out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from stages.records.templates import Rendered
from stages.runtime.errors import TooLong
from stages.settings.groups import Sampling

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """`samples` completions of one prompt. `seeds` gives each its own stream of random numbers."""

    key: int
    prompt: Rendered
    samples: tuple[int, ...]
    seeds: tuple[int, ...]
    place: str = ""
    logprobs: bool = True  # False: nobody reads them, and a backend may leave them out
    must_fit: bool = True  # False: where the context does not hold it, its completions say so


class Likelihood(NamedTuple):
    """Of a text that follows a prompt: log p of its tokens, and whether each was the likeliest one."""

    logp: float
    greedy: bool
    tokens: int
    prompt_tokens: int


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
    likelihoods: tuple[Likelihood, ...] = ()  # of the texts that it was chosen from
    unasked: str = ""  # why the model was not asked, and there is no text

    @property
    def lengths(self) -> tuple[int, int]:
        """How many tokens the prompt and the completion have."""
        return self.counts or (len(self.prompt_ids), len(self.completion_ids))


def unasked(request: Request, error: TooLong) -> list[Completion]:
    """A completion without a text for each sample. Raises `error` where the request must fit."""
    if request.must_fit:
        raise error
    return [
        Completion(request.key, sample, "", "", "", [], [], [], counts=(0, 0), unasked=error.what)
        for sample in request.samples
    ]


class Source(Generic[T]):
    """Items of which there may be none at present, as an iterator says by a None."""

    def __init__(self, items: Iterable[T | None]) -> None:
        self._items = iter(items)
        self.exhausted = False

    def take(self) -> T | None:
        """The next item; None where there is none at present, or none any more."""
        try:
            return next(self._items)
        except StopIteration:
            self.exhausted = True
            return None


class Backend(Protocol):
    """What generates. Reads `requests` as places come free; a None in it means: none at present."""

    tokenizer: Any  # None where a server has it, or there is none
    revision: str  # of the weights, where only the backend knows; else ""

    def generate(self, requests: Iterable[Request | None], sampling: Sampling) -> Iterator[Completion | None]:
        """Completions in the order they finish; a None where none has, and what waits may be given out.
        Raises TooLong for a prompt that must fit and does not; of others see `unasked`.

        Closing the iterator drops what is unfinished.
        """

    def close(self) -> None:
        """Frees the device and ends child processes."""


class Chooser(Backend, Protocol):
    """A backend that can say how likely a text is after a prompt."""

    def likelihoods(self, pairs: list[tuple[str, str]], place: str = "") -> list[Likelihood]:
        """Of each prompt and the text that follows it. Raises TooLong for a text that does not fit."""


Gathered = Callable[[Any], AbstractContextManager[Any]]


class Follower(Backend, Protocol):
    """A backend that samples with the weights of a model under training."""

    def follow(self, model: Any, gathered: Gathered = nullcontext) -> int:
        """Takes over the weights of `model`, to sample with no others. Returns their fingerprint.

        `gathered(weight)` is a context within which a weight is all here. Raises R1Error, now or when it
        samples, where a checksum shows that it has others.
        """
