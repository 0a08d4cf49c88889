"""Generation with a transformers model: continuous batching over one key-value cache.

A prompt is computed once and its keys and values copied to each of its completions. A finished sequence
leaves the batch at once and the next one takes its place; no linear layer sees padding.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.checkpoints.adapter import added, unadapted
from stages.inference.encoding import end_ids, refuse_unknown
from stages.inference.fingerprint import fingerprint, refuse_other
from stages.inference.interface import Completion, Gathered, Likelihood, Request, Source, unasked
from stages.inference.output import OutputProcessor, Sequence
from stages.inference.prompting import encode, encode_pair, encode_request
from stages.inference.transformers.execution import execution_of
from stages.inference.transformers.flat import Computed, FlatSlots, Slots, flat_logits
from stages.inference.transformers.likelihood import likelihoods
from stages.inference.transformers.model import computes_in_half
from stages.inference.transformers.native import NativeSlots
from stages.inference.transformers.ragged import Packed, Segment
from stages.inference.transformers.sampling import draw
from stages.objectives.products import packed, weights_in_use
from stages.records.templates import Rendered
from stages.runtime.errors import BadInput, R1Error, TooLong
from stages.settings.groups import Engine, Sampling, check

PREFILL_TOKENS = 2048  # of prompts computed in one row
SLOTS = 64  # sequences decoded at once
FIXED_ROWS = 16  # rows of every decoding pass under --deterministic


@dataclass(eq=False)
class _Prompt:
    request: Request
    ids: list[int]
    prefill: str
    left: deque[int] = field(default_factory=deque)  # samples that wait for a slot
    computed: Computed = field(default_factory=lambda: Computed([]))


@dataclass(eq=False)
class _Running:
    sequence: Sequence
    uniforms: Iterator[float]


class TransformersBackend:
    """Generates with a loaded `model`; the model may be one that is being trained."""

    revision = ""

    def __init__(self, model: Any, tokenizer: Any, engine: Engine) -> None:
        self.model, self.tokenizer, self.engine = model, tokenizer, engine
        config = model.config.get_text_config()
        self.limit = int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
        settings = getattr(model, "generation_config", None)
        self.slots = engine.batch_size or SLOTS
        self.autocast = model.dtype == torch.float32 and computes_in_half(engine, model.device)
        self.computes = "bfloat16" if self.autocast else str(model.dtype).removeprefix("torch.")
        self.execution = execution_of(model)
        self.vocabulary = int(config.vocab_size)
        self.limit = min(self.limit, self.execution.longest or self.limit)
        self.ends = end_ids(tokenizer, getattr(settings, "eos_token_id", None))
        self.fixed_rows = self._rows_that_agree() if engine.deterministic else 0
        # The fingerprint its weights must have, where they are trained elsewhere.
        self.expected: int | None = None

    def close(self) -> None:
        """Drops the model."""
        self.model = None

    @torch.no_grad()
    def follow(self, model: Any, gathered: Gathered = nullcontext) -> int:
        """See `Follower`. Where `model` is its own there is nothing to copy."""
        total = 0
        theirs: Iterable[tuple[str, Any, Any]] = unadapted(model)
        if sum(1 for _ in self.model.parameters()) == sum(1 for _ in model.parameters()):  # the same adapters
            theirs = ((name, weight, None) for name, weight in model.named_parameters())
        for copy, (_, weight, layer) in zip(self.model.parameters(), theirs, strict=True):
            with gathered(weight if layer is None else list(layer.parameters())):
                value = added(weight, layer)
                if copy is not weight:
                    copy.copy_(value)
                total += fingerprint([value])
        self.expected = total % 2**64
        return self.expected

    def encode(self, prompt: Rendered, place: str = "", *, prefilled: bool = True) -> tuple[list[int], str]:
        """See `prompting.encode`."""
        ids, opened = encode(self.tokenizer, prompt, place, prefilled=prefilled)
        refuse_unknown(self.tokenizer, ids, self.vocabulary, place)
        return ids, opened

    @torch.inference_mode()
    def likelihoods(self, pairs: list[tuple[str, str]], place: str = "") -> list[Likelihood]:
        """See `Chooser`. Texts after one context are computed together; no result hangs on other problems."""
        encoded = [encode_pair(self.tokenizer, context, text) for context, text in pairs]
        texts: dict[tuple[int, ...], list[list[int]]] = {}
        for context, text in encoded:
            if not text:
                raise BadInput("a text to compare has no tokens of its own", place=place, remedy="drop it")
            if len(context) + len(text) > self.limit + 1:
                raise TooLong(
                    f"the prompt has {len(context)} tokens, a text to compare {len(text)}, the model's "
                    f"context {self.limit}",
                    place=place,
                    remedy="shorten it, or ask with fewer examples",
                )
            refuse_unknown(self.tokenizer, [*context, *text], self.vocabulary, place)
            texts.setdefault(tuple(context), []).append(text)
        found = {
            context: iter(likelihoods(self.model, list(context), each, half=self.autocast))
            for context, each in texts.items()
        }
        made = [next(found[tuple(context)]) for context, _ in encoded]
        if not all(math.isfinite(each.logp) for each in made):
            raise R1Error("the model's logits are not finite: its weights are broken")
        return made

    @torch.inference_mode()
    def generate(self, requests: Iterable[Request | None], sampling: Sampling) -> Iterator[Completion | None]:
        """See `Backend`."""
        check(sampling)
        with nullcontext() if self.fixed_rows else packed(self.model, self.slots, half=self.autocast):
            if self.expected is not None:
                refuse_other(fingerprint(weights_in_use(self.model)), self.expected)
            yield from self._generate(requests, sampling)

    def _generate(
        self, requests: Iterable[Request | None], sampling: Sampling
    ) -> Iterator[Completion | None]:
        slots = self.slots
        cache = self._slots()
        source = Source(requests)
        running: list[_Running] = []
        waiting: deque[_Prompt] = deque()
        logits: list[Tensor] = []  # of running sequences, in slot order
        processor = OutputProcessor(self.tokenizer, self.ends, self.limit, sampling)
        while True:
            while len(running) < slots:
                if not waiting and not source.exhausted:
                    batch, too_long = self._pull(source, slots - len(running))
                    yield from too_long
                    made = cache.prefill([prompt.ids for prompt in batch])
                    for each, computed in zip(batch, made, strict=True):
                        each.computed = computed
                    waiting.extend(batch)
                if not waiting:
                    break
                prompt = waiting[0]
                first = len(running)
                while prompt.left and len(running) < slots:
                    index = prompt.left.popleft()
                    sequence = processor.start(prompt.request, index, prompt.ids, prompt.prefill)
                    running.append(_Running(sequence, _uniforms(prompt.request.seeds[index])))
                logits.append(cache.put(first, len(running), prompt.computed))
                if not prompt.left:
                    waiting.popleft()
            if not running:
                if source.exhausted:
                    return
                yield None
                continue
            uniform = torch.tensor([next(s.uniforms) for s in running], dtype=torch.float64)
            rows = torch.cat(logits)
            tokens, logps = draw(rows, uniform.to(rows.device), sampling)
            for slot, (token, logp) in enumerate(zip(tokens.tolist(), logps.tolist(), strict=True)):
                sequence = running[slot].sequence
                kept = processor.take(sequence, token, logp)
                if kept is not None:
                    cache.truncate(slot, len(sequence.prompt_ids) + kept)
            for sequence in _retired(cache, running):
                yield processor.completion(sequence)
            logits = cache.decode([each.sequence for each in running]) if running else []

    def _pull(self, source: Source[Request], places: int) -> tuple[list[_Prompt], list[Completion]]:
        """Requests for about `places` sequences and one row of prefill; and those that are not asked."""
        batch: list[_Prompt] = []
        too_long: list[Completion] = []
        tokens = 0
        while places > 0 and tokens < PREFILL_TOKENS and (request := source.take()) is not None:
            try:
                ids, prefill = encode_request(self.tokenizer, request, self.limit, self.vocabulary)
            except TooLong as error:
                too_long += unasked(request, error)
                continue
            batch.append(_Prompt(request, ids, prefill, deque(range(len(request.samples)))))
            tokens += len(ids)
            places -= len(request.samples)
        return batch, too_long

    def _slots(self) -> Slots:
        """What computes the running sequences, in the way that was proved for the model."""
        if not self.execution.flat:
            return NativeSlots(self.model, self.execution, alone=bool(self.fixed_rows), half=self.autocast)
        return FlatSlots(
            self.model,
            self.slots,
            fixed_rows=self.fixed_rows,
            border=self.execution.border,
            half=self.autocast,
        )

    @torch.inference_mode()
    def _rows_that_agree(self) -> int:
        """How many rows a pass may have so that a row's logits do not depend on its place or neighbours.

        `FIXED_ROWS` where the matrix library keeps rows apart, which is tried out here, else 1.
        """
        if not self.execution.flat:
            return 1
        vocabulary = self.model.config.get_text_config().vocab_size
        row = (torch.arange(FIXED_ROWS, device=self.model.device) * 7919 + 5) % vocabulary
        segments = [Segment(i, i + 1) for i in range(FIXED_ROWS)]
        layout = Packed(segments, self.model.device)
        order = torch.arange(FIXED_ROWS, device=row.device).roll(5)
        straight, turned = (
            flat_logits(self.model, tokens, layout, layout.positions, half=self.autocast)
            for tokens in (row, row[order])
        )
        return FIXED_ROWS if torch.equal(straight[order], turned) else 1


def _retired(cache: Slots, running: list[_Running]) -> list[Sequence]:
    """Takes the sequences that ended out of `running`; the last ones move to their slots."""
    ended = [bool(each.sequence.finish) for each in running]
    done = [each.sequence for each in running if each.sequence.finish]
    left = len(running) - len(done)
    free = [slot for slot in range(left) if ended[slot]]
    last = [slot for slot in range(left, len(running)) if not ended[slot]]
    cache.move(last, free)
    for old, new in zip(last, free, strict=True):
        running[new] = running[old]
    del running[left:]
    return done


def _uniforms(seed: int) -> Iterator[float]:
    """Numbers in [0, 1) that depend on the seed alone."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    while True:
        yield from generator.random(64).tolist()
