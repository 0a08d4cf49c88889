"""Curves: majority votes of all k counted out, and the metrics of budget forcing, worked by hand."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from conftest import R1

from stages.eval import Settings, run
from stages.evaluation import pictures
from stages.evaluation.curves import Evaluation, forcing, majorities
from stages.evaluation.statistics import majority
from stages.records.record import Record
from stages.runtime.report import Silent
from stages.settings.groups import Engine, Sampling


def counted_out(k: int, right: int, wrong: Sequence[int], silent: int) -> float:
    """The mean over all sets of k completions, one by one."""
    answers = ["right"] * right + [f"w{i}" for i, count in enumerate(wrong) for _ in range(count)]
    shares = []
    for some in itertools.combinations([*answers, *[None] * silent], k):
        votes: dict[str, list[int]] = {}
        for each in filter(None, some):
            count = votes.setdefault(each, [0, 0])
            count[0] += 1
            count[1] += each == "right"
        shares.append(majority(votes))
    return fmean(shares)


@pytest.mark.parametrize(
    ("right", "wrong", "silent"),
    [(2, [2, 1], 1), (0, [1, 2], 0), (3, [], 2), (1, [1, 1, 1], 0), (4, [3, 2], 1), (5, [4], 0)],
)
def test_majorities_are_the_mean_over_all_sets(right: int, wrong: list[int], silent: int) -> None:
    expected = [counted_out(k, right, wrong, silent) for k in range(1, right + sum(wrong) + silent + 1)]
    assert majorities(right, wrong, silent) == pytest.approx(expected, abs=1e-15)


def test_a_majority_worked_by_hand() -> None:
    """Two right, one wrong: of one 2/3, of two 1/3 both right and 2/3 tied, of three the right ones win."""
    assert majorities(2, [1]) == pytest.approx([2 / 3, 1 / 3 + 2 / 3 / 2, 1], abs=1e-15)


def test_sixty_four_samples_lose_nothing_to_rounding() -> None:
    """32 right against 32 that agree on another answer: even at every k."""
    assert majorities(32, [32]) == pytest.approx([0.5] * 64, abs=1e-13)


def test_the_metrics_of_s1_worked_by_hand() -> None:
    """Thinking of 100, 200 and 400 tokens, 20, 40 and 50 % right, the last one over its budget.

    Slopes: 0.2/100, 0.3/300 and 0.1/200; their mean is (0.002 + 0.001 + 0.0005) / 3.
    """
    found = forcing([Evaluation(400, 0.5, 390), Evaluation(100, 0.2, 100), Evaluation(200, 0.4, 256)])
    assert found.control == 2 / 3
    assert found.scaling == pytest.approx(0.0035 / 3, rel=1e-14)
    assert found.performance == 0.5


def test_metrics_that_the_evaluations_do_not_give_are_none() -> None:
    assert forcing([Evaluation(100, 0.2, None)]) == (None, None, 0.2)
    assert forcing([Evaluation(100, 0.2, 50), Evaluation(100, 0.4, None)]) == (0, None, 0.4)


def scored(budget: int, thinking: list[int], values: list[float]) -> list[Record]:
    said = {"model": "m", "revision": "r", "think_budget": budget, "max_tokens": budget + 100}
    return [
        Record(
            id=f"p{k // 2}#{k % 2}", group=f"p{k // 2}", sample=k % 2, prompt="?", finish="stop",
            completion=f"It is {k % 2 if value < 1 else 7}", answer="7", rewards={"accuracy": value},
            meta={"prompts": {"source": "x"}, "generate": {**said, "tokens": 9, "thinking_tokens": tokens}},
        )
        for k, (tokens, value) in enumerate(zip(thinking, values, strict=True))
    ]  # fmt: skip


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_runs_of_unlike_budgets_are_one_curve(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    records = scored(200, [200, 150, 200, 250], [1, 1, 0, 1]) + scored(64, [64, 64, 64, 64], [0, 0, 0, 1])
    rows = run(records, Settings(curves=path)).records
    assert [row["completions/mean_thinking"] for row in rows] == [200, 64]
    samples = [each for each in lines(path) if each["curve"] == "samples"]
    assert [(each["k"], each["pass@k"]) for each in samples] == [(1, 0.75), (2, 1), (1, 0.25), (2, 0.5)]
    for row, each in zip(rows, (samples[1], samples[3]), strict=True):
        assert each["cons@k"] == row["cons@2"]
    for row, each in zip(rows, (samples[0], samples[2]), strict=True):
        assert each["cons@k"] == row["pass@1"]
    points = [each for each in lines(path) if each["curve"] == "thinking"]
    assert [(each["think_budget"], each["thinking_tokens"], each["pass@1"]) for each in points] == [
        (64, 64, 0.25),
        (200, 200, 0.75),
    ]
    last = lines(path)[-1]
    assert (last["curve"], last["evaluations"], last["control"], last["performance"]) == (
        "budget-forcing", 2, 1, 0.75,
    )  # fmt: skip
    assert last["scaling"] == pytest.approx(0.5 / 136, rel=1e-15)


class Heard(Silent):
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_right_answers_by_length_worked_by_hand(tmp_path: Path) -> None:
    """40 completions of 1 to 20 tokens, each length twice; those up to 10 are right; one is unjudged."""
    path, picture = tmp_path / "c.jsonl", tmp_path / "c.png"
    records = [
        Record(
            id=f"p#{k}", group="p", sample=k, prompt="?", completion="x", rewards={"accuracy": value},
            meta={"prompts": {"source": "x"}, "generate": {"model": "m", "tokens": tokens}},
        )
        for k, (tokens, value) in enumerate([(1 + k // 2, float(k < 20)) for k in range(40)] + [(99, None)])
    ]  # fmt: skip
    run(records, Settings(curves=path))
    found = [each for each in lines(path) if each["curve"] == "length"]
    assert [each["bin"] for each in found] == list(range(1, 11))
    assert [each["completions"] for each in found] == [4] * 10
    assert [each["correct"] for each in found] == [1] * 5 + [0] * 5
    assert [each["mean_length"] for each in found] == [1.5 + 2 * k for k in range(10)]
    first = found[0]
    assert (first["length_unit"], first["length_low"], first["length_high"]) == ("tokens", 1, 2)
    alike = [record.adding(meta={"generate": {"tokens": min(k, 20)}}) for k, record in enumerate(records)]
    run(alike, Settings(curves=path))
    sizes = [each["completions"] for each in lines(path) if each["curve"] == "length"]
    assert sizes == [4, 4, 4, 4, 4, 20]
    pytest.importorskip("matplotlib")
    told = Heard()
    run(records, Settings(png=picture), report=told)
    assert picture.read_bytes().startswith(b"\x89PNG")
    run([each.adding(rewards={"accuracy": None}) for each in records], Settings(png=tmp_path / "no.png"),
        report=told)  # fmt: skip
    assert any("nothing is drawn" in note for note in told.notes)
    assert not (tmp_path / "no.png").exists()


def test_pictures_have_each_curve_once(tmp_path: Path) -> None:
    records = scored(200, [200, 150, 200, 250], [1, 1, 0, 1]) + scored(64, [64, 64, 64, 64], [0, 0, 0, 1])
    run(records, Settings(curves=tmp_path / "c.jsonl"))
    every = lines(tmp_path / "c.jsonl")
    drawn = {
        panel.kind + panel.up + (panel.unit or ""): dict(pictures._series(every, panel))
        for panel in pictures.PANELS
    }
    assert drawn["thinkingpass@1"] == {"m on x": [(64, 0.25), (200, 0.75)]}
    assert drawn["samplespass@k"] == {"m on x": [(1, 0.75), (2, 1)], "m on x (2)": [(1, 0.25), (2, 0.5)]}
    assert drawn["lengthcorrecttokens"] == {"m on x": [(9, 0.75)], "m on x (2)": [(9, 0.25)]}


def test_a_lone_budget_is_no_point_of_the_next_curve(tmp_path: Path) -> None:
    cold, warm = scored(64, [64] * 4, [0, 0, 0, 1]), scored(200, [150] * 4, [1, 1, 0, 1])
    for record in (*(more := scored(64, [60] * 4, [1, 0, 0, 1])), *warm):
        record["meta"]["generate"]["temperature"] = 1
    run([*cold, *warm, *more], Settings(curves=tmp_path / "c.jsonl"))
    every = lines(tmp_path / "c.jsonl")
    drawn = dict(pictures._series(every, pictures.PANELS[2]))
    assert drawn == {"m on x": [(64, 0.25)], "m on x (2)": [(60, 0.5), (150, 0.75)]}


def test_lengths_in_two_units_share_no_axis(tmp_path: Path) -> None:
    counted = scored(64, [64] * 4, [0, 0, 0, 1])
    written = [each.adding(meta={"prompts": {"source": "y"}}) for each in counted]
    run([*counted, *written], Settings(curves=tmp_path / "c.jsonl"))
    every = lines(tmp_path / "c.jsonl")
    of = {panel.below: dict(pictures._series(every, panel)) for panel in pictures.PANELS}
    assert of["length in tokens"] == {"m on x": [(9, 0.25)]}
    assert of["length in characters"] == {"- on y": [(7, 0.25)]}


def test_thinking_is_counted_up_to_its_forced_end(tiny: Path, tmp_path: Path) -> None:
    template = tmp_path / "think.txt"
    template.write_text("{prompt}{prefill}<think>\n")
    save = tmp_path / "kept.jsonl"
    problems = [Record(id=str(n), prompt=f"{n}+1=", answer="2") for n in range(8)]
    run(
        problems,
        Settings(
            model=str(tiny), template=str(template), samples=2, save=save,
            sampling=Sampling(max_tokens=40, think_budget=6), engine=Engine(device="cpu", threads=1),
        ),
    )  # fmt: skip
    counts = []
    for record in lines(save):
        before, closed, _ = record["completion"].partition("</think>")
        counted = record["meta"]["generate"]["thinking_tokens"]
        assert counted == len(re.sub("<[/|a-z]+>", "t", before))  # of this model each is a token
        assert closed or math.isclose(counted, 40) or record["finish"] == "stop"
        counts.append(counted)
    assert max(counts) == 6


def test_a_refused_run_leaves_no_curves(r1: R1, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    done = r1("eval", "--curves", path, input=b'{"id":"a#0","completion":"x"}\n')
    assert done.returncode == 65
    assert not path.exists()
    same = r1("eval", "--curves", path, "--save", path, input=b"")
    assert same.returncode == 2
    assert b"are one file; write to two" in same.stderr
