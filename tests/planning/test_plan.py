"""Plans: sizes of models as transformers has them, times by hand, and figures that others published."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages import plan
from stages.planning.machines import DECODED, GPUS, SCORED, WITHIN
from stages.planning.shape import shape
from stages.planning.steps import Cluster, Work, lengths, parts, sampling
from stages.runtime.errors import UsageError

BENCH = Path(__file__).resolve().parents[1] / "bench" / "scale.py"
SMALL = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3, "vocab_size": 200}
SMALL |= {"intermediate_size": 96}
SPARSE = {"moe_intermediate_size": 32, "num_experts_per_tok": 2}
LATENT = {
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 10,
}


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("Llama", {"num_key_value_heads": 2}),
        ("Llama", {"tie_word_embeddings": True}),
        ("Qwen3", {"num_key_value_heads": 2, "head_dim": 24}),
        ("Mixtral", {"num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2}),
        ("Qwen3Moe", {"num_key_value_heads": 2, "head_dim": 24, "num_experts": 8, **SPARSE}),
        ("DeepseekV3", {"n_routed_experts": 8, "n_shared_experts": 1, "first_k_dense_replace": 1,
                        "n_group": 1, "topk_group": 1, **SPARSE, **LATENT}),
    ],
)  # fmt: skip
def test_weights_are_those_of_the_model(name: str, sizes: dict[str, Any], tmp_path: Path) -> None:
    """But for norms inside of attention, a few thousandths here and less in large models."""
    torch = pytest.importorskip("torch")
    import transformers

    config = getattr(transformers, f"{name}Config")(**{**SMALL, **sizes})
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    found = shape(tmp_path)
    real = sum(p.numel() for p in model.parameters())
    assert abs(found.weights - real) <= 0.004 * real
    assert found.touched(1) == found.active
    assert found.touched(1e9) == found.shared + found.experts


def test_published_sizes_are_met() -> None:
    """The names say what the models' authors count."""
    models = runpy.run_path(str(BENCH))["MODELS"]
    for name, (total, active) in {"Qwen3-235B": (235e9, 22e9), "DeepSeek-V3": (671e9, 37e9)}.items():
        found = runpy.run_path(str(BENCH))["sized"](models[name])
        assert found.weights == pytest.approx(total, rel=0.002)
        assert found.active == pytest.approx(active, rel=0.03)


@pytest.mark.parametrize("mean", [40.0, 500.0, 900.0])
def test_lengths_have_the_mean_and_stay_below_the_longest(mean: float) -> None:
    found = lengths(Work(1, 0, mean, 1000, 0, True), 4000)
    assert sum(found) / len(found) == pytest.approx(mean, rel=0.01)
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < found[0] <= 1000


def test_one_completion_by_hand(tmp_path: Path) -> None:
    """One completion of (nearly) 256 tokens: the weights are read 256 times, and keys and values of the
    tokens before, 0 to 255.
    """
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    model = shape(tmp_path)
    assert model.weights == 2 * 200 * 64 + 64 + 3 * (4 * 64 * 64 + 3 * 64 * 96 + 2 * 64)
    assert model.cached == 3 * 2 * 64
    found, memory, held = sampling(model, Work(1, 0, 256 * 0.98, 256, 0, True), Cluster("h100", 1, 0, 1))
    made = int(lengths(Work(1, 0, 256 * 0.98, 256, 0, True), 1)[0]) + 1
    read = 2 * made * (model.weights - 200 * 64)  # the embedding is looked up
    read += 2 * model.cached * made * (made - 1) / 2
    assert found == pytest.approx(read / (GPUS["h100"].bandwidth * DECODED) + made * 3 * WITHIN, rel=1e-9)
    assert held == 1
    assert memory == pytest.approx(2 * model.weights + 2 * model.cached * 256 * 0.98)
    assert 2 * model.active / (GPUS["h100"].peak * SCORED) < found  # it is memory that bounds


def test_more_gpus_are_never_slower_and_waiting_costs_time() -> None:
    bench = runpy.run_path(str(BENCH))
    model = bench["sized"](bench["MODELS"]["Qwen3-32B"])
    work = Work(2048, 150, 3000, 4000, 2, True)
    steps = [parts(model, work, Cluster("h100", gpus, 0, 4)).step(False) for gpus in (16, 32, 64, 128)]
    assert steps == sorted(steps, reverse=True)
    few, many = (parts(model, work, Cluster("h100", 32, 0, each)) for each in (1, 4))
    assert few.at_once < many.at_once  # a GPU has hardly room beside the weights
    assert few.sampling > many.sampling


def test_plans_are_within_a_factor_of_what_was_published() -> None:
    """docs/scale.md shows each: all within 2.5, half of them within a quarter."""
    ratios = sorted(abs(row.ratio - 1) for row in runpy.run_path(str(BENCH))["rows"]())
    assert ratios[len(ratios) // 2] <= 0.25
    assert all(1 / 2.5 < row.ratio < 2.5 for row in runpy.run_path(str(BENCH))["rows"]())


def test_what_cannot_be_is_said(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({**SMALL, "hidden_size": 65536, "num_hidden_layers": 90})
    )
    large = r1("plan", "-m", tmp_path)
    assert large.returncode == 1
    assert b"raise --tensor-parallel" in large.stderr
    assert json.loads(large.stdout)["hours"] is None
    (tmp_path / "config.json").write_text(json.dumps({**SMALL, "num_hidden_layers": "3"}))
    broken = r1("plan", "-m", tmp_path)
    assert broken.returncode == 65
    assert b"num_hidden_layers is '3', no size" in broken.stderr
    assert r1("plan", "-m", tmp_path / "none").returncode == 69
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    for wrong in ({"mean_tokens": 9000}, {"tensor_parallel": 3}):
        with pytest.raises(UsageError, match="--"):
            plan.run(plan.Settings(model=tmp_path, **wrong))  # type: ignore[arg-type]
