"""GRPO on problems of several kinds, each with rewards of its own, some of them for the last steps alone."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import R1
from models import fresh
from test_training import (
    CPU,
    FAST,
    OFTEN,
    SHORT,
    Heard,
    StopAt,
    Stopped,
    assert_same_run,
    metrics,
    problems,
    reinforced,
)

from stages import distill
from stages.records import jsonl
from stages.records.record import Record, group_of
from stages.runtime.errors import BadInput, UsageError
from stages.settings.criteria import Selection


@pytest.fixture(scope="module")
def judge(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A reward model of random weights."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    out = tmp_path_factory.mktemp("judge") / "model"
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny, num_labels=1, pad_token_id=tokenizer.pad_token_id
    )
    torch.nn.init.normal_(model.score.weight)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return f"reward_model:model={out},squash=sigmoid"


def mixed(count: int) -> list[Record]:
    """Sums, talk without an answer, and both marked as such."""
    sums = [record.adding(kind="sum") for record in problems(count)]
    talk = [Record(id=f"t{i}", prompt=f"{i}, hi=", kind="chat") for i in range(count)]
    return [record for pair in zip(sums, talk, strict=True) for record in pair]


def rollouts(out: Path, step: int) -> list[dict[str, Any]]:
    name = f"step_{step:06d}.jsonl"
    with jsonl.open_input(out / "rollouts" / name) as stream:
        return list(jsonl.read_lines(stream, name))


def test_each_prompt_learns_by_its_own_rewards_and_no_other(
    tiny: Path, tmp_path: Path, reward: str, judge: str
) -> None:
    rewards = (f'{reward}*2 if kind == "sum"', f'{judge} as helpful if kind == "chat"', "repetition*0")
    out = tmp_path / "out"
    reinforced(tiny, out, rewards, mixed(4), steps=2, problems=4)
    made = [record for step in (1, 2) for record in rollouts(out, step)]
    kinds = [record["kind"] for record in made]
    assert {kinds.count("sum"), kinds.count("chat")} == {16}
    for record in made:
        own = "early" if record["kind"] == "sum" else "helpful"
        assert record["rewards"].keys() == record["reasons"].keys() == {own, "repetition"}
        assert record["reward"] == record["rewards"][own] * (2 if own == "early" else 1)
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in made:
        groups.setdefault(group_of(record), []).append(record)
    for group in groups.values():
        total = torch.tensor([record["reward"] for record in group], dtype=torch.float64)
        gains = torch.tensor([record["advantage"] for record in group], dtype=torch.float64)
        if total.std() > 1e-6:
            assert torch.allclose(gains, (total - total.mean()) / total.std(), atol=1e-2)
    for step, line in enumerate(metrics(out), 1):
        for name in ("early", "helpful"):
            values = [r["rewards"][name] for r in rollouts(out, step) if name in r["rewards"]]
            mean = sum(values) / len(values) if values else None
            assert line.get(f"rewards/{name}/mean") == pytest.approx(mean, rel=1e-5)


def schedule(reward: str, judge: str) -> tuple[str, ...]:
    """Sums in all steps; talk, and what judges it, from the third of five steps on; a form until then."""
    rewards = (
        f'{reward} if kind == "sum"',
        f'{judge} if kind == "chat" and step >= 3',
        "repetition*0.5 as form if kind == 'sum' and step < 3",
    )
    return rewards


def test_a_reward_holds_from_a_step_on_and_with_it_come_its_prompts(
    tiny: Path, tmp_path: Path, reward: str, judge: str
) -> None:
    out = tmp_path / "out"
    reinforced(tiny, out, schedule(reward, judge), mixed(8), steps=5)
    seen = {
        step: {(record["kind"], *sorted(record["rewards"])) for record in rollouts(out, step)}
        for step in range(1, 6)
    }
    assert seen[1] == seen[2] == {("sum", "early", "form")}
    assert seen[3] | seen[4] | seen[5] == {("sum", "early"), ("chat", "reward_model")}
    lines = metrics(out)
    assert ["rewards/form/mean" in line for line in lines] == [True, True, False, False, False]


@pytest.mark.parametrize("more", [{}, {"one_step_off": True}], ids=["on policy", "one step off"])
def test_a_run_that_is_killed_within_its_schedule_resumes_to_the_same_bits(
    more: dict[str, Any], tiny: Path, tmp_path: Path, reward: str, judge: str
) -> None:
    rewards = schedule(reward, judge)
    options = {"steps": 5, "saving": OFTEN, **more}
    reinforced(tiny, tmp_path / "whole", rewards, mixed(8), **options)
    stopped = tmp_path / "stopped"
    for step in (2, 2):  # before what changes in the third step has come, and after
        with pytest.raises(Stopped):
            reinforced(tiny, stopped, rewards, mixed(8), **options, report=StopAt(step), resume=True)
    other = (rewards[0], rewards[1].replace("step >= 3", "step >= 4"), rewards[2])
    with pytest.raises(UsageError, match="other options"):
        reinforced(tiny, stopped, other, mixed(8), **options, resume=True)
    reinforced(tiny, stopped, rewards, mixed(8), **options, resume=True)
    assert_same_run(tmp_path / "whole", stopped)


def test_what_no_reward_is_for_is_said_before_a_model_is_loaded(
    tiny: Path, tmp_path: Path, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stages.training.grpo.train", None)  # to import it is an error
    for rewards, error, why in (
        ((f"{reward} if kind == 'sum'",), BadInput, "record t0: no reward holds for it"),
        ((f"{reward} if step < 3",), UsageError, "at step 3 no reward holds for any problem"),
        ((f"{reward} if kidn == 'sum'", "format"), UsageError, "no record has a field 'kidn'; did you mean"),
    ):
        with pytest.raises(error, match=why):
            reinforced(tiny, tmp_path / "out", rewards, mixed(2))
    heard = Heard()
    rewards = ("format", f"{reward} if kind == 'maths'")
    with pytest.raises(ImportError):
        reinforced(tiny, tmp_path / "out", rewards, mixed(2), report=heard)
    assert [note for note in heard.notes if note.endswith("if kind == 'maths': holds for no problem")]


def test_distill_keeps_traces_by_the_reward_that_each_has(tiny: Path, tmp_path: Path, reward: str) -> None:
    student = fresh(tmp_path / "student", seed=1)
    rewards = (f'{reward} if kind == "sum"', 'repetition as form if kind == "chat"')
    settings = distill.Settings(
        model=str(student),
        teacher=str(tiny),
        out=tmp_path / "out",
        reward=rewards,
        template="none",
        samples=4,
        workers=1,
        sampling=SHORT,
        selection=Selection(keep="correct", reward_name=("early", "form"), threshold=-0.9),
        optimizer=FAST,
        engine=CPU,
    )
    distill.run(mixed(2), settings)
    with jsonl.open_input(tmp_path / "out" / "traces" / "kept.jsonl") as stream:
        kept = list(jsonl.read_lines(stream, "kept.jsonl"))
    assert {(record["kind"], *record["rewards"]) for record in kept} == {("sum", "early"), ("chat", "form")}
    wrong = replace(settings.selection, reward_name=("early", "from"))
    with pytest.raises(UsageError, match="--reward-name from: the rewards are early, form"):
        distill.run(mixed(2), replace(settings, out=tmp_path / "other", selection=wrong))


@pytest.mark.full
def test_two_processes_draw_and_judge_as_one_does(
    tiny: Path, tmp_path: Path, reward: str, judge: str, r1: R1
) -> None:
    (tmp_path / "mixed.jsonl").write_bytes(b"".join(map(jsonl.encode, mixed(4))))
    rewards = [word for spec in schedule(reward, judge) for word in ("--reward", spec)]
    sizes = ["--steps", 4, "--problems", 4, "-n", 2, "--max-tokens", 8]
    line = ["grpo", "-m", tiny, "-t", "none", *sizes, *rewards]
    seen = []
    for count in (1, 2):
        out = tmp_path / str(count)
        done = r1(*line, "-o", out, "--nproc", count, tmp_path / "mixed.jsonl")
        assert done.returncode == 0, done.stderr
        made = [record for step in range(1, 5) for record in rollouts(out, step)]
        seen.append([(record["id"], sorted(record["rewards"])) for record in made])
    assert seen[0] == seen[1]
