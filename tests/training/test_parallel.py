"""What several processes agree on, tested in one: rows shared out, activations computed again, options that
contradict.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import starmap
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import R1
from models import KINDS, tiny
from test_training import CPU, metrics, reinforced, sums, taught, weights

from stages import grpo
from stages.checkpoints import shards
from stages.inference.transformers.ragged import ATTENTION, register
from stages.records.jsonl import encode
from stages.runtime.errors import DryRun, Unavailable, UsageError
from stages.settings.groups import Lora, Parallelism
from stages.training.parallel.configuration import configuration
from stages.training.parallel.world import World
from stages.training.policy import Policy
from stages.training.rows import Sample, rows


def lesson(length: int, weight: float = 1.0) -> Sample:
    return Sample([3, 4], [5] * length, [weight] * length)


@pytest.mark.parametrize(("count", "ranks"), [(1, 2), (4, 2), (5, 2), (5, 3), (0, 2)])
def test_every_row_is_one_ranks_and_all_ranks_have_as_many(count: int, ranks: int) -> None:
    samples = [lesson(4 + i) for i in range(count)]
    whole = [row.samples for row in rows(samples, 1)]
    shares = [list(rows(samples, 1, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    learned = [row.samples for turn in zip(*shares, strict=True) for row in turn if not row.idle]
    assert learned == whole


@pytest.mark.parametrize("kind", KINDS)
def test_activations_computed_again_give_the_same_gradients(kind: str) -> None:
    register()
    torch.manual_seed(0)
    ids = torch.randint(2, 67, (3, 30)).tolist()
    samples = [Sample(row[:10], row[10:], [0.1] * 20, group=str(i)) for i, row in enumerate(ids)]
    found = []
    for again in (False, True):
        policy = Policy.__new__(Policy)
        policy.model, policy.autocast = tiny(kind), False
        policy.model.set_attn_implementation(ATTENTION)
        if again:
            policy.recompute()
        (row,) = rows(samples, 1000)
        logp, _ = policy.logprobs(row)
        (logp * row.weight).sum().backward()
        found.append([p.grad for _, p in policy.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_sft_learns_the_same_where_activations_are_computed_again(tiny: Path, tmp_path: Path) -> None:
    taught(tiny, tmp_path / "a", epochs=1)
    taught(tiny, tmp_path / "b", epochs=1, parallelism=Parallelism(checkpointing=True))
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    one, other = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_large_checkpoints_come_in_shards_that_transformers_reads(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    policy = Policy(str(tiny), CPU, Lora())
    policy.save(tmp_path, _Nothing(), starmap(shards.piece, policy.weights()), shard=(1 << 16) / 1e9)
    assert len(list(tmp_path.glob("model-0000*-of-*.safetensors"))) > 1
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    wanted = policy.model.state_dict()
    assert loaded.keys() == wanted.keys()
    assert all(torch.equal(loaded[name], wanted[name]) for name in wanted)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in shards.read(tmp_path, "model"))


class _Nothing:
    def save_pretrained(self, directory: Path) -> None: ...


PLAIN: dict[str, Any] = {"clip": 1.0, "dtype": "auto", "device": "cpu", "half": False, "lora": False}


def test_the_users_configuration_is_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "ds.json"
    path.write_text(
        json.dumps(
            {
                "bf16": {"enabled": "auto"},
                "train_batch_size": "auto",
                "zero_optimization": {"stage": 3, "stage3_prefetch_bucket_size": 7,
                "reduce_bucket_size": "auto", "offload_param": None},
            }
        )
    )  # fmt: skip
    made = configuration(Parallelism(deepspeed=path, offload="all"), **PLAIN)
    assert made["zero_optimization"] == {
        "stage": 3,
        "stage3_prefetch_bucket_size": 7,
        "reduce_bucket_size": 50_000_000,
        "stage3_max_live_parameters": 50_000_000,
        "stage3_max_reuse_distance": 50_000_000,
        "offload_optimizer": {"device": "cpu", "pin_memory": False},
        "offload_param": {"device": "cpu", "pin_memory": False},
    }
    assert made["gradient_clipping"] == 1.0
    assert not made["bf16"]["enabled"]


def test_weights_are_in_bfloat16_where_a_gpu_shares_them_out() -> None:
    def half(stage: int, **options: Any) -> bool:
        made = configuration(Parallelism(zero=stage), **{**PLAIN, **options})
        return bool(made["bf16"]["enabled"])

    assert [half(stage, half=True) for stage in (1, 2, 3)] == [False, True, True]
    assert not half(2, half=True, lora=True)
    assert not half(3, half=True, dtype="float32")
    assert [half(3), half(3, dtype="bfloat16")] == [False, True]


@pytest.mark.parametrize(
    ("given", "options", "why"),
    [
        ({"optimizer": {"type": "Adam"}}, {"zero": 1}, "leave out optimizer; --lr"),
        ({"gradient_accumulation_steps": 4}, {"zero": 1}, "--row-tokens says it"),
        ({"fp16": {"enabled": True}}, {"zero": 1}, "fp16 is not offered"),
        ({"zero_optimization": {"stage": 2}}, {"zero": 3}, "says stage 2, and --zero says 3"),
        ({}, {}, "give --zero 1, 2 or 3"),
        ({}, {"zero": 2, "offload": "all"}, "give --zero 3"),
        ({"zero_optimization": {"offload_param": {"device": "nvme"}}}, {"zero": 3}, "nvme"),
        ({"zero_optimization": 3}, {}, "zero_optimization must be an object"),
        ([], {"zero": 1}, "not a JSON object"),
        (
            {"zero_optimization": {"offload_optimizer": "cpu"}},
            {"zero": 2},
            'ds.json: zero_optimization.offload_optimizer must be an object, not "cpu"$',
        ),
        ({"zero_optimization": {"offload_param": []}}, {"zero": 3}, r"offload_param must be an object"),
        (
            {"zero_optimization": {"offload_param": {"device": 0}}},
            {"zero": 3},
            "device must be a text, not 0",
        ),
        ({"zero_optimization": {"stage": True}}, {}, "stage must be a number, not true"),
        ({"zero_optimization": {"stage": [2]}}, {}, r"stage must be a number, not \[2\]"),
        ({"zero_optimization": {"reduce_bucket_size": "5e8"}}, {"zero": 2}, "must be a number"),
        ({"zero_optimization": {"overlap_comm": "yes"}}, {"zero": 2}, "must be true or false"),
        ({"bf16": {"enabled": "false"}}, {"zero": 2}, "bf16.enabled must be true or false"),
        ({"bf16": "auto", "fp16": True}, {"zero": 2}, "fp16 must be an object"),
        ({"steps_per_print": {}}, {"zero": 2}, "ds.json: steps_per_print must be a number"),
        ({"communication_data_type": 16}, {"zero": 2}, "communication_data_type must be a text"),
    ],
)
def test_a_configuration_that_contradicts_the_options_is_refused(
    given: Any, options: dict[str, Any], why: str, tmp_path: Path
) -> None:
    path = tmp_path / "ds.json"
    path.write_text(json.dumps(given))
    with pytest.raises(UsageError, match=why):
        configuration(Parallelism(deepspeed=path, **options), **PLAIN)


def test_options_that_cannot_be_kept_are_refused(tiny: Path, tmp_path: Path, reward: str) -> None:
    for parallelism, why in (
        (Parallelism(nproc=2), "started by the r1 command alone"),
        (Parallelism(offload="optimizer"), "give --zero 1, 2 or 3"),
    ):
        with pytest.raises(UsageError, match=why):
            taught(tiny, tmp_path / "out", parallelism=parallelism)
        with pytest.raises(UsageError, match=why):
            grpo.run([], grpo.Settings(model=str(tiny), out=tmp_path / "out", parallelism=parallelism))
    assert not list(tmp_path.iterdir())


def test_without_deepspeed_the_command_that_installs_it_is_said(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCAL_RANK", "DS_ACCELERATOR"):
        monkeypatch.setenv(name, "0" if name == "LOCAL_RANK" else "cpu")
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(Unavailable, match=r"install it with: pip install .*\[deepspeed\]"):
        taught(tiny, tmp_path / "out", parallelism=Parallelism(zero=1))


def test_a_dry_run_counts_what_each_process_holds(tiny: Path, tmp_path: Path) -> None:
    from stages.training.parallel.memory import needs

    policy = Policy(str(tiny), CPU, Lora())

    def plan(size: int, **options: Any) -> str:
        return needs(policy, World(size=size, parallelism=Parallelism(**options)), 100)

    assert "in each" not in plan(1)
    assert "in each of 2 processes" in plan(2)
    assert "under ZeRO 3 in each of 4 processes" in plan(4, zero=3)
    assert "beside it in the CPU's memory" not in plan(4, zero=3)
    with pytest.raises(DryRun, match="under ZeRO 2 in each of 1 processes"):
        taught(tiny, tmp_path / "out", dry_run=True, parallelism=Parallelism(zero=2))


@pytest.mark.parametrize(
    "options",
    [{}, {"lora": Lora(lora=4)}, {"rewards": True}],
    ids=["whole", "adapters", "rewards"],
)
def test_a_plan_is_that_of_the_loaded_model_and_takes_no_weights(options: Any, tiny: Path) -> None:
    from stages.training.parallel.memory import needs

    options = {"lora": Lora(), **options}
    plans = [Policy(str(tiny), CPU, planned=planned, **options) for planned in (True, False)]
    assert all(p.is_meta for p in plans[0].unwrapped.parameters() if not p.requires_grad or not plans[0].lora)
    assert [p.device for p in plans] == [torch.device("cpu")] * 2
    for zero in range(3):
        world = World(size=2, parallelism=Parallelism(zero=zero, checkpointing=zero == 2))
        assert needs(plans[0], world, 100) == needs(plans[1], world, 100)


def test_a_dry_run_of_any_stage_loads_nothing(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.inference.transformers import model

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("weights are loaded")

    monkeypatch.setattr(model, "load_weights", refuse)
    engine = replace(CPU, deterministic=True)
    for parallelism in (Parallelism(), Parallelism(checkpointing=True)):
        with pytest.raises(DryRun, match="3,456 of them trained"):
            taught(tiny, tmp_path / "a", dry_run=True, lora=Lora(lora=2), parallelism=parallelism)
        with pytest.raises(DryRun, match="55,"):
            reinforced(tiny, tmp_path / "b", reward, dry_run=True, engine=engine, parallelism=parallelism)
    assert not list(tmp_path.iterdir())


def test_a_usage_error_of_several_processes_is_said_before_they_start(
    r1: R1, tiny: Path, tmp_path: Path
) -> None:
    lines = b"".join(encode(record) for record in sums(2))
    for flags, why in (
        (["--nproc", "2", "--lr", "0"], "--lr 0.0: must be above 0"),
        (["--nproc", "0"], "--nproc 0: must be from 1 to 1024"),
        (["--nproc", "2", "/dev/null"], "/dev/null is no file that each process could read"),
    ):
        done = r1("sft", "-m", tiny, "-o", tmp_path / "out", *flags, input=lines)
        assert done.returncode == 2
        assert done.stderr.decode().startswith(f"r1 sft: {why}")
        assert done.stderr.count(b"r1 sft: ") == 1


@pytest.mark.full
def test_ranks_of_another_launcher_do_not_share_stdin(r1: R1, tiny: Path, tmp_path: Path) -> None:
    started = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    done = r1("sft", "-m", tiny, "-o", tmp_path / "out", env=started)
    assert done.returncode == 2
    assert b"stdin cannot be read by several processes; name FILEs" in done.stderr
    other = r1("sft", "-m", tiny, "-o", tmp_path / "out", env={**started, "RANK": "1"})
    assert (other.returncode, other.stdout) == (2, b"")
