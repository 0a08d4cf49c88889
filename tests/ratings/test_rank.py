"""`r1 rank` end to end: the forms of verdicts, what it prints, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard

from stages.rank import Settings, run
from stages.ratings.verdicts import verdict, verdicts
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError

WON = {"model": "new", "baseline": "base", "preference": 2.0}


@pytest.mark.parametrize(
    ("fields", "share", "strong"),
    [
        ({**WON, "preference": 1.25}, 0.25, False),
        ({**WON, "preference": 0}, 0.5, False),
        ({**WON, "preference": None}, None, False),
        ({"model_a": "base", "model_b": "new", "verdict": "[[A>>B]]"}, 0.0, True),
        ({"model_a": "base", "model_b": "new", "verdict": "A=B"}, 0.5, False),
        ({"model_a": "base", "model_b": "new", "verdict": "B>A"}, 1.0, False),
        ({"model_a": "base", "model_b": "new", "winner": "model_a"}, 0.0, False),
    ],
)
def test_each_form_of_a_verdict(fields: dict[str, Any], share: float | None, strong: bool) -> None:
    found = verdict(Record({"id": "q#1", **fields}))
    assert (found.model, found.opponent, found.share, found.strong) == ("new", "base", share, strong)
    assert found.question == "q"


def test_lengths_are_told_apart() -> None:
    found = verdict(Record({**WON, "index": 3, "length_model": 300, "length_baseline": 100}))
    assert (found.question, found.apart, found.longer) == ("3", -200, 0.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**WON, "preference": 2.5}, "preference 2.5 is not from 1 to 2"),
        ({**WON, "preference": True}, "preference True"),
        ({"model": "x", "baseline": "base"}, "no field 'preference'"),
        ({**WON, "model": "base"}, "both 'base'"),
        ({"preference": 1}, "field 'model_b' is missing"),
        ({"model_a": "x", "model_b": "y", "verdict": "C"}, "verdict 'C' is none of A>>B"),
    ],
)
def test_what_is_no_verdict_is_refused_with_its_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        run([Record({"id": "1", **fields}, place="v.jsonl:7")])
    assert caught.value.place == "v.jsonl:7"


def test_win_rates_by_hand() -> None:
    heard = Heard()
    shares = [2.0, 1.5, 1.25, None]
    found = run([Record(id=str(k), **{**WON, "preference": p}) for k, p in enumerate(shares)], report=heard)
    (line,) = found.records
    assert line["win_rate"] == pytest.approx(100 * 1.75 / 3)
    assert line["discrete_win_rate"] == pytest.approx(50)
    assert (line["wins"], line["losses"], line["ties"], line["unjudged"]) == (1, 1, 1, 1)
    assert line["length_controlled_win_rate"] is None
    assert heard.said == ["4 verdicts, 1 of them null and left out"]


def test_ratings_by_hand() -> None:
    records = [Record(id=str(k), **{**WON, "preference": 2.0 if k % 4 else 1.0}) for k in range(40)]
    top, base = run(records, Settings(by="bradley-terry", rounds=100)).records
    assert (top["model"], base["rating"], base["rating_low"]) == ("new", 1000, 1000)
    assert top["rating"] == pytest.approx(1000 + 400 * math.log10(3))
    assert top["win_rate"] == pytest.approx(75)
    assert top["win_rate_low"] < 75 < top["win_rate_high"]
    (alone, _) = run(records, Settings(by="bradley-terry", rounds=0)).records
    assert alone["rating_low"] is None


def test_a_baseline_has_to_be_there_and_to_be_one() -> None:
    records = [Record(id="1", **WON), Record(id="2", **{**WON, "model": "base", "baseline": "old"})]
    with pytest.raises(UsageError, match="the baselines are base, old"):
        run(records, Settings(baseline="x"))
    with pytest.raises(UsageError, match="needs --baseline, one of base, new, old"):
        run(records, Settings(by="bradley-terry"))
    with pytest.raises(UsageError, match="no verdict is on it; did you mean base"):
        run(records, Settings(by="bradley-terry", baseline="bas"))
    with pytest.raises(BadInput, match="no verdicts"):
        run([])


@pytest.mark.parametrize(
    "options",
    [
        {"decide": "code"},
        {"control_length": True},
        {"control_style": True},
        {"by": "elo", "control_length": True},
        {"by": "elo", "calibration": Path("t.csv")},
    ],
)
def test_an_option_of_another_figure_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="by"):
        run([Record(id="1", **WON)], Settings(**options))
    with pytest.raises(UsageError, match="leave out --control-length"):
        run([], Settings(by="bradley-terry", control_length=True, control_style=True))


def attempt(problem: str, sample: int, value: float | None, **more: Any) -> Record:
    meta = {"generate": {"model": "m"}}
    fields = {"id": f"{problem}#{sample}", "rating": 1200, "rewards": {"code": value}, "meta": meta, **more}
    return Record(fields)


def test_problems_solved_give_a_rating() -> None:
    records = [attempt(f"p{k}", 0, float(k < 9)) for k in range(10)] + [attempt("p0", 1, None)]
    (line,) = run(records, Settings(by="elo", decide="code")).records
    assert line["rating"] == pytest.approx(1200 + 400 * math.log10(9), abs=1e-6)
    assert (line["model"], line["problems"], line["attempts"], line["solved"], line["unjudged"]) == (
        "m",
        10,
        10,
        9,
        1,
    )


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([attempt("p", 0, 1.0, rating=None)], "field 'rating' is null"),
        ([attempt("p", 0, 1.0), attempt("p", 1, 1.0, rating=1300)], "has the rating 1200 elsewhere"),
        ([attempt("p", 0, 1.0, rewards={})], "no reward 'code'"),
        ([attempt("p", 0, None)], "p#0: no attempt up to here was judged"),
    ],
)
def test_what_is_no_attempt_is_refused(records: list[Record], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        run(records, Settings(by="elo", decide="code"))


def judged(rewards: dict[str, float | None], **fields: Any) -> Record:
    about = {"baseline": "base", "baseline_answer": "# Old\n", "meta": {"generate": {"model": "new"}}}
    made = {"id": "q#1", "completion": "<think>x</think>**New** one", "rewards": rewards}
    return Record({**made, **about, **fields}, place="s.jsonl:3")


def test_scored_completions_are_verdicts() -> None:
    (one,) = verdicts(judged({"alpaca_eval": 0.75, "alpaca_eval/won": 1.0}, index=7))
    assert (one.model, one.opponent, one.share, one.question, one.apart) == ("new", "base", 0.75, "7", -6)
    assert one.style is not None
    assert one.style[1] < 0 < one.style[3]
    scores = {"arena_hard": 0.5, "arena_hard/second": 0.25, "arena_hard/first": 1.0}
    assert [(each.share, each.strong) for each in verdicts(judged(scores))] == [(0, False), (1, True)]
    half = {"arena_hard": None, "arena_hard/second": None, "arena_hard/first": 1.0}
    assert [each.share for each in verdicts(judged(half))] == [None, None]
    records = [judged(scores, id=f"q{k}") for k in range(3)]
    options: dict[str, Any] = {"by": "bradley-terry", "rounds": 0, "control_style": True}
    new, _ = run(records, Settings(**options)).records
    assert (new["model"], new["win_rate"]) == ("new", pytest.approx(75))
    assert set(new) >= {"length", "headers", "lists", "bold"}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (judged({"alpaca_eval": 1.5}), "'alpaca_eval' is 1.5"),
        (judged({"alpaca_eval": 0.5}, baseline=None), "does not say whose answers"),
        (judged({"alpaca_eval": 0.5}, baseline="new"), "both 'new'"),
        (judged({"alpaca_eval": 0.5}, baseline_answer=3), "no text in 'completion' or 'baseline_answer'"),
        (judged({"arena_hard": 0.5, "arena_hard/second": 0.3}), "'arena_hard/second' is 0.3"),
        (Record({**WON, "style_model": {"length": 3}, "id": "1"}), "field 'style_model' is no style"),
    ],
    ids=range(6),
)
def test_what_was_scored_otherwise_is_no_verdict(record: Record, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        run([record])
