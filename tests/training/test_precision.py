"""Every stage that computes, on every backend, device and type: it works, or ends with a reason before it has
cost anything.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch

from r1cli.main import BUILT_IN
from stages.records.record import Record
from stages.runtime.errors import R1Error
from stages.settings.groups import Endpoint, Engine, Sampling

PROBLEMS = [Record(id=str(k), prompt=f"{k}+1=", answer=str(k + 1)) for k in range(2)]
LESSONS = [problem.adding(completion=str(problem["answer"])) for problem in PROBLEMS]
PAIRS = [Record(prompt="1+1=", chosen="2", rejected="3")]
SHORT = Sampling(max_tokens=4)
STEP: dict[str, Any] = {
    "template": "none", "steps": 1, "problems": 2, "samples": 2, "workers": 1, "sampling": SHORT
}  # fmt: skip
# What each stage is given besides model, out, engine and endpoint; a stage without a line fails the test.
GIVEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "ask": ("1+1=", {"template": "none", "sampling": SHORT}),
    "generate": (PROBLEMS, {"template": "none", "sampling": SHORT}),
    "eval": ((), {"template": "none", "sampling": SHORT, "benchmark": ("sums",), "limit": 1}),
    "sft": (LESSONS, {"template": "none", "epochs": 1}),
    "reward_model": (PAIRS, {}),
    "grpo": (PROBLEMS, STEP),
    "distill": (PROBLEMS, {**STEP, "on_policy": True}),
}
LEARNS = ("sft", "reward_model", "grpo", "distill")
DTYPES = ("auto", "float32", "bfloat16", "float16")
BACKENDS = ("transformers", "echo", "openai")


def stages_with_an_engine() -> list[str]:
    """Found by their settings, so that a new one is not forgotten."""
    found = []
    for path in sorted(BUILT_IN.glob("[!_]*.py")):
        if "Settings" in path.read_text("utf-8"):
            settings = getattr(importlib.import_module(f"stages.{path.stem}"), "Settings", None)
            if is_dataclass(settings) and "engine" in {field.name for field in fields(settings)}:
                found.append(path.stem)
    return found


def made(stage: str, out: Path, model: Path, reward: str, engine: Engine) -> str:
    """What the stage says where it ends with an error, and nothing where it works."""
    module = importlib.import_module(f"stages.{stage}")
    records, options = GIVEN[stage]
    known = get_type_hints(module.Settings)
    wished: dict[str, Any] = {
        **options, "out": out, "engine": engine, "teacher": str(model), "reward": (reward,),
        "model": (str(model),) if stage == "ask" else str(model),
    }  # fmt: skip
    if stage == "eval":
        del wished["reward"]
    if engine.backend == "openai":
        wished["endpoint"] = Endpoint(base_url="http://127.0.0.1:9/v1", patience=0.01)
    settings = module.Settings(**{name: value for name, value in wished.items() if name in known})
    try:
        product = module.run(records, settings=settings)
        if isinstance(product, Iterable):
            list(product)
    except R1Error as error:
        return f"{error.code}: {error}"
    return ""


def due(stage: str, backend: str, dtype: str) -> str:
    """How the answer must begin; nothing where it must work."""
    if stage in LEARNS:
        if dtype == "float16":
            return "2: --dtype float16: not for training"
        if backend == "echo" or (backend == "openai" and stage in ("sft", "reward_model")):
            return f"2: --backend {backend}"
        return "69: " if backend == "openai" else ""
    if backend != "transformers" and dtype != "auto":
        return f"2: --dtype {dtype}: --backend {backend} computes nothing here"
    return "69: " if backend == "openai" else ""


def test_every_stage_with_an_engine_is_here() -> None:
    assert sorted(GIVEN) == stages_with_an_engine()


@pytest.mark.full
@pytest.mark.parametrize("stage", sorted(GIVEN))
def test_it_works_or_ends_with_a_reason(
    stage: str, tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1_WEIGHTS_SECRET", "0" * 64)  # without it no server takes weights
    wrong = {}
    for backend in BACKENDS:
        for dtype in DTYPES:
            engine = Engine(backend=backend, device="cpu", dtype=dtype)
            said, wanted = (
                made(stage, tmp_path / f"{backend}-{dtype}", tiny, reward, engine),
                due(stage, backend, dtype),
            )
            if not said.startswith(wanted) or bool(said) != bool(wanted):
                wrong[backend, dtype] = said
    assert not wrong


@pytest.mark.full
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("stage", sorted(GIVEN))
def test_without_a_gpu_a_gpu_is_refused(stage: str, tiny: Path, tmp_path: Path, reward: str) -> None:
    for dtype in DTYPES[:3]:
        engine = Engine(backend="transformers", device="cuda", dtype=dtype)
        said = made(stage, tmp_path / dtype, tiny, reward, engine)
        assert said.startswith("69: --device cuda: torch sees no GPU"), said
