"""GRPO's update on real rollouts: its gradient against a second writing of the whole loss, and its guards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import reference
import torch
from conftest import mostly_full
from models import fresh

from stages import generate
from stages.inference.encoding import load_tokenizer
from stages.inference.transformers.execution import execution_of
from stages.inference.transformers.ragged import ATTENTION
from stages.records import jsonl
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error
from stages.settings.groups import Engine, Lora, Objective, Optimizer, Sampling
from stages.settings.grpo import Settings
from stages.training.grpo.learner import Learner
from stages.training.grpo.metrics import of_rollouts
from stages.training.grpo.sampler import problem_order
from stages.training.grpo.step import learn
from stages.training.loop.job import Job
from stages.training.loop.run import Run
from stages.training.policy import Policy

CPU = Engine(device="cpu", threads=1)
SAMPLING = Sampling(max_tokens=16, temperature=0.9)
G = 4


@pytest.fixture(scope="module")
def rollouts(tiny: Path) -> list[Record]:
    """Five groups of four, of which one is flat, one has a reward nobody could give; some tokens are
    forced."""
    problems = [Record(id=f"p{i}", prompt="1+2" + "x" * i + "=") for i in range(5)]
    made = list(
        generate.run(
            problems,
            generate.Settings(
                model=str(tiny), samples=G, template="none", tokens=True, sampling=SAMPLING, engine=CPU
            ),
        )
    )
    rewards: list[float | None] = [
        1,
        0,
        0,
        0.5,
        1,
        1,
        1,
        1,
        None,
        1,
        0,
        2,
        0,
        0,
        1,
        1,
        0.1,
        0.2,
        0.3,
        0,
    ]
    scored = [
        r.adding(reward=reward, rewards={"given": reward}) for r, reward in zip(made, rewards, strict=True)
    ]
    for k, record in enumerate(scored):
        record["finish"] = ("stop", "length")[k % 3 == 1]
    scored[2]["logprobs"] = [None, *scored[2]["logprobs"][1:]]
    return scored


def nudged(model: Path, path: Path, by: float) -> Path:
    """The same model, each weight moved a little: one that the rollouts did not come from."""
    from safetensors.torch import load_file, save_file

    fresh(path)
    weights = load_file(model / "model.safetensors")
    generator = torch.Generator().manual_seed(11)
    moved = {n: w + by * torch.randn(w.shape, generator=generator) for n, w in weights.items()}
    save_file(moved, path / "model.safetensors", metadata={"format": "pt"})
    return path


def learner(model: Path, objective: Objective, *, row_tokens: int = 4096, gap: float = math.inf) -> Learner:
    settings = Settings(
        model=str(model), out=Path("unused"), sampling=SAMPLING, objective=objective, row_tokens=row_tokens
    )
    return Learner(Policy(str(model), CPU, Lora()), settings, logp_diff_limit=gap)


def run_of(made: Learner, out: Path, clip: float = 0.0) -> Run:
    optimizer = Optimizer(lr=1e-3, schedule="constant", warmup=0.0, clip=clip)
    job = Job("grpo", replace(made.settings, out=out, optimizer=optimizer))
    return Run(job, made.policy, load_tokenizer(made.policy.name), updates=1)


def gradient(policy: Policy) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}


def whole_loss(
    policy: Policy, anchor: Policy | None, rollouts: Sequence[Record], o: Objective
) -> torch.Tensor:
    """The loss from the papers' formulas: each completion alone, through the model's own attention."""
    groups = [int(r["group"][1:]) for r in rollouts]
    rewards = [math.nan if r["reward"] is None else float(r["reward"]) for r in rollouts]
    if anchor is not None and o.kl_in == "reward":
        rewards = [
            reward - o.beta * cost(anchor, record, o)
            for reward, record in zip(rewards, rollouts, strict=True)
        ]
    gains = reference.advantages(rewards, groups, o.scale, o.baseline)
    taught = [
        i for i, r in enumerate(rollouts)
        if r["reward"] is not None and not (o.mask_truncated and r["finish"] == "length")
    ]  # fmt: skip
    lengths = [sum(p is not None for p in rollouts[i]["logprobs"]) for i in taught]
    weights = reference.token_weights(lengths, o.aggregate, SAMPLING.max_tokens)
    total = torch.zeros((), dtype=torch.float64)
    for i, weight in zip(taught, weights, strict=True):
        record = rollouts[i]
        drawn = torch.tensor([p is not None for p in record["logprobs"]])
        old = torch.tensor([0.0 if p is None else p for p in record["logprobs"]], dtype=torch.float64)
        logp = alone(policy, record)
        before, factor = old, torch.ones_like(old)
        if o.correction != "none":
            before = logp.detach()
            apart = (before - old) * drawn
            factor = (apart.sum().expand_as(apart) if o.correction_of == "sequence" else apart).exp()
            inside = (factor <= o.correction_cap) & (factor >= 1 / o.correction_cap)
            factor = factor.clip(max=o.correction_cap) if o.correction == "truncate" else factor * inside
        ratio = (logp - before).exp()
        if o.ratio == "sequence":
            ratio = ((logp - before)[drawn].sum() / drawn.sum()).exp().expand_as(logp)
        clipped = ratio.clip(1 - o.clip_low, 1 + o.clip_high)
        loss = -torch.minimum(ratio * gains[i], clipped * gains[i])
        if o.dual_clip and gains[i] < 0:
            loss = loss.clip(max=-o.dual_clip * gains[i])
        if o.surrogate == "cispo":
            loss = -clipped.detach() * gains[i] * logp
        loss = loss * factor
        if anchor is not None and o.kl_in == "loss":
            r = (alone(anchor, record).detach() - logp).exp()
            k = {"k1": -r.log(), "k2": r.log() ** 2 / 2, "k3": r - 1 - r.log()}[o.kl]
            loss = loss + o.beta * k
        total = total + weight * loss[drawn].sum()
    return total


def cost(anchor: Policy, record: Record, o: Objective) -> float:
    """The KL of a completion from the reference, summed over its drawn tokens, by the sampler's own
    figures."""
    with torch.no_grad():
        there = alone(anchor, record).tolist()
    pairs = zip(record["logprobs"], there, strict=True)
    return math.fsum(reference.divergence(p, q, o.kl) for p, q in pairs if p is not None)


def alone(policy: Policy, record: Record) -> torch.Tensor:
    policy.model.set_attn_implementation("sdpa")
    ids = torch.tensor([record["prompt_ids"] + record["completion_ids"]])
    logits = policy.model(ids).logits[0, len(record["prompt_ids"]) - 1 : -1] / SAMPLING.temperature
    policy.model.set_attn_implementation(ATTENTION)
    wanted = torch.tensor(record["completion_ids"])
    return (logits - logits.logsumexp(-1, keepdim=True)).gather(-1, wanted[:, None])[:, 0]


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of two gradients over the largest entry."""
    assert one.keys() == other.keys()
    largest = max(g.abs().max().item() for g in other.values())
    assert largest > 0
    return max((one[n] - other[n]).abs().max().item() for n in one) / largest


OBJECTIVES = {
    "paper": Objective(),
    "paper with KL": Objective(beta=0.3),
    "k1": Objective(beta=0.3, kl="k1"),
    "k2": Objective(beta=0.3, kl="k2", scale="batch"),
    "dr-grpo": Objective(scale="none", aggregate="constant"),
    "dapo": Objective(aggregate="token", clip_high=0.28, mask_truncated=True),
    "rows": Objective(aggregate="local"),
    "leave one out": Objective(scale="none", baseline="others"),
    "gspo": Objective(ratio="sequence", clip_low=0.01, clip_high=0.01),
    "dual clip": Objective(clip_low=0.01, clip_high=0.01, dual_clip=1.02),
    "cispo": Objective(surrogate="cispo", aggregate="token", clip_low=0.01, clip_high=0.01),
    "truncated by token": Objective(correction="truncate", correction_cap=1.01),
    "masked by sequence": Objective(correction="mask", correction_of="sequence", correction_cap=4.0),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_gradient_is_that_of_the_papers_loss(
    name: str, rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    """In float64 to 1e-6, off-policy, so that ratios differ from 1 and some are clipped."""
    o = OBJECTIVES[name]
    made = learner(nudged(tiny, tmp_path / "moved", 0.01), o)
    made.policy.model.double()
    anchor = Policy(str(tiny), CPU, Lora()) if o.beta else None
    if anchor is not None:
        anchor.model.double()
        made.reference = anchor.model
    loss = whole_loss(made.policy, anchor, rollouts, o)
    made.policy.model.zero_grad()
    loss.backward()
    wanted = gradient(made.policy)
    metrics, traced = learn(run_of(made, tmp_path / "out"), made, rollouts)
    assert distance(gradient(made.policy), wanted) < 1e-6
    if o.beta:  # without, completions without advantage are left out: they add 0
        assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-6)
        assert metrics["kl"] > 0 or o.kl == "k1"
    assert metrics["loss"] == pytest.approx(loss.item(), abs=1e-6)
    clipped = metrics["clip_ratio/low_mean"] + metrics["clip_ratio/high_mean"]
    assert 0 < clipped < 0.9 or (clipped == 0 and o.correction != "none")
    assert [r["advantage"] for r in traced[4:8]] == [0, 0, 0, 0]
    assert traced[8]["advantage"] == 0
    assert metrics["completions/unjudged"] == 1
    assert metrics["frac_reward_zero_std"] == 0.2


def test_kl_in_the_reward_is_the_papers_too(rollouts: list[Record], tiny: Path, tmp_path: Path) -> None:
    """The completions pay for their distance from the reference before they are compared."""
    o = Objective(beta=0.5, kl="k1", kl_in="reward")
    made, anchor = (
        learner(tiny, o),
        Policy(str(nudged(tiny, tmp_path / "moved", 0.02)), CPU, Lora()),
    )
    made.policy.model.double()
    made.reference = anchor.model.double()
    loss = whole_loss(made.policy, anchor, rollouts, o)
    made.policy.model.zero_grad()
    loss.backward()
    wanted = gradient(made.policy)
    metrics, traced = learn(run_of(made, tmp_path / "out"), made, rollouts)
    assert distance(gradient(made.policy), wanted) < 1e-6
    assert any(r["advantage"] for r in traced[4:8]), "equal rewards, but not equally far away"
    assert metrics["reward"] == pytest.approx(11.1 / 19)


@pytest.mark.parametrize("name", ["truncated by token", "masked by sequence"])
def test_over_several_updates_the_correction_stays_that_of_the_first_weights(
    name: str, rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    o = replace(OBJECTIVES[name], minibatches=2, inner_epochs=2)
    made = learner(nudged(tiny, tmp_path / "moved", 0.01), o)
    with torch.no_grad():
        before = {r["id"]: alone(made.policy, r).tolist() for r in rollouts}
    run, held = run_of(made, tmp_path / "out"), []
    update = run.update

    def watching(batch: Any, *rest: Any, **options: Any) -> Any:
        own = list(batch)
        held.extend(sample for row in own for sample in row.samples)
        return update(own, *rest, **options)

    run.update = watching
    learn(run, made, rollouts)
    assert run.updates == 4
    by_ids = {tuple(r["completion_ids"]): before[r["id"]] for r in rollouts}
    for sample in held:
        assert sample.own_logp == pytest.approx(by_ids[tuple(sample.completion_ids)], abs=1e-5)


@pytest.mark.parametrize(
    "name",
    mostly_full(
        [name for name in OBJECTIVES if name != "rows"], "paper with KL", "dapo", "truncated by token"
    ),
)
def test_the_gradient_does_not_depend_on_the_rows(
    name: str, rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    """In float32 to 1e-5: one sample a row, about two, four, eight, and all in one."""
    found = []
    for row_tokens in (1, 40, 75, 140, 4096):
        made = learner(tiny, OBJECTIVES[name], row_tokens=row_tokens)
        made.reference = Policy(str(tiny), CPU, Lora()).model
        learn(run_of(made, tmp_path / f"out{row_tokens}"), made, rollouts)
        found.append(gradient(made.policy))
    for split in found[:-1]:
        assert distance(split, found[-1]) < 1e-5


def test_on_policy_ratio_is_one_and_sampler_and_trainer_agree(
    rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    made = learner(tiny, Objective(), gap=1e-4)
    metrics, _ = learn(run_of(made, tmp_path / "out"), made, rollouts)
    assert metrics["sampling/logp_gap_mean"] < 1e-5
    assert metrics["ratio"] == pytest.approx(1, abs=1e-5)
    assert metrics["clip_ratio/low_mean"] == metrics["clip_ratio/high_mean"] == 0
    # reward 1 0 0 .5 | 1 1 1 1 | 1 0 2 | 0 0 1 1 | .1 .2 .3 0: 9.1 over 19
    assert metrics["reward"] == pytest.approx((1.5 + 4 + 3 + 2 + 0.6) / 19)
    spreads = [reference.deviation(r) for r in ([1, 0, 0, 0.5], [1, 0, 2], [0, 0, 1, 1], [0.1, 0.2, 0.3, 0])]
    assert metrics["reward_std"] == pytest.approx(sum(spreads) / 5)


def test_updates_are_minibatches_times_epochs_and_share_the_problems_evenly(
    rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    made = learner(tiny, Objective(minibatches=4, inner_epochs=2))
    run = run_of(made, tmp_path / "out")
    seen: list[list[str]] = []
    update = run.update

    def watching(batch: Any, *rest: Any, **options: Any) -> Any:
        held = list(batch)
        seen.append(sorted({s.group for row in held for s in row.samples}))
        return update(held, *rest, **options)

    run.update = watching
    metrics, _ = learn(run, made, rollouts)
    assert run.updates == 8
    # p1 is flat and adds nothing; five groups in four updates: p0 with p1, then one each.
    assert seen == [["p0"], ["p2"], ["p3"], ["p4"]] * 2
    assert metrics["ratio"] != pytest.approx(1, abs=1e-6), "later updates are off-policy"


def test_a_step_without_a_lesson_changes_nothing_and_claims_nothing(
    rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    """All rewards null, with every way to weigh tokens: no update of the weights, figures null and not 0."""
    for aggregate in ("sequence", "token", "constant"):
        made = learner(tiny, Objective(aggregate=aggregate))
        before = {n: p.detach().clone() for n, p in made.policy.parameters()}
        unjudged = [r.adding(reward=None, rewards={"given": None}) for r in rollouts]
        metrics, _ = learn(run_of(made, tmp_path / aggregate), made, unjudged)
        assert all(torch.equal(before[n], p) for n, p in made.policy.parameters())
        assert metrics["completions/unjudged"] == len(rollouts)
        for name in ("reward", "reward_std", "entropy", "kl", "ratio", "sampling/logp_gap_mean"):
            assert metrics[name] is None, name


def test_truncated_completions_teach_nothing_where_masked(
    rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    cut = [r.adding(finish="length") for r in rollouts]
    made = learner(tiny, Objective(mask_truncated=True, aggregate="constant"))
    before = {n: p.detach().clone() for n, p in made.policy.parameters()}
    learn(run_of(made, tmp_path / "out"), made, cut)
    assert all(torch.equal(before[n], p) for n, p in made.policy.parameters())


def test_rollouts_of_other_weights_stop_the_step(rollouts: list[Record], tiny: Path, tmp_path: Path) -> None:
    made = learner(nudged(tiny, tmp_path / "moved", 0.02), Objective(), gap=0.05)
    before = {n: p.detach().clone() for n, p in made.policy.parameters()}
    with pytest.raises(R1Error, match="did not sample from the weights that are trained"):
        learn(run_of(made, tmp_path / "out"), made, rollouts)
    assert all(torch.equal(before[n], p) for n, p in made.policy.parameters())


def test_with_two_ranges_of_positions_the_border_and_the_remedy_are_named(
    rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    made = learner(nudged(tiny, tmp_path / "moved", 0.02), Objective(), gap=0.05)
    plain = made.policy.unwrapped
    plain.r1_execution = replace(execution_of(plain), border=13)
    with pytest.raises(R1Error, match=r"past 13 tokens .*max_model_len=13 .*--max-tokens"):
        learn(run_of(made, tmp_path / "out"), made, rollouts)


def test_a_loss_that_is_not_finite_stops_before_any_weight_changes(
    rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    made = learner(tiny, Objective())
    with torch.no_grad():
        made.policy.model.model.layers[1].mlp.down_proj.weight[0, 0] = torch.nan
    before = {n: p.detach().clone() for n, p in made.policy.parameters()}
    run = run_of(made, tmp_path / "out")
    with pytest.raises(R1Error, match="the loss is nan"):
        learn(run, made, rollouts)
    assert all(torch.equal(before[n], p) or before[n].isnan().any() for n, p in made.policy.parameters())
    with jsonl.open_input(run.work / "offending.jsonl") as stream:
        offending = list(jsonl.read_lines(stream, "offending"))
    assert offending[0]["prompt_ids"] == rollouts[0]["prompt_ids"]


@pytest.mark.parametrize(
    "broken", [{"logprobs": [-1.0]}, {"completion_ids": [], "logprobs": []}, {"prompt_ids": []}]
)
def test_rollouts_whose_tokens_do_not_fit_are_refused(
    broken: dict[str, Any], rollouts: list[Record], tiny: Path, tmp_path: Path
) -> None:
    made = learner(tiny, Objective())
    with pytest.raises(BadInput, match="prompt_ids"):
        learn(run_of(made, tmp_path / "out"), made, [rollouts[0].adding(**broken), *rollouts[1:]])


def test_each_epoch_visits_every_problem_once() -> None:
    order = problem_order(7, seed=3)
    epochs = [[next(order) for _ in range(7)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    again = problem_order(7, seed=3)
    assert [next(again) for _ in range(21)] == [i for epoch in epochs for i in epoch]
    given = problem_order(3, 3, "given")
    assert [next(given) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_a_gradient_is_clipped_to_its_norm(rollouts: list[Record], tiny: Path, tmp_path: Path) -> None:
    made = learner(tiny, replace(Objective(), scale="none"))
    metrics, _ = learn(run_of(made, tmp_path / "out", clip=1e-3), made, rollouts)
    norm = math.sqrt(sum(g.square().sum().item() for g in gradient(made.policy).values()))
    assert metrics["grad_norm"] > 1e-3
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_the_parts_of_a_reward_are_logged_where_any_completion_has_them() -> None:
    rewards = [{"mine": 1.0, "mine/short": 0.5}, {"mine": None}, {"mine": 0.0, "mine/short": None}]
    made = [Record(completion="7", finish="stop", completion_ids=[1], rewards=each) for each in rewards]
    figures = of_rollouts(made, torch.tensor([1.0, math.nan, 0.0]), torch.tensor([0, 0, 0]))
    assert (figures["rewards/mine/mean"], figures["rewards/mine/short/mean"]) == (0.5, 0.5)


def test_the_policys_log_probabilities_are_kept_of_what_was_learned(
    tiny: Path, tmp_path: Path, rollouts: list[Record]
) -> None:
    made = learner(tiny, Objective(minibatches=2))
    made.settings = replace(made.settings, policy_logprobs=True)
    _, traced = learn(run_of(made, tmp_path / "out"), made, rollouts)
    kept = [record["policy_logprobs"] for record in traced]
    assert [values is not None for values in kept] == [
        record["reward"] is not None and record["advantage"] != 0 for record in traced
    ]
    first, second = (
        [
            abs(own - drawn)
            for record, values in list(zip(traced, kept, strict=True))[part]
            if values
            for own, drawn in zip(values, record["logprobs"], strict=True)
            if drawn is not None
        ]
        for part in (slice(8), slice(8, None))
    )
    assert max(first) < 1e-4, "they were drawn from these weights"
    assert max(second) > 1e-3, "by the second update the weights are others"
    made.settings = replace(made.settings, policy_logprobs=False)
    _, again = learn(run_of(made, tmp_path / "again"), made, traced)
    assert not any("policy_logprobs" in record for record in again), "those were another update's"
