"""What a run is measured on and how often, and which evaluation is the best, by hand."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from stages.evaluation.held_out import (
    HeldOut,
    Timetable,
    best,
    held_out,
    prompt_of,
    since_best,
    tell_shared,
    timetable,
)
from stages.evaluation.measure import judge
from stages.records.jsonl import write
from stages.records.record import Record
from stages.runtime.errors import BadInput, StreamError, UsageError
from stages.runtime.report import Silent
from stages.settings.evaluation import Evaluation


def source(name: str, problems: int, samples: int, lessons: int = 0) -> HeldOut:
    asked = [Record(id=str(i), prompt=str(i)) for i in range(problems)]
    return HeldOut(name, name, asked, [Record()] * lessons, ("accuracy",), samples)


def written(path: Path, *records: dict[str, Any]) -> str:
    write(path, records)
    return str(path)


@pytest.mark.parametrize(
    ("steps", "problems", "dear", "every", "evaluations", "share"),
    [
        (100, 10, 1.0, 34, 4, 0.04),  # 40 completions count as a step's 128; 4 % of 100 steps
        (100, 64, 1.0, 100, 2, 0.04),  # 256 are two steps
        (100, 1319, 1.0, 100, 2, 0.8244),  # the start and the end, whatever they take
        (1000, 10, 1.0, 50, 21, 0.021),  # 40 could be had; 20 after the first are enough
        (1000, 64, 4.0, 250, 5, 0.04),  # 256 that take as long as 1024, eight steps
        (7, 1, 1.0, 7, 2, 0.2857),
    ],
)
def test_by_default_evaluations_take_a_twenty_fifth_of_the_work(
    steps: int, problems: int, dear: float, every: int, evaluations: int, share: float
) -> None:
    table = timetable(Evaluation(), [source("a", problems, 4)], steps, 128, dear=dear)
    due = [step for step in range(steps + 1) if table.due(step)]
    assert (table.every, len(due)) == (every, evaluations)
    assert (due[0], due[-1]) == (0, steps)
    assert table.share == pytest.approx(share, rel=1e-3)


def test_a_loss_takes_a_third_of_learning_it() -> None:
    (lessons,) = [source("a", 0, 4, lessons=96)]
    table = timetable(Evaluation(), [lessons], 1000, 32)
    assert (table.every, table.share) == (50, pytest.approx(21 * 1 / 1000))


def test_a_run_says_in_its_first_line_when_it_is_measured_and_what_that_takes() -> None:
    sets = [source("a", 10, 4), source("b", 6, 4, lessons=30)]
    table = timetable(Evaluation(eval_every=40), sets, 100, 32)
    assert table.told("steps") == (
        "measured on a, b at the start and every 40 steps, 64 completions and 30 examples each, "
        "about 9.2 % of the work"
    ), "4 evaluations of 64 / 32 + 10 / 32 steps"
    assert Timetable([], 100, 1, 0.0).told("steps") == "nothing held out measures it (--eval)"
    assert not Timetable([], 100, 1, 0.0).due(0)


def test_a_file_of_completions_has_lessons_and_each_problem_once(tmp_path: Path) -> None:
    said = [
        {"id": f"p{i}#{k}", "prompt": f"{i}+1?", "answer": str(i + 1), "completion": "2", "finish": "stop"}
        for i in range(2)
        for k in range(2)
    ]
    (found,) = held_out(Evaluation(eval=(written(tmp_path / "said.jsonl", *said),)), learns=True)
    assert (found.name, [p["id"] for p in found.problems], len(found.lessons)) == ("said", ["p0", "p1"], 4)
    assert all("completion" not in p and "finish" not in p for p in found.problems)
    path = written(tmp_path / "bare.jsonl", *({**each, "answer": None} for each in said))
    (found,) = held_out(Evaluation(eval=(path,)), learns=True)
    assert (found.problems, len(found.lessons)) == ([], 4)
    with pytest.raises(BadInput, match=r"bare\.jsonl: nothing to measure by: no record has an answer"):
        held_out(Evaluation(eval=(path,)))
    (found,) = held_out(Evaluation(eval=(path,), eval_reward=("format",), eval_limit=3))
    assert ([p["id"] for p in found.problems], found.lessons) == (["p0", "p1"], [])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"eval": ("-",)}, UsageError, "standard input is what is learned"),
        ({"eval": ("hellaswag",)}, UsageError, "no source 'hellaswag'"),
        ({"eval": ("gone.jsonl",)}, StreamError, "no such file"),
        ({"eval": ("sums",), "eval_reward": ("acuracy",)}, UsageError, "did you mean accuracy"),
        ({"eval": ("sums",), "eval_reward": ("acuracy",)}, UsageError, "^--eval-reward acuracy: no reward"),
        ({"eval": ("sums",), "eval_reward": ("judge",)}, UsageError, "^--eval-reward judge: needs model="),
        ({"eval": ("sums", "sums")}, UsageError, "two sources are called sums"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        held_out(Evaluation(**options))


def test_held_out_problems_that_are_learned_are_counted() -> None:
    heard = Notes()
    learned = {prompt_of(Record(id="x", prompt="3")), prompt_of(Record(id="y", prompt="7"))}
    tell_shared([source("a", 5, 1), source("b", 2, 1), source("c", 0, 1, 2)], learned, heard)
    assert heard.said == ["1 problems of a are among those learned: they are not held out"]


class Notes(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


def test_a_source_without_a_record_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.jsonl: it is empty; give problems"):
        held_out(Evaluation(eval=(written(tmp_path / "none.jsonl"),)), learns=True)


@pytest.mark.parametrize(
    ("specs", "count", "size"),
    [
        (("accuracy", "format"), 64, 1),  # what a worker judges takes less than its start
        (("accuracy",), 2048, 5),
        (("code",), 64, 8),
        (("accuracy",), None, 8),
    ],
)
def test_an_evaluation_starts_no_more_workers_than_earn_it(
    specs: tuple[str, ...], count: int | None, size: int
) -> None:
    with contextlib.ExitStack() as scope:
        scorer = judge(scope, specs, 8, count).scorer
        assert scorer is not None
        assert scorer.pool.size == size


def line(step: int, rate: float | None, reward: float = 0.0, **more: Any) -> dict[str, Any]:
    return {"step": step, "pass@1": rate, "decides": "accuracy", "rewards/accuracy/mean": reward, **more}


def test_the_best_evaluation_is_the_first_of_the_highest_mean() -> None:
    lines = [line(0, 0.0), line(0, 0.5), line(5, 1.0), line(5, 0.25), line(10, 0.5), line(10, 0.75)]
    assert (best(lines), since_best(lines)) == (5, 1), "0.25, 0.625 and 0.625"
    graded = [line(0, 0.0, 0.4), line(5, 0.0, 0.6), line(10, 0.0, 0.5), line(15, 0.0, 0.6)]
    assert (best(graded), since_best(graded)) == (5, 2), "where none is right, the rewards decide"
    losses = [{"step": step, "loss": loss} for step, loss in ((0, 2.0), (5, 1.0), (10, 1.5))]
    assert (best(losses), since_best(losses)) == (5, 1)
    assert (best([]), since_best([])) == (None, 0)


def test_what_could_not_be_judged_is_no_better() -> None:
    unjudged = {**line(5, None), "pass@1_if_unjudged_wrong": 0.0}
    del unjudged["rewards/accuracy/mean"]
    assert best([line(0, 0.4), line(0, 0.4), line(5, 0.5), unjudged]) == 0, "0.4 and 0.25"
    lines = [line(0, 0.5), line(5, 0.9, **{"pass@1_if_unjudged_wrong": 0.3}), line(10, None)]
    assert (best(lines), since_best(lines)) == (0, 2)
