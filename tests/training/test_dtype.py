"""`--dtype` is obeyed or refused by every stage on every backend, and never passed over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from test_training import StopAt, Stopped

from stages import distill, eval, generate, grpo, sft
from stages.objectives import rates
from stages.records.record import Record
from stages.runtime.errors import UsageError
from stages.settings.groups import Endpoint, Engine, Sampling, Saving

PROBLEMS = [Record(id=str(k), prompt=f"{k}+1=", answer=str(k + 1)) for k in range(2)]
LESSONS = [problem.adding(completion=str(problem["answer"])) for problem in PROBLEMS]
CPU = Engine(device="cpu")
SHORT = Sampling(max_tokens=12)
Kind = Literal["auto", "float32", "bfloat16", "float16"]


def last(out: Path, *names: str) -> list[Any]:
    """Figures of the last step of a run."""
    line = (out / "metrics.jsonl").read_text().splitlines()[-1]
    return [json.loads(line)[name] for name in names]


def of_sft(tiny: Path, out: Path, reward: str, engine: Engine) -> Any:
    sft.run(LESSONS, sft.Settings(model=str(tiny), out=out, template="none", epochs=1, engine=engine))
    return last(out, "loss", "grad_norm")


def of_grpo(tiny: Path, out: Path, reward: str, engine: Engine) -> Any:
    grpo.run(
        PROBLEMS,
        grpo.Settings(
            model=str(tiny),
            out=out,
            template="none",
            reward=(reward,),
            steps=1,
            problems=2,
            samples=4,
            workers=1,
            sampling=SHORT,
            engine=engine,
        ),
    )
    (gap,) = last(out, "sampling/logp_gap_mean")
    assert gap < 0.01  # of a limit of 0.05: the sampler computes as the trainer does
    return last(out, "grad_norm", "entropy")


def of_distill(tiny: Path, out: Path, reward: str, engine: Engine) -> Any:
    distill.run(
        PROBLEMS,
        distill.Settings(
            model=str(tiny),
            teacher=str(tiny),
            on_policy=True,
            out=out,
            template="none",
            reward=(reward,),
            steps=1,
            problems=2,
            samples=2,
            workers=1,
            sampling=SHORT,
            engine=engine,
        ),
    )
    return last(out, "entropy")


def of_generate(tiny: Path, out: Path, reward: str, engine: Engine) -> Any:
    made = generate.run(
        PROBLEMS,
        generate.Settings(model=str(tiny), template="none", tokens=True, sampling=SHORT, engine=engine),
    )
    return [record["logprobs"] for record in made]


STAGES = [of_sft, of_grpo, of_distill, of_generate]


@pytest.mark.parametrize(
    "stage",
    [of_sft, *(pytest.param(each, marks=pytest.mark.full) for each in STAGES[1:])],
    ids=lambda each: each.__name__[3:],
)
def test_each_dtype_changes_the_numbers_or_ends_with_2(
    tiny: Path, tmp_path: Path, reward: str, stage: Callable[..., Any]
) -> None:
    def made(dtype: Kind) -> Any:
        try:
            return stage(tiny, tmp_path / dtype, reward, Engine(device="cpu", dtype=dtype))
        except UsageError as error:
            return str(error)

    found = {dtype: made(dtype) for dtype in ("auto", "float32", "bfloat16", "float16")}
    assert found["auto"] == found["float32"]
    different = [found["float32"], found["bfloat16"], found["float16"]]
    assert all(a != b for k, a in enumerate(different) for b in different[:k])
    refused = {dtype for dtype, each in found.items() if isinstance(each, str)}
    assert refused == (set() if stage is of_generate else {"float16"})
    assert all("--dtype float16" in found[dtype] for dtype in refused)


@pytest.mark.parametrize("backend", ["echo", "openai"])
def test_who_computes_nothing_refuses_a_dtype(backend: Any) -> None:
    engine = Engine(backend=backend, dtype="bfloat16")
    where = Endpoint(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(UsageError, match=f"--dtype bfloat16: --backend {backend} computes nothing"):
        list(
            generate.run(
                PROBLEMS, generate.Settings(model="m", template="none", engine=engine, endpoint=where)
            )
        )
    with pytest.raises(UsageError, match="--dtype bfloat16 needs a model"):
        eval.run(LESSONS, eval.Settings(reward=("accuracy",), engine=engine))


def test_a_sampler_of_echoes_is_refused_for_training(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--backend echo"):
        grpo.run(
            PROBLEMS,
            grpo.Settings(
                model=str(tiny),
                out=tmp_path / "out",
                template="none",
                steps=1,
                problems=1,
                sampling=SHORT,
                engine=Engine(backend="echo", device="cpu"),
            ),
        )


def test_what_auto_came_to_is_written_down_and_kept(tiny: Path, tmp_path: Path, reward: str) -> None:
    made = generate.run(PROBLEMS, generate.Settings(model=str(tiny), template="none", sampling=SHORT))
    assert {record["meta"]["generate"]["dtype"] for record in made} == {"float32"}
    settings = sft.Settings(model=str(tiny), out=tmp_path / "out", template="none", epochs=1, engine=CPU)
    whole = sft.run(LESSONS, settings)
    assert whole.manifest["computes"] == "float32"
    assert whole.manifest["options"]["engine"]["dtype"] == "auto"


def test_a_run_does_not_go_on_in_another_type(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a run of a GPU is resumed on a CPU."""
    out = tmp_path / "out"
    settings = sft.Settings(
        model=str(tiny), out=out, template="none", epochs=3, batch=1, engine=CPU, saving=Saving(save_every=1)
    )
    with pytest.raises(Stopped):
        sft.run(LESSONS, settings, report=StopAt(2))
    with monkeypatch.context() as patch:
        patch.setattr("stages.training.policy.computes_in_half", lambda *_: True)
        with pytest.raises(UsageError, match="was computed in float32, and --dtype auto is bfloat16"):
            sft.run(LESSONS, settings, resume=True)
    assert sft.run(LESSONS, settings, resume=True).manifest["computes"] == "float32"


def test_a_large_model_is_told_what_bfloat16_would_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only there, only on a processor with units for it, and only where no type was chosen."""
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 8))
    model.device = torch.device("cpu")  # type: ignore[assignment]  # as a transformers model has it
    monkeypatch.setattr(rates, "has_units", lambda: True)
    monkeypatch.setattr(rates, "WORTH", 0.0)

    def heard(dtype: Kind = "auto") -> list[str]:
        notes: list[str] = []
        rates.note_faster(model, Engine(dtype=dtype), notes.append)
        return notes

    assert heard() == []
    monkeypatch.setattr(rates, "SMALL", 1000)
    (note,) = heard()
    assert note.startswith("computes in float32")
    assert note.endswith("in bfloat16 (--dtype bfloat16)")
    assert heard("float32") == heard("bfloat16") == []
    monkeypatch.setattr(rates, "has_units", lambda: False)
    assert heard() == []
