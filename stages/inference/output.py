"""Completions while they grow: where they end, and where thinking is cut or extended."""

from __future__ import annotations

import bisect
import functools
import math
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from stages.inference.encoding import BROKEN, CHARACTER, decode, plain_ids
from stages.inference.interface import Completion, Request
from stages.inference.prompting import encode_request
from stages.runtime.errors import R1Error
from stages.settings.groups import Sampling

OPEN, CLOSE, WAIT = "<think>", "</think>", "Wait"


def thinking_tokens(tokenizer: Any, made: Completion) -> int:
    """Tokens of a completion's thinking, up to the one before its end; to the last, if it has none."""
    text = made.text
    begin = 0 if made.prefill.rfind(OPEN) > made.prefill.rfind(CLOSE) else text.find(OPEN)
    if begin < 0:
        return 0
    end = text.find(CLOSE, begin)

    def reaching(characters: int) -> int:
        """The fewest tokens whose text has so many characters."""
        ids = made.completion_ids
        return bisect.bisect_left(
            range(len(ids)), characters, key=lambda n: len(decode(tokenizer, made.prompt_ids, ids[:n]))
        )

    return reaching(end if end >= 0 else len(text)) - reaching(begin)


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


class OutputProcessor:
    """Follows sequences token by token. `ends` are tokens that end one, `limit` is the model's context."""

    def __init__(self, tokenizer: Any, ends: frozenset[int], limit: int, sampling: Sampling) -> None:
        self.tokenizer, self.ends, self.limit, self.sampling = tokenizer, ends, limit, sampling
        self.control = sampling.think_budget is not None or sampling.think_extend > 0
        self.close_ids = self.encode(CLOSE) if self.control else []
        self._last_chars: set[str] = {text[-1] for text in sampling.stop if text}
        if self.control:
            self._last_chars |= {">"}
        beside = self.encode("a")[-1:]  # alone, a token that is a space shows nothing in some tokenizers
        self._shows = functools.cache(lambda token: decode(self.tokenizer, beside, [token]))

    def start(self, request: Request, index: int, prompt_ids: list[int], prefill: str) -> Sequence:
        self._last_chars |= {text[-1] for text in request.prompt.stop}
        opened = prefill.rfind("<think>") > prefill.rfind(CLOSE)
        sequence = Sequence(request, index, prompt_ids, prefill, opened, self.sampling.think_extend)
        self._limit(sequence)
        return sequence

    def begin(self, request: Request, vocabulary: int) -> list[Sequence]:
        """All samples of a request. Raises as `encode_request` does."""
        ids, prefill = encode_request(self.tokenizer, request, self.limit, vocabulary)
        return [self.start(request, index, ids, prefill) for index in range(len(request.samples))]

    def needed(self, request: Request) -> bool:
        """Whether anything but an end token or the limit can end or turn a completion of this request."""
        return bool(self.control or self.sampling.stop or request.prompt.stop)

    def room(self, sequence: Sequence) -> int:
        """How many tokens the sequence may have in all."""
        return min(self.sampling.max_tokens, self.limit - len(sequence.prompt_ids))

    def take(self, sequence: Sequence, token: int, logprob: float | None) -> int | None:
        """Adds a drawn token. Returns how many of its tokens are kept where thinking goes on instead.

        Raises R1Error for a token of no finite probability.
        """
        if logprob is not None and not math.isfinite(logprob):
            raise R1Error("the model's logits are not finite: its weights are broken")
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
        elif kept is None and self._last_chars and self._may_close(self._shows(token)):
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

    def _may_close(self, shown: str) -> bool:
        """Whether a token that shows this can end a text looked for: a piece of a character can."""
        return not shown or BROKEN in shown or not self._last_chars.isdisjoint(shown)

    def _look(self, sequence: Sequence) -> int | None:
        """What the newest text means: a stop string, or the start or end of thinking."""
        stops = (*self.sampling.stop, *sequence.request.prompt.stop)
        reach = max((len(text.encode()) for text in (*stops, CLOSE)), default=0) + 4
        tail = self._tail(sequence, reach)
        # Where it begins within a character, a row of bytes shows none: it begins earlier then.
        more = range(reach + 1, reach + CHARACTER) if stops and BROKEN in tail else ()
        tails = chain([tail], (self._tail(sequence, count) for count in more))
        if any(text in each for each in tails for text in stops):
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

    def _tail(self, sequence: Sequence, count: int) -> str:
        """What the newest `count` tokens say."""
        start = max(len(sequence.ids) - count, 0)
        before = sequence.ids[max(start - CHARACTER, 0) : start] or sequence.prompt_ids[-CHARACTER:]
        return decode(self.tokenizer, before, sequence.ids[start:])

    def _extend(self, sequence: Sequence, cut: int) -> int:
        """Goes back to the first `cut` tokens and makes the model think on."""
        removed = self.tokenizer.decode(sequence.ids[cut:])
        del sequence.ids[cut:], sequence.logprobs[cut:]
        sequence.extends -= 1
        sequence.forced.extend(self.encode(removed.partition(CLOSE[0])[0] + WAIT))
        sequence.push(sequence.forced.popleft(), None)
        return cut

    def encode(self, text: str) -> list[int]:
        return plain_ids(self.tokenizer, text)

    def completion(self, sequence: Sequence) -> Completion:
        request, ids = sequence.request, sequence.ids
        said = ids[:-1] if ids and ids[-1] in self.ends else ids
        text = decode(self.tokenizer, sequence.prompt_ids, said)
        cuts = [i for stop in self.sampling.stop if (i := text.find(stop)) >= 0]
        cuts += [i + len(s) for s in request.prompt.stop if (i := text.find(s)) >= 0]
        if cuts:
            text, sequence.finish = text[: min(cuts)], "stop"
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
