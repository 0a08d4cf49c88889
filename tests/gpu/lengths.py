"""Long sequences: one prompt and one long completion, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator

from finding import Bench, Row, Watch, each

from stages.settings.groups import Lora
from stages.training.policy import Policy
from stages.training.rows import Sample
from stages.training.rows import rows as packed

PROMPT = 64


def rows(_: str, bench: Bench) -> Iterator[Row]:
    """A row for each length, without and with --checkpointing."""
    dtype = bench.size.speeds[0]
    for checkpointing in (False, True):
        policy = Policy(str(bench.model()), bench.engine(dtype), Lora())  # type: ignore[arg-type]
        if checkpointing:
            policy.recompute()
        told = ", --checkpointing" if checkpointing else ""
        yield from each(
            *(
                (f"{length} tokens{told}", lambda n=length, told=told, p=policy: _row(n, told, p, bench))
                for length in bench.size.lengths
            )
        )


def _row(length: int, told: str, policy: Policy, bench: Bench) -> Iterator[Row]:
    ids = [3 + k * 7919 % 1000 for k in range(length)]
    sample = Sample(ids[:PROMPT], ids[PROMPT:], [1 / length] * (length - PROMPT))
    spent = 0.0
    for _ in range(2):  # the first warms up
        policy.model.zero_grad(set_to_none=True)
        bench.forget()
        watch = Watch(bench)
        (row,) = packed([sample], length, policy.device)
        logp, _ = policy.logprobs(row)
        (row.weight * logp).sum().backward()
        spent = watch.seconds()
    finite = bool(logp.isfinite().all())
    figure = f"{length / spent:,.0f} tokens/s, {bench.peak():.2f} GiB"
    yield Row(f"{length:,} tokens{told}", figure, "finite", finite)
