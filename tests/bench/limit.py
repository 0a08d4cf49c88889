"""How near generation and training come to the machine's own matrix rate, on SmolLM2-135M and GSM8K problems.

    python tests/bench/limit.py

First the rate of float32 products through MKL (torch's choice) and oneDNN (`stages.objectives.products`), for
shapes of this model; then operations per second of decoding 4 problems x 8 completions x 64 tokens, and 8 x
8, and of a training pass over them, as a share of the best rate seen. Counted are the products that have to
be made: 2 operations for each weight and token forwards, 4 backwards; attention, which is not counted, and
what is computed twice only lower the share.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from training import model_of, problems

from stages.inference.encoding import load_tokenizer
from stages.inference.interface import Completion, Request
from stages.inference.transformers.backend import TransformersBackend
from stages.objectives.products import pack, product
from stages.records import templates
from stages.records.record import Record
from stages.runtime.threads import threads
from stages.settings.groups import Engine, Lora, Sampling
from stages.training.policy import Policy
from stages.training.rows import Sample, rows

SHAPES = ((576, 1536), (1536, 576), (49152, 576))


def seconds(call: Callable[[], Any], least: float = 0.5) -> float:
    """The mean time of a call, repeated for `least` seconds after one to warm up."""
    call()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < least:
        call()
        count += 1
    return (time.perf_counter() - start) / count


@torch.no_grad()
def rates(count: int, out: int, width: int) -> dict[str, float]:
    """GFLOP/s of a product of `count` rows with weights that come from memory, as a model's do."""
    copies = max(1, (64 << 20) // (4 * out * width))
    weights = [torch.randn(out, width) for _ in range(copies)]
    pairs = [(weight, pack(weight, count)) for weight in weights]
    x = torch.randn(count, width)
    work = 2e-9 * count * out * width * copies
    return {
        "MKL": work / seconds(lambda: [x @ w.T for w in weights]),
        "oneDNN": work / seconds(lambda: [product(x, w) for w in weights]),
        "oneDNN, packed": work / seconds(lambda: [product(x, w, p) for w, p in pairs]),
    }


def matrices() -> float:
    """Prints the rates of this model's shapes; returns the best."""
    best = 0.0
    for count in (8, 32, 64, 256, 1024):
        for out, width in SHAPES:
            found = rates(count, out, width)
            best = max(best, *found.values())
            print(
                f"{count:5} rows x {width:4} -> {out:5}",
                *(f"{name} {rate:.0f}" for name, rate in found.items()),
                sep="  ",
            )
    print(f"best: {best:.0f} GFLOP/s on {threads()} threads")
    return best


def main() -> None:
    torch.set_num_threads(threads())
    best = matrices()
    model = model_of({}, None)
    policy = Policy(model, Engine(device="cpu"), Lora())
    backend = TransformersBackend(policy.unwrapped, load_tokenizer(model), Engine(device="cpu"))
    head = policy.unwrapped.get_output_embeddings().weight.numel()
    body = sum(p.numel() for p in policy.unwrapped.parameters()) - head
    template = templates.load("none")
    for count in (4, 8):
        requests = [
            Request(k, template.render(Record(line)), tuple(range(8)), tuple(range(8 * k, 8 * k + 8)))
            for k, line in enumerate(problems({}, count))
        ]  # fmt: skip
        start = time.perf_counter()
        made: list[Completion] = [
            c for c in backend.generate(iter(requests), Sampling(max_tokens=64)) if c is not None
        ]
        spent = time.perf_counter() - start
        drawn = sum(len(c.completion_ids) for c in made)
        asked = sum(len(c.prompt_ids) for c in made if c.sample == 0)
        work = 2e-9 * ((drawn + asked) * body + drawn * head)
        print(
            f"generation, {8 * count} sequences: {drawn / spent:.0f} tokens/s, {work / spent:.0f} GFLOP/s, "
            f"{work / spent / best:.0%} of the best"
        )
    made.sort(key=lambda c: (c.key, c.sample))
    samples = [
        Sample(c.prompt_ids, c.completion_ids, [1.0] * len(c.completion_ids), 1.0, group=str(c.key))
        for c in made
    ]

    def learn() -> None:
        for row in rows(samples, 2048):
            logp, _ = policy.logprobs(row)
            (-(row.weight * logp).sum()).backward()

    spent = seconds(learn, 20)
    work *= 3
    print(
        f"training, {drawn} + {asked} tokens: {(drawn + asked) / spent:.0f} tokens/s, {work / spent:.0f} "
        f"GFLOP/s, {work / spent / best:.0%} of the best"
    )


if __name__ == "__main__":
    main()
