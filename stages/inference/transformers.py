"""Generation with a transformers model: continuous batching over one key-value cache.

A prompt is computed once and its keys and values copied to each of its completions. A finished sequence
leaves the batch at once and the next one takes its place; no linear layer sees padding.
"""

from __future__ import annotations

import functools
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.data.errors import BadInput, R1Error, Unavailable, UsageError
from stages.data.options import Engine, Sampling, check, threads
from stages.data.templates import Rendered
from stages.inference.backend import Completion, Request
from stages.inference.fingerprint import fingerprint
from stages.inference.loading import hold_memory, loading, refuse_gaps
from stages.inference.ragged import ATTENTION, Capture, Packed, Segment, SlotCache, register
from stages.inference.sampling import draw
from stages.objectives.products import adopt, packed, weights_in_use

PREFILL_TOKENS = 2048  # of prompts computed in one row
FIXED_ROWS = 16  # rows of every decoding pass under --deterministic
DEVICE = re.compile(r"cpu|cuda(?::\d{1,3})?")
CLOSE, WAIT = "</think>", "Wait"


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a checkpoint directory or hub name."""
    from transformers import AutoTokenizer

    with loading(model, "the tokenizer of "):
        return AutoTokenizer.from_pretrained(model)


def load_model(model: str, engine: Engine) -> Any:
    """A causal language model with the ragged attention, checked against its own attention."""
    from transformers import AutoModelForCausalLM

    register()
    loaded = load_weights(AutoModelForCausalLM, model, engine)
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
class _Sequence:
    prompt: _Prompt
    sample: int
    uniforms: Iterator[float]
    thinking: bool
    extends: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float | None] = field(default_factory=list)
    forced: deque[int] = field(default_factory=deque)
    finish: str = ""

    def push(self, token: int, logprob: float | None) -> None:
        self.ids.append(token)
        self.logprobs.append(logprob)


class TransformersBackend:
    """Generates with a loaded `model`; the model may be one that is being trained."""

    def __init__(self, model: Any, tokenizer: Any, engine: Engine) -> None:
        self.model, self.tokenizer, self.engine = model, tokenizer, engine
        config = model.config.get_text_config()
        self.limit = int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
        self.ends = _end_ids(model, tokenizer)
        self.fixed_rows = self._rows_that_agree() if engine.deterministic else 0
        self.expected: int | None = (
            None  # the fingerprint its weights must have, where they are trained elsewhere
        )

    def close(self) -> None:
        """Drops the model."""
        self.model = None

    def encode(
        self, prompt: Rendered, place: str = "", *, prefilled: bool = True
    ) -> tuple[list[int], str]:
        """A prompt's token ids, and the prefill they end with; without `prefilled` they end before it.

        Raises BadInput where the model has no chat template and one is needed.
        """
        if prompt.text is not None:
            text = prompt.text if prefilled else prompt.text.removesuffix(prompt.prefill)
            ids: list[int] = self.tokenizer(text)["input_ids"]
            if len(ids) > 1 and ids[-1] == self.tokenizer.eos_token_id:
                ids = ids[:-1]  # some tokenizers close every text
            return ids, prompt.prefill if prefilled else ""
        if not self.tokenizer.chat_template:
            raise UsageError(
                "the model has no chat template; use --template r1-zero, none or a file"
            )
        try:
            text = self.tokenizer.apply_chat_template(
                list(prompt.messages), add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # jinja2 raises what the template tells it to
            raise BadInput(
                f"the model's chat template refuses the prompt: {error}",
                place=place,
                remedy="see its messages",
            ) from error
        opened = next((tag for tag in ("<think>\n", "<think>") if text.endswith(tag)), "")
        wanted = prompt.prefill
        if opened:  # the model's template has opened the thinking already
            wanted = opened + wanted.removeprefix("<think>").removeprefix("\n")
        text = text.removesuffix(opened)
        if not prefilled:
            wanted = ""
        return self.tokenizer(text + wanted, add_special_tokens=False)["input_ids"], wanted

    @torch.inference_mode()
    def generate(
        self, requests: Iterable[Request | None], sampling: Sampling
    ) -> Iterator[Completion | None]:
        """See `Backend`. Raises BadInput for a prompt that leaves no room for an answer."""
        check(sampling)
        if not all(sampling.stop):
            raise UsageError("--stop '': an empty text stops everywhere")
        with nullcontext() if self.fixed_rows else packed(self.model, self.engine.batch_size):
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
        slots = self.engine.batch_size
        cache = SlotCache(slots, fixed_rows=self.fixed_rows)
        source = iter(requests)
        running: list[_Sequence] = []
        waiting: deque[_Prompt] = deque()
        logits: list[Tensor] = []  # of running sequences, in slot order
        watch = _Watch(self, sampling)
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
                    running.append(watch.start(prompt, prompt.left.popleft()))
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
                kept = watch.take(running[slot], token, logp)
                if kept is not None:
                    cache.truncate(slot, len(running[slot].prompt.ids) + kept)
            done = [sequence for sequence in running if sequence.finish]
            if done:
                left = len(running) - len(done)
                free = [slot for slot in range(left) if running[slot].finish]
                last = [slot for slot in range(left, len(running)) if not running[slot].finish]
                cache.move(last, free)
                for old, new in zip(last, free, strict=True):
                    running[new] = running[old]
                del running[left:]
            for sequence in done:
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
            ids, prefill = self.encode(request.prompt, request.place)
            room = self.limit - len(ids)
            if not ids or room < 1:
                raise BadInput(
                    f"the prompt has {len(ids)} tokens, the model's context {self.limit}",
                    place=request.place,
                    remedy="shorten it or drop it with `r1 filter --where`",
                )
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

    def _decode(self, cache: SlotCache, running: Sequence[_Sequence]) -> list[Tensor]:
        """Logits after the last token of each running sequence."""
        tokens = torch.tensor([sequence.ids[-1] for sequence in running], device=self.model.device)
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


class _Watch:
    """Follows the running sequences: where they end, and where thinking is cut or extended."""

    def __init__(self, backend: TransformersBackend, sampling: Sampling) -> None:
        self.sampling, self.backend = sampling, backend
        self.tokenizer = backend.tokenizer
        self.ends = backend.ends
        self.control = sampling.think_budget is not None or sampling.think_extend > 0
        self.close_ids = self._encode(CLOSE) if self.control else []
        self._last_chars: set[str] = {text[-1] for text in sampling.stop if text}
        if self.control:
            self._last_chars |= {">"}
        self._shows = functools.cache(lambda token: self.tokenizer.decode([token]))

    def start(self, prompt: _Prompt, index: int) -> _Sequence:
        request = prompt.request
        self._last_chars |= {text[-1] for text in request.prompt.stop}
        opened = prompt.prefill.rfind("<think>") > prompt.prefill.rfind(CLOSE)
        sequence = _Sequence(
            prompt,
            request.samples[index],
            _uniforms(request.seeds[index]),
            opened,
            self.sampling.think_extend,
        )
        self._limit(sequence)
        return sequence

    def take(self, sequence: _Sequence, token: int, logprob: float) -> int | None:
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
        room = min(self.sampling.max_tokens, self.backend.limit - len(sequence.prompt.ids))
        if not sequence.finish and len(sequence.ids) >= room:
            sequence.finish = "length"
        self._limit(sequence)
        return kept

    def _limit(self, sequence: _Sequence) -> None:
        """Forces the end of thinking where its budget is used up."""
        budget = self.sampling.think_budget
        if budget is None or not sequence.thinking or len(sequence.ids) < budget:
            return
        if not sequence.forced:
            sequence.forced.extend(self.close_ids)
            sequence.extends = 0

    def _look(self, sequence: _Sequence) -> int | None:
        """What the newest text means: a stop string, or the start or end of thinking."""
        stops = (*self.sampling.stop, *sequence.prompt.request.prompt.stop)
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

    def _extend(self, sequence: _Sequence, cut: int) -> int:
        """Goes back to the first `cut` tokens and makes the model think on."""
        removed = self.tokenizer.decode(sequence.ids[cut:])
        del sequence.ids[cut:], sequence.logprobs[cut:]
        sequence.extends -= 1
        sequence.forced.extend(self._encode(removed.partition(CLOSE[0])[0] + WAIT))
        sequence.push(sequence.forced.popleft(), None)
        return cut

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def completion(self, sequence: _Sequence) -> Completion:
        request = sequence.prompt.request
        ids = sequence.ids
        said = ids[:-1] if ids and ids[-1] in self.ends else ids
        # Decoded after the prompt's last token: some tokenizers drop a leading space otherwise.
        before = self.tokenizer.decode(sequence.prompt.ids[-1:])
        text = self.tokenizer.decode(sequence.prompt.ids[-1:] + said)
        text = text[len(before) :] if text.startswith(before) else self.tokenizer.decode(said)
        if sequence.finish == "stop":
            cuts = [i for stop in self.sampling.stop if (i := text.find(stop)) >= 0]
            cuts += [i + len(s) for s in request.prompt.stop if (i := text.find(s)) >= 0]
            text = text[: min(cuts, default=len(text))]
        return Completion(
            request.key,
            sequence.sample,
            text,
            sequence.finish,
            sequence.prompt.prefill,
            sequence.prompt.ids,
            ids,
            sequence.logprobs,
        )


def _uniforms(seed: int) -> Iterator[float]:
    """Numbers in [0, 1) that depend on the seed alone."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    while True:
        yield from generator.random(64).tolist()


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a completion, as the model's generation settings and its tokenizer name them."""
    found: set[int] = set()
    with suppress(AttributeError):
        named = model.generation_config.eos_token_id
        found |= set(named if isinstance(named, list) else [named])
    found.add(tokenizer.eos_token_id)
    ends = frozenset(token for token in found if token is not None)
    if not ends:
        raise R1Error("the model names no end-of-text token; set eos_token in its tokenizer")
    return ends
