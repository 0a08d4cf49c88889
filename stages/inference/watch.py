"""Completions while they grow: where they end, and where thinking is cut or extended."""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from stages.data.options import Sampling
from stages.inference.backend import Completion, Request
from stages.inference.encoding import decode

CLOSE, WAIT = "</think>", "Wait"


@dataclass(eq=False)
class Sequence:
    """Sample `index` of a request. Tokens in `forced` are taken before any that is drawn."""

    request: Request
    index: int
    prompt_ids: list[int]
    prefill: str
    thinking: bool
    extends: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float | None] = field(default_factory=list)
    forced: deque[int] = field(default_factory=deque)
    finish: str = ""

    def push(self, token: int, logprob: float | None) -> None:
        self.ids.append(token)
        self.logprobs.append(logprob)


class Watch:
    """Follows sequences token by token. `ends` are the tokens that end one, `limit` is the model's context."""

    def __init__(
        self, tokenizer: Any, ends: frozenset[int], limit: int, sampling: Sampling
    ) -> None:
        self.tokenizer, self.ends, self.limit, self.sampling = tokenizer, ends, limit, sampling
        self.control = sampling.think_budget is not None or sampling.think_extend > 0
        self.close_ids = self.encode(CLOSE) if self.control else []
        self._last_chars: set[str] = {text[-1] for text in sampling.stop if text}
        if self.control:
            self._last_chars |= {">"}
        self._shows = functools.cache(lambda token: self.tokenizer.decode([token]))

    def start(self, request: Request, index: int, prompt_ids: list[int], prefill: str) -> Sequence:
        self._last_chars |= {text[-1] for text in request.prompt.stop}
        opened = prefill.rfind("<think>") > prefill.rfind(CLOSE)
        sequence = Sequence(request, index, prompt_ids, prefill, opened, self.sampling.think_extend)
        self._limit(sequence)
        return sequence

    def needed(self, request: Request) -> bool:
        """Whether anything but an end token or the limit can end or turn a completion of this request."""
        return bool(self.control or self.sampling.stop or request.prompt.stop)

    def room(self, sequence: Sequence) -> int:
        """How many tokens the sequence may have in all."""
        return min(self.sampling.max_tokens, self.limit - len(sequence.prompt_ids))

    def take(self, sequence: Sequence, token: int, logprob: float | None) -> int | None:
        """Adds a drawn token. Returns how many of its tokens are kept where thinking goes on instead."""
        kept = None
        ended = False
        if sequence.forced:
            token = sequence.forced.popleft()
            sequence.push(token, None)
        elif token in self.ends and sequence.thinking and sequence.extends > 0:
            kept = self._extend(sequence, len(sequence.ids))
        else:
            sequence.push(token, logprob)
            ended = token in self.ends
        if ended:
            sequence.finish = "stop"
        elif kept is None and not self._last_chars.isdisjoint(self._shows(token)):
            kept = self._look(sequence)
        if not sequence.finish and len(sequence.ids) >= self.room(sequence):
            sequence.finish = "length"
        self._limit(sequence)
        return kept

    def _limit(self, sequence: Sequence) -> None:
        """Forces the end of thinking where its budget is used up."""
        budget = self.sampling.think_budget
        if budget is None or not sequence.thinking or len(sequence.ids) < budget:
            return
        if not sequence.forced:
            sequence.forced.extend(self.close_ids)
            sequence.extends = 0

    def _look(self, sequence: Sequence) -> int | None:
        """What the newest text means: a stop string, or the start or end of thinking."""
        stops = (*self.sampling.stop, *sequence.request.prompt.stop)
        reach = max((len(text.encode()) for text in (*stops, CLOSE)), default=0) + 4
        tail = self.tokenizer.decode(sequence.ids[-reach:])
        if any(text in tail for text in stops):
            sequence.finish = "stop"
            return None
        if not self.control:
            return None
        if not sequence.thinking:
            sequence.thinking = tail.rstrip().endswith("<think>")
        elif CLOSE in tail:
            if sequence.extends > 0:
                cut = len(sequence.ids) - 1
                while CLOSE[0] not in self._shows(sequence.ids[cut]):
                    cut -= 1
                return self._extend(sequence, cut)
            sequence.thinking = False
        return None

    def _extend(self, sequence: Sequence, cut: int) -> int:
        """Goes back to the first `cut` tokens and makes the model think on."""
        removed = self.tokenizer.decode(sequence.ids[cut:])
        del sequence.ids[cut:], sequence.logprobs[cut:]
        sequence.extends -= 1
        sequence.forced.extend(self.encode(removed.partition(CLOSE[0])[0] + WAIT))
        sequence.push(sequence.forced.popleft(), None)
        return cut

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def completion(self, sequence: Sequence) -> Completion:
        request, ids = sequence.request, sequence.ids
        said = ids[:-1] if ids and ids[-1] in self.ends else ids
        text = decode(self.tokenizer, sequence.prompt_ids, said)
        if sequence.finish == "stop":
            cuts = [i for stop in self.sampling.stop if (i := text.find(stop)) >= 0]
            cuts += [i + len(s) for s in request.prompt.stop if (i := text.find(s)) >= 0]
            text = text[: min(cuts, default=len(text))]
        return Completion(
            request.key,
            request.samples[sequence.index],
            text,
            sequence.finish,
            sequence.prefill,
            sequence.prompt_ids,
            ids,
            sequence.logprobs,
        )
