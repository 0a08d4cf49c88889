"""The device against the CPU in float32: log-probabilities, loss, gradient, an update, completions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Literal

import torch
from finding import Bench, Row, at_most, each
from sizes import text

from stages import generate, grpo
from stages.objectives.policy import policy_loss
from stages.records.record import Record
from stages.settings.groups import Lora, Objective, Optimizer, Sampling
from stages.training.parallel.replicas import Replicas
from stages.training.parallel.world import World
from stages.training.policy import Policy
from stages.training.rows import Sample
from stages.training.rows import rows as packed

Dtype = Literal["float32", "bfloat16"]
RATE = 1e-4
MOST = 48  # tokens of a completion, since the CPU makes them too
# mean and largest difference of log-probabilities, the loss's, the gradient's and the update's share, the
# gap between sampler and trainer.
BOUNDS: dict[str, tuple[float, float, float, float, float, float]] = {
    "float32": (1e-4, 1e-3, 1e-4, 1e-3, 0.05, 1e-4),
    "bfloat16": (0.02, 0.2, 0.02, 0.1, 0.6, 0.01),
}


def rows(name: str, bench: Bench) -> Iterator[Row]:
    """`name` is a type, or `architectures`."""
    if name == "architectures":
        yield from each(*((f"in {d}", lambda d=d: _architectures(d, bench)) for d in HALVES))
        return
    dtype: Dtype = "bfloat16" if name == "bfloat16" else "float32"
    yield from each(
        ("an update", lambda: _update(dtype, bench)),
        ("sampler and trainer", lambda: _gap(dtype, bench)),
        ("completions", lambda: _completions(dtype, bench)),
    )


class Learned:
    """What an update's parts are on a device in a type; `old` are the log-probabilities it starts from."""

    def __init__(self, bench: Bench, device: str, dtype: Dtype, old: torch.Tensor | None) -> None:
        policy = Policy(str(bench.model()), bench.engine(dtype, device), Lora())
        before = {name: weight.detach().cpu().clone() for name, weight in policy.parameters()}
        strategy = Replicas(policy, Optimizer(lr=RATE, clip=0.0), World())
        (row,) = packed(_samples(policy), 1 << 20, policy.device)
        logp, _ = policy.logprobs(row)
        self.logp = logp.detach().cpu()
        noise = torch.randn(len(self.logp), generator=torch.Generator().manual_seed(1)) * 0.05
        self.old = self.logp + noise if old is None else old
        drawn = torch.ones_like(logp, dtype=torch.bool)
        loss = policy_loss(
            logp, self.old.to(policy.device), row.advantage, Objective(), sequences=row.sequences, drawn=drawn
        ).loss
        total = (row.weight * loss).sum()
        self.loss = float(total.detach())
        strategy.begin()
        strategy.backward(total, last=True)
        self.gradient = _flat(weight.grad for _, weight in policy.parameters())
        strategy.step(RATE)
        self.change = _flat(weight.detach().cpu() - before[name] for name, weight in policy.parameters())


def _samples(policy: Policy) -> list[Sample]:
    """Two groups that share a prompt each, and a text alone."""
    draw, vocabulary = random.Random(0), policy.unwrapped.config.vocab_size
    made = []
    for group, (prompt, lengths) in {"a": (24, (40, 9, 33)), "b": (7, (60, 21)), "": (3, (80,))}.items():
        asked = [draw.randrange(3, vocabulary) for _ in range(prompt)]
        for length in lengths:
            said = [draw.randrange(3, vocabulary) for _ in range(length)]
            made.append(Sample(asked, said, [1 / 243] * length, draw.choice((-1.0, 1.0)), group=group))
    return made


def _flat(tensors: Any) -> torch.Tensor:
    return torch.cat([each.detach().float().cpu().flatten() for each in tensors])


def _share(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def _update(dtype: Dtype, bench: Bench) -> Iterator[Row]:
    wanted = Learned(bench, "cpu", "float32", None)
    found = Learned(bench, bench.device, dtype, wanted.old)
    mean, most, loss, gradient, change, _ = BOUNDS[dtype]
    apart = (found.logp - wanted.logp).abs()
    yield at_most("log-probabilities, mean difference", float(apart.mean()), mean)
    yield at_most("log-probabilities, largest difference", float(apart.max()), most)
    yield at_most("loss, difference", abs(found.loss - wanted.loss), loss)
    yield at_most("gradient, relative difference", _share(found.gradient, wanted.gradient), gradient)
    yield at_most("one update of AdamW, relative difference", _share(found.change, wanted.change), change)


def _problems(bench: Bench, count: int) -> list[Record]:
    return [Record(id=str(k), prompt=text(bench.size, 12, k), answer="1") for k in range(count)]


def _gap(dtype: Dtype, bench: Bench) -> Iterator[Row]:
    """A step of grpo, whose sampler runs where it learns."""
    size = bench.size
    made = grpo.run(
        _problems(bench, size.problems),
        grpo.Settings(
            model=str(bench.model()), out=bench.folder / "gap", template="none", steps=1,
            reward=("trl:peer.vowels",), problems=size.problems, samples=size.samples, workers=1,
            sampling=Sampling(max_tokens=min(size.tokens, MOST)), engine=bench.engine(dtype),
        ),
    )  # fmt: skip
    gap, most = (made.manifest["metrics"][f"sampling/logp_gap_{k}"] for k in ("mean", "max"))
    yield at_most("sampler to trainer, mean difference", gap, BOUNDS[dtype][-1], f"largest {most:.3g}")


def _completions(dtype: Dtype, bench: Bench) -> Iterator[Row]:
    """The same seed on the CPU, twice on the device, and in another batch under --deterministic."""
    from dataclasses import replace

    def made(engine: Any) -> list[list[int]]:
        settings = generate.Settings(
            model=str(bench.model()), template="none", samples=4, tokens=True,
            sampling=Sampling(max_tokens=min(bench.size.tokens, MOST)), engine=engine,
        )  # fmt: skip
        return [r["completion_ids"] for r in generate.run(_problems(bench, 2), settings)]

    engine = bench.engine(dtype)
    once, again, there = made(engine), made(engine), made(bench.engine("float32", "cpu"))
    same = sum(map(list.__eq__, once, there)) / len(there)
    if dtype == "float32":
        yield Row("completions as on the CPU, same seed", f"{same:.0%}", "≥ 80%", same >= 0.8)
    else:
        yield Row("completions as on the CPU in float32", f"{same:.0%}", note="rounding may change a token")
    yield _equal("the same command twice", once, again)
    steady = [made(replace(engine, deterministic=True, batch_size=size)) for size in (2, 7)]
    yield _equal("--deterministic at another --batch-size", *steady)


def _equal(name: str, one: Any, other: Any) -> Row:
    same = one == other
    return Row(name, "the same tokens" if same else "other tokens", "the same", same)


HALVES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def _architectures(dtype: str, bench: Bench) -> Iterator[Row]:
    """How each kind of attention is executed there."""
    import transformers

    from stages.inference.transformers.execution import execution_of
    from stages.inference.transformers.proof import prove
    from stages.inference.transformers.ragged import register
    from stages.objectives.products import adopt, widen

    register()
    worst = 0.0
    kinds = {"Llama": {}, "Qwen2": {}, "Qwen3": {}, "Mistral": {"sliding_window": 5}}
    for kind, extra in kinds.items():
        config = getattr(transformers, f"{kind}Config")(
            vocab_size=67, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, max_position_embeddings=128, initializer_range=0.2, **extra,
        )  # fmt: skip
        torch.manual_seed(3)
        model = getattr(transformers, f"{kind}ForCausalLM")(config).eval().to(bench.device, HALVES[dtype])
        adopt(model)
        widen(model)
        prove(model)
        if not execution_of(model).flat:
            yield Row(f"{kind} in {dtype}", execution_of(model).note() or "its own code", "flat", ok=False)
        worst = max(worst, execution_of(model).error)
    yield at_most(f"{', '.join(kinds)} over flat rows in {dtype}, error of logits", worst, 1e-3)
