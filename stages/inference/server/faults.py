"""What goes wrong with a server, and what that means for a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from stages.records.jsonl import decode
from stages.runtime.errors import BadInput, R1Error, TooLong, Unavailable
from stages.runtime.shown import discreet

PASSING = {408, 409, 425, 429, 500, 502, 503, 504}  # HTTP: the same request may do better later
CROWDED = {429, 503}  # too many requests; others are answered meanwhile
BUSY = 429  # too many requests, by the server's own count
FATAL = {401, 403, 404}
# What vLLM, OpenAI, llama.cpp and SGLang say of a prompt that, or with --max-tokens, is too long.
CONTEXT = re.compile(
    r"maximum (?:context|model|sequence) length|context[_ ](?:length|size|window)|max_model_len",
    re.IGNORECASE,
)
BROKEN = {500, 503}  # what vLLM answers where its engine is dead, and not only then


@dataclass(frozen=True)
class Refused:
    """Why the server answered this request with no text; the next one may do better."""

    why: str

    def at(self, place: str) -> BadInput:
        """The error it is for the problem at `place`: TooLong where words known here say so."""
        kind = TooLong if CONTEXT.search(self.why) else BadInput
        return kind(self.why, place=place, remedy="change it, or drop it with `r1 filter --where`")


class Unfit(R1Error):
    """A server is there and is not what it should be: another may be asked."""


class NoAnswer(Unavailable):
    """No server could be reached for as long as the user would wait; `why` is what the last attempt met."""

    why = ""


class Dead(NoAnswer):
    """The engines of all servers are dead, and no waiting brings them back."""


def no_answer(why: str, patience: float) -> NoAnswer:
    """The error where that was so for `patience` seconds."""
    error = NoAnswer(f"{why}, and so for {patience:g} s; is the server up?")
    error.why = why
    return error


class Fault(NamedTuple):
    """Why an attempt gave nothing. Of a `lost` server nothing more is awaited, a `dead` one is to be started
    anew; `wait` is how many seconds the server wants to have. A `busy` one answers other requests.
    """

    why: str
    wait: float = 0.0
    crowded: bool = False
    busy: bool = False
    lost: bool = False
    dead: bool = False
    unfit: bool = False


def named(body: Mapping[str, Any] | None) -> str:
    return f"model {body['model']}" if body and "model" in body else "to answer"


def said(data: bytes) -> str:
    """The first words of the server's reason, without the key if it says it."""
    try:
        told = decode(data)
        told = told.get("error", told)
        told = told.get("message", told) if isinstance(told, dict) else told
    except (ValueError, AttributeError):
        told = data[:200].decode(errors="replace")
    return " ".join(discreet(str(told)).split())[:300]


def seconds(header: str | None) -> float:
    """What Retry-After says, where it says a number."""
    return float(header) if header and header.strip().isdigit() else 0.0
