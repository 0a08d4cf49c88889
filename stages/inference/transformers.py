"""Generation with a transformers model: continuous batching over one key-value cache.

A prompt is computed once and its keys and values copied to each of its completions. A finished sequence
leaves the batch at once and the next one takes its place; no linear layer sees padding.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.data.errors import R1Error, Unavailable, UsageError
from stages.data.options import Engine, Sampling, check, threads
from stages.data.templates import Rendered
from stages.inference.adapter import merged
from stages.inference.backend import Completion, Request, Whole
from stages.inference.encoding import encode, encode_request, end_ids
from stages.inference.fingerprint import fingerprint
from stages.inference.loading import hide_broken_media, hold_memory, loading, refuse_gaps
from stages.inference.ragged import ATTENTION, Capture, Packed, Segment, SlotCache, register
from stages.inference.sampling import draw
from stages.inference.watch import Sequence, Watch
from stages.objectives.products import adopt, packed, weights_in_use

PREFILL_TOKENS = 2048  # of prompts computed in one row
SLOTS = 64  # sequences decoded at once
FIXED_ROWS = 16  # rows of every decoding pass under --deterministic
DEVICE = re.compile(r"cpu|cuda(?::\d{1,3})?")


def load_model(model: str, engine: Engine, adapter: Path | None = None) -> Any:
    """A causal language model with the ragged attention, checked against its own; an `adapter` is merged into it."""
    hide_broken_media()
    from transformers import AutoModelForCausalLM

    register()
    loaded = load_weights(AutoModelForCausalLM, model, engine)
    if adapter is not None:
        loaded = merged(loaded, adapter)
    if loaded.device.type == "cpu" and loaded.dtype == torch.float32:
        adopt(loaded)
    _check_attention(loaded)
    return loaded


def load_weights(automatic: Any, model: str, engine: Engine) -> Any:
    """`model` as transformers' class `automatic` reads it, whole, on the engine's device, for inference."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(threads(engine.threads))
    device = engine.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _check_device(device)
    if device == "cpu":
        hold_memory()
    dtype = engine.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
    with loading(model):
        loaded, info = automatic.from_pretrained(
            model,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        refuse_gaps(model, info)
    return loaded.to(device).eval()


def _check_device(device: str) -> None:
    """Raises UsageError for what is no device, Unavailable for one that is not there."""
    if DEVICE.fullmatch(device) is None:
        raise UsageError(f"--device {device}: must be auto, cpu, cuda or cuda:N")
    if device == "cpu":
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise Unavailable(f"--device {device}: torch sees no GPU; use --device cpu")
    if int(device.partition(":")[2] or 0) >= count:
        raise Unavailable(f"--device {device}: torch sees {count} GPUs, from cuda:0")


@torch.no_grad()
def _check_attention(model: Any) -> None:
    """Raises Unavailable where the ragged attention and the model's own differ on two short sequences."""
    device = model.device
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - {
        "full_attention",
        "sliding_attention",
    }
    if kinds:  # a chunk longer than the tokens below would not be missed
        raise Unavailable(
            f"{type(model).__name__} has {', '.join(sorted(kinds))}; use another backend"
        )
    row = torch.arange(3, 17, device=device) % model.config.get_text_config().vocab_size
    model.set_attn_implementation("sdpa")
    wanted = torch.cat([model(part[None]).logits[0] for part in (row[:6], row[6:])])
    model.set_attn_implementation(ATTENTION)
    layout = Packed([Segment(0, 6), Segment(6, 14)], device)
    found = flat_logits(model, row, layout, layout.positions)
    gap = float((wanted.float() - found.float()).abs().max())
    scale = float(wanted.float().abs().max())
    limit = 1e-3 if model.dtype == torch.float32 else 0.1
    if not gap <= limit * max(scale, 1.0):
        raise Unavailable(
            f"{type(model).__name__} does not compute the same over packed rows (logits differ by "
            f"{gap:.3g}); use another backend"
        )


def flat_logits(
    model: Any, row: Tensor, layout: Any, positions: Tensor, keep: Tensor | None = None
) -> Tensor:
    """Logits `[T, V]` of a flat row of tokens `[T]`, or `[n, V]` at the places `keep [n]`."""
    out = model(
        input_ids=row[None],
        position_ids=positions[None],
        use_cache=False,
        logits_to_keep=0 if keep is None else keep,
        layout=layout,
    )
    logits: Tensor = out.logits[0]
    return logits


@dataclass(eq=False)
class _Prompt:
    request: Request
    ids: list[int]
    prefill: str
    logits: Tensor  # [V] after its last token
    cache: list[tuple[Tensor, Tensor]]
    left: deque[int] = field(default_factory=deque)  # samples that wait for a slot


@dataclass(eq=False)
class _Running:
    sequence: Sequence
    uniforms: Iterator[float]


class TransformersBackend:
    """Generates with a loaded `model`; the model may be one that is being trained."""

    def __init__(self, model: Any, tokenizer: Any, engine: Engine) -> None:
        self.model, self.tokenizer, self.engine = model, tokenizer, engine
        config = model.config.get_text_config()
        self.limit = int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
        settings = getattr(model, "generation_config", None)
        self.slots = engine.batch_size or SLOTS
        self.ends = end_ids(tokenizer, getattr(settings, "eos_token_id", None))
        self.fixed_rows = self._rows_that_agree() if engine.deterministic else 0
        self.expected: int | None = (
            None  # the fingerprint its weights must have, where they are trained elsewhere
        )

    def close(self) -> None:
        """Drops the model."""
        self.model = None

    @torch.no_grad()
    def follow(self, model: Any, whole: Whole = nullcontext) -> int:
        """See `Follower`. Where `model` is its own there is nothing to copy."""
        total = 0
        for copy, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            with whole(weight):
                if copy is not weight:
                    copy.copy_(weight)
                total += fingerprint([weight])
        self.expected = total % 2**64
        return self.expected

    def encode(
        self, prompt: Rendered, place: str = "", *, prefilled: bool = True
    ) -> tuple[list[int], str]:
        """See `encoding.encode`."""
        return encode(self.tokenizer, prompt, place, prefilled=prefilled)

    @torch.inference_mode()
    def generate(
        self, requests: Iterable[Request | None], sampling: Sampling
    ) -> Iterator[Completion | None]:
        """See `Backend`. Raises BadInput for a prompt that leaves no room for an answer."""
        check(sampling)
        with nullcontext() if self.fixed_rows else packed(self.model, self.slots):
            if (
                self.expected is not None
                and fingerprint(weights_in_use(self.model)) != self.expected
            ):
                raise R1Error(
                    "the sampler does not hold the weights that are trained: their checksums differ"
                )
            yield from self._generate(requests, sampling)

    def _generate(
        self, requests: Iterable[Request | None], sampling: Sampling
    ) -> Iterator[Completion | None]:
        slots = self.slots
        cache = SlotCache(slots, fixed_rows=self.fixed_rows)
        source = iter(requests)
        running: list[_Running] = []
        waiting: deque[_Prompt] = deque()
        logits: list[Tensor] = []  # of running sequences, in slot order
        watch = Watch(self.tokenizer, self.ends, self.limit, sampling)
        exhausted = False
        while True:
            while len(running) < slots:
                if not waiting and not exhausted:
                    batch, exhausted = self._pull(source, slots - len(running), sampling)
                    waiting.extend(self._prefill(batch))
                if not waiting:
                    break
                prompt = waiting[0]
                first = len(running)
                while prompt.left and len(running) < slots:
                    index = prompt.left.popleft()
                    sequence = watch.start(prompt.request, index, prompt.ids, prompt.prefill)
                    running.append(_Running(sequence, _uniforms(prompt.request.seeds[index])))
                    logits.append(prompt.logits[None])
                cache.put(first, len(running), prompt.cache, len(prompt.ids))
                if not prompt.left:
                    waiting.popleft()
            if not running:
                if exhausted:
                    return
                yield None
                continue
            uniform = torch.tensor([next(s.uniforms) for s in running], dtype=torch.float64)
            rows = torch.cat(logits)
            tokens, logps = draw(rows, uniform.to(rows.device), sampling)
            for slot, (token, logp) in enumerate(zip(tokens.tolist(), logps.tolist(), strict=True)):
                if not math.isfinite(logp):
                    raise R1Error("the model's logits are not finite: its weights are broken")
                sequence = running[slot].sequence
                kept = watch.take(sequence, token, logp)
                if kept is not None:
                    cache.truncate(slot, len(sequence.prompt_ids) + kept)
            for sequence in _retired(cache, running):
                yield watch.completion(sequence)
            logits = self._decode(cache, running) if running else []

    def _pull(
        self, source: Iterator[Request | None], places: int, sampling: Sampling
    ) -> tuple[list[_Prompt], bool]:
        """Requests for about `places` sequences and one row of prefill; whether none are left."""
        batch: list[_Prompt] = []
        tokens = 0
        while places > 0 and tokens < PREFILL_TOKENS:
            try:
                request = next(source)
            except StopIteration:
                return batch, True
            if request is None:
                break
            ids, prefill = encode_request(self.tokenizer, request, self.limit)
            batch.append(
                _Prompt(
                    request, ids, prefill, torch.empty(0), [], deque(range(len(request.samples)))
                )
            )
            tokens += len(ids)
            places -= len(request.samples)
        return batch, False

    def _prefill(self, batch: list[_Prompt]) -> list[_Prompt]:
        """Computes the prompts of a batch, side by side in one row."""
        rows = [[prompt] for prompt in batch] if self.fixed_rows else ([batch] if batch else [])
        for row in rows:
            ends = np.cumsum([len(prompt.ids) for prompt in row]).tolist()
            starts = [0, *ends[:-1]]
            device = self.model.device
            layout = Packed([Segment(*span) for span in zip(starts, ends, strict=True)], device)
            capture = Capture(layout)
            ids = torch.tensor([token for prompt in row for token in prompt.ids], device=device)
            last = torch.tensor(ends, device=device) - 1
            logits = flat_logits(self.model, ids, capture, layout.positions, last)
            for index, prompt in enumerate(row):
                span = slice(starts[index], ends[index])
                prompt.logits = logits[index]
                prompt.cache = [(k[:, span], v[:, span]) for k, v in capture.layers]
        return batch

    def _decode(self, cache: SlotCache, running: list[_Running]) -> list[Tensor]:
        """Logits after the last token of each running sequence."""
        tokens = torch.tensor([each.sequence.ids[-1] for each in running], device=self.model.device)
        width = self.fixed_rows or len(running)
        parts = []
        for start in range(0, len(running), width):
            rows = slice(start, min(start + width, len(running)))
            positions = cache.step(rows)
            row = tokens[rows]
            if self.fixed_rows:
                missing = width - len(row)
                row = torch.nn.functional.pad(row, (0, missing))
                positions = torch.nn.functional.pad(positions, (0, missing))
            logits = flat_logits(self.model, row, cache, positions)
            cache.advance(rows)
            parts.append(logits[: rows.stop - rows.start])
        return parts

    @torch.inference_mode()
    def _rows_that_agree(self) -> int:
        """How many rows a pass may have so that a row's logits do not depend on its place or neighbours.

        `FIXED_ROWS` where the matrix library keeps rows apart, which is tried out here, else 1.
        """
        vocabulary = self.model.config.get_text_config().vocab_size
        row = (torch.arange(FIXED_ROWS, device=self.model.device) * 7919 + 5) % vocabulary
        segments = [Segment(i, i + 1) for i in range(FIXED_ROWS)]
        layout = Packed(segments, self.model.device)
        order = torch.arange(FIXED_ROWS, device=row.device).roll(5)
        straight = flat_logits(self.model, row, layout, layout.positions)
        turned = flat_logits(self.model, row[order], layout, layout.positions)
        return FIXED_ROWS if torch.equal(straight[order], turned) else 1


def _retired(cache: SlotCache, running: list[_Running]) -> list[Sequence]:
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
