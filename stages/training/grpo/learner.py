"""What turns the rollouts of a step into a loss: advantages, mini-batches, log-probabilities, guards.

The order in which a step uses them stands in step.py; the formulas are in objectives/.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stages.inference.transformers.execution import Packing, packing
from stages.objectives.advantage import advantages
from stages.objectives.policy import importance, kl, policy_loss, weights
from stages.records.record import Record, bad_record, group_of, need
from stages.runtime.errors import R1Error
from stages.settings.grpo import Settings
from stages.training.loop.run import Run
from stages.training.parallel.world import World
from stages.training.policy import Policy
from stages.training.rows import Row, Sample, packs, rows

DIGITS = 6  # of a log-probability that is kept to be looked at
REMEDY = "make rollouts with `r1 generate --tokens`"


@dataclass
class Learner:
    """The policy under training, the reference beside it, and what is made of a step's rollouts."""

    policy: Policy
    settings: Settings
    reference: Any = None  # a frozen copy of the model, where KL needs one
    rewarded: bool = True  # False: nothing but the divergence from the reference is learned
    world: World = field(default_factory=World)
    logp_diff_limit: float = math.inf  # of the step, for the mean difference between sampler and policy
    largest_gap: float = 0.0  # of the step, between the sampler's log-probability and the policy's
    # Of the step: the policy's log-probabilities as the last update had them, by completion; of this rank.
    kept: dict[int, list[float]] = field(default_factory=dict)

    def advantages(self, rewards: Tensor, groups: Tensor, costs: Tensor | None) -> list[float]:
        """A_i of each completion: `rewards [N]` (NaN: not judged), less the KL that `costs [N]` holds."""
        o = self.settings.objective
        paid = rewards if costs is None else rewards - o.beta * costs
        found: list[float] = advantages(paid, groups, scale=o.scale, baseline=o.baseline).tolist()
        return found if self.rewarded else [0.0] * len(found)

    def divergence(self, rollouts: Sequence[Record]) -> Tensor | None:
        """The KL `[N]` of each completion from the reference, summed over its drawn tokens, in float64.

        None unless it is taken from the reward.
        """
        o = self.settings.objective
        if not (o.beta and o.kl_in == "reward"):
            return None
        samples = [_sample(record, 0.0) for record in rollouts]
        self._add_reference_logprobs(samples)
        found = []
        for sample in samples:
            old, ref = (torch.tensor(x, dtype=torch.float64) for x in (sample.old_logp, sample.ref_logp))
            drawn = ~old.isnan()
            found.append(kl(old[drawn], ref[drawn], o.kl).sum())
        return torch.stack(found)

    def minibatches(self, rollouts: Sequence[Record], gains: Sequence[float]) -> list[list[Sample]]:
        """The samples of each update, with the weights that make it a mean over its own completions."""
        o = self.settings.objective
        order = list(dict.fromkeys(map(group_of, rollouts)))
        count = min(o.minibatches, len(order))
        part = {name: index * count // len(order) for index, name in enumerate(order)}
        batches: list[list[Sample]] = [[] for _ in range(count)]
        for place, (record, gain) in enumerate(zip(rollouts, gains, strict=True)):
            unjudged = self.rewarded and record.get("reward") is None
            if not unjudged and not (o.mask_truncated and record["finish"] == "length"):
                batches[part[group_of(record)]].append(_sample(record, gain, place))
        for batch in batches:
            self._weigh(batch)
        return batches

    def _weigh(self, batch: list[Sample]) -> None:
        """Gives each token its weight in the loss of the update; one that was forced has none."""
        o, limit = self.settings.objective, self.settings.row_tokens
        local = o.aggregate == "local"
        pieces = list(packs(batch, limit, self._packing)) if local else [batch]
        for piece in pieces:
            lengths = [sum(not math.isnan(p) for p in sample.old_logp) for sample in piece]
            each = weights(
                torch.tensor(lengths, dtype=torch.float32),
                aggregate="token" if local else o.aggregate,
                completions=len(piece),
                tokens=sum(lengths),
                constant=self.settings.sampling.max_tokens,
            )
            for sample, weight in zip(piece, (each / len(pieces)).tolist(), strict=True):
                sample.weight = [0.0 if math.isnan(p) else weight for p in sample.old_logp]

    def add_old_logprobs(self, batches: Sequence[list[Sample]]) -> None:
        """The log-probabilities of the policy before the step's first update, where they will be wanted.

        Without a correction those of the sampler count; in the first update the policy's own are at hand.
        """
        o = self.settings.objective
        if o.correction != "none" and len(batches) * o.inner_epochs > 1:
            for batch in batches:
                self._add_logprobs("own_logp", batch)

    def add_reference_logprobs(self, batch: list[Sample]) -> None:
        """The reference model's log-probabilities, where the loss has a KL term; once for all epochs."""
        if self.in_loss and not all(sample.ref_logp for sample in batch):
            self._add_reference_logprobs(batch)

    def renew_reference(self, run: Run) -> None:
        """Makes the policy the reference where the step is one of every `ref_reset`."""
        every = self.settings.objective.ref_reset
        if self.reference is not None and every and run.step % every == 0:
            self.policy.copy_to(self.reference)
            run.save_reference(self.reference)

    @property
    def in_loss(self) -> bool:
        """Whether the loss has a KL term."""
        o = self.settings.objective
        return o.beta > 0 and o.kl_in == "loss"

    def rows(self, batch: Sequence[Sample]) -> Iterator[Row]:
        """This rank's rows of a batch, without what has nothing to teach."""
        return self._rows([sample for sample in batch if self.in_loss or sample.advantage])

    def loss(
        self, row: Row, logp: Tensor, entropy: Tensor, *, first: bool
    ) -> tuple[Tensor, dict[str, float]]:
        """A row's part of the update's loss, and sums over its tokens to measure by.

        Under the `first` update of a step the sampler's log-probabilities have to be the policy's. Raises
        R1Error where they are not.
        """
        assert row.old_logp is not None  # `_sample` takes none without
        o = self.settings.objective
        drawn = ~row.old_logp.isnan()
        sampler = torch.where(drawn, row.old_logp, logp.detach())  # the policy's own where one was forced
        old, factor = sampler, None
        if o.correction != "none":
            old = logp.detach() if row.own_logp is None else row.own_logp
            factor = importance(old, sampler, o, sequences=row.sequences, drawn=drawn)
        out = policy_loss(
            logp,
            old,
            row.advantage,
            o,
            sequences=row.sequences,
            drawn=drawn,
            ref_logp=row.ref_logp,
            importance=factor,
        )
        sums = {
            "tokens": float(drawn.sum()),
            "entropy": float(entropy[drawn].sum()),
            "kl": float(out.kl[drawn].sum()),
            "clipped_low": float(out.clipped_low[drawn].sum()),
            "clipped_high": float(out.clipped_high[drawn].sum()),
            "ratio": float(out.ratio[drawn].sum()),
        }
        if factor is not None:
            sums["importance"] = float(factor[drawn].sum())
        if self.settings.policy_logprobs:
            self._keep(row, logp.detach())
        if first:
            sums |= self._compared((logp.detach() - sampler).abs()[drawn])
        return (row.weight * out.loss).sum(), sums

    def _keep(self, row: Row, logp: Tensor) -> None:
        sizes = [len(sample.completion_ids) for sample in row.samples]
        for sample, values in zip(row.samples, logp.split(sizes), strict=True):
            self.kept[sample.place] = [round(value, DIGITS) for value in values.tolist()]

    def policy_logprobs(self, rollouts: Sequence[Record]) -> list[Record]:
        """The rollouts with `policy_logprobs [T]` of each one's last update; null where it had none."""
        kept = {place: values for part in self.world.gather(self.kept) for place, values in part.items()}
        return [record.adding(policy_logprobs=kept.get(place)) for place, record in enumerate(rollouts)]

    def _compared(self, gap: Tensor) -> dict[str, float]:
        """Sums over differences `[T]` of log-probabilities. Raises R1Error where they are large."""
        mean = float(gap.mean()) if len(gap) else 0.0
        if mean > self.logp_diff_limit:  # NaN is for the guard of the loss
            raise R1Error(
                f"the sampler's log-probabilities are off the policy's by {mean:.3g} on average "
                f"(limit {self.logp_diff_limit:g}): it did not sample from the weights that are trained"
                f"{self._two_ranges()}"
            )
        if self.settings.batch_invariant and (off := int((gap > 0).sum())):
            raise R1Error(
                f"--batch-invariant: the sampler's log-probabilities of {off} of {len(gap)} tokens are not "
                f"the policy's to the bit, by up to {float(gap.max()):.3g}: a part of the model's numbers "
                "depends on the batch; leave it out"
            )
        self.largest_gap = max(self.largest_gap, float(gap.max()) if len(gap) else 0.0)
        return {"gap": float(gap.sum()), "checked": float(len(gap))}

    def _two_ranges(self) -> str:
        """What may be the cause with a rope of two ranges, and what to do; empty with another."""
        border = self._packing.border
        if not border:
            return ""
        return (
            f", or turned its tokens by other factors: past {border} tokens this model has long ones, which "
            f"vLLM takes for all where its context is longer; add --vllm max_model_len={border} and choose "
            "--max-tokens so that prompt and completion stay within it"
        )

    def _add_reference_logprobs(self, batch: list[Sample]) -> None:
        own = self.reference is None  # then it is the model without its adapters
        with self.policy.reference() if own else self.policy.replaced(self.reference):
            self._add_logprobs("ref_logp", batch)

    @torch.no_grad()
    def _add_logprobs(self, name: str, batch: list[Sample]) -> None:
        """Fills in the present model's log-probabilities as `name` of each sample."""
        mine: list[list[list[float]]] = []  # of each row of this rank, and each sample in it
        for row in self._rows(batch):
            logp, _ = self.policy.logprobs(row, self.settings.sampling.temperature)
            sizes = [len(sample.completion_ids) for sample in row.samples]
            if not row.idle:
                mine.append([part.tolist() for part in logp.split(sizes)])
        parts = self.world.gather(mine)
        every = (parts[i % len(parts)][i // len(parts)] for i in range(sum(map(len, parts))))
        for sample, values in zip(batch, (v for row in every for v in row), strict=True):
            setattr(sample, name, values)

    def _rows(self, batch: Sequence[Sample]) -> Iterator[Row]:
        """This rank's rows of a batch."""
        return rows(
            batch,
            self.settings.row_tokens,
            self.policy.device,
            packing=self._packing,
            rank=self.world.rank,
            ranks=self.world.size,
        )

    @property
    def _packing(self) -> Packing:
        """What the policy and the reference, which may be another kind of model, can both compute."""
        other = [] if self.reference is None else [self.reference]
        return packing([self.policy.unwrapped, *other], drawn=True)


def _sample(record: Record, gain: float, place: int = 0) -> Sample:
    prompt_ids = need(record, "prompt_ids", list, REMEDY)
    completion_ids = need(record, "completion_ids", list, REMEDY)
    logprobs = need(record, "logprobs", list, REMEDY)
    if not prompt_ids or not len(completion_ids) == len(logprobs) > 0:
        raise bad_record(
            record,
            f"{len(prompt_ids)} prompt_ids, {len(completion_ids)} completion_ids, {len(logprobs)} logprobs",
            REMEDY,
        )
    return Sample(
        prompt_ids,
        completion_ids,
        [0.0] * len(completion_ids),
        gain,
        [math.nan if p is None else p for p in logprobs],
        group=group_of(record),
        place=place,
    )
