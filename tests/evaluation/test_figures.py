"""What eval counts, and what it refuses to count."""

from __future__ import annotations

from typing import Any

import pytest

from stages.evaluation.figures import Figures, origin_of
from stages.evaluation.table import results
from stages.grading.votes import vote
from stages.records.record import Record
from stages.runtime.errors import BadInput
from stages.runtime.report import Silent


def scored(problem: str, sample: int, value: float | None, text: str = "", **more: Any) -> Record:
    fields = {
        "id": f"{problem}#{sample}",
        "group": problem,
        "sample": sample,
        "prompt": problem,
        "completion": text,
        "finish": "stop",
        "rewards": {"accuracy": value},
    }
    return Record({**fields, **more})


def gathered(records: list[Record]) -> Figures:
    figures = Figures(origin_of(records[0], None), ["accuracy"], 1.0)
    for record in records:
        figures.add(record, vote=vote(record), mixing=None)
    return figures


def test_the_figures_of_two_problems_by_hand() -> None:
    rows = [
        scored("a", 0, 1.0, "#### 4"),
        scored("a", 1, 1.0, "#### 4.0"),
        scored("a", 2, 0.0, "#### 5"),
        scored("a", 3, 0.0, "#### 6"),
        scored("b", 0, 1.0, "#### 7"),
        scored("b", 1, 0.0, "#### 8"),
        scored("b", 2, 0.0, "#### 9", finish="length"),
        scored("b", 3, 0.0, "nothing", finish="length"),
    ]
    made = gathered(rows).figures([2])
    assert made["pass@1"] == pytest.approx((2 / 4 + 1 / 4) / 2)
    # a: 1 − C(2,2)/C(4,2) = 5/6; b: 1 − C(3,2)/C(4,2) = 1/2.
    assert made["pass@2"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    # a: 4 has two votes. b: 7, 8 and 9 tie with one each; a text cut off before its answer has none.
    assert made["cons@4"] == pytest.approx((1 + 1 / 3) / 2)
    assert made["completions/clipped_ratio"] == 0.25
    assert (made["problems"], made["completions"], made["k"], made["unjudged"]) == (2, 8, 4, 0)
    assert made["rewards/accuracy/mean"] == 3 / 8


def test_f1_is_of_what_is_right_of_all_and_of_the_attempts() -> None:
    """SimpleQA's: 2 of 5 are right, 2 of 3 attempts."""
    parts: list[float | None] = [1.0, 1.0, 0.0, None, None]
    rewards = [{"accuracy": 0.0, "facts": part or 0.0, "facts/given_attempted": part} for part in parts]
    made = gathered([scored(str(k), 0, 0.0, rewards=each) for k, each in enumerate(rewards)]).figures()
    assert made["rewards/facts/f1/mean"] == pytest.approx(2 * (2 / 5) * (2 / 3) / (2 / 5 + 2 / 3))


def test_equal_numbers_are_one_vote() -> None:
    rows = [
        scored("a", 0, 0.0, "#### 0.5"),
        scored("a", 1, 0.0, r"\boxed{\frac{1}{2}}"),
        scored("a", 2, 1.0, "#### 3"),
    ]
    assert gathered(rows).figures()["cons@3"] == 0


def test_votes() -> None:
    assert vote(Record(completion="<think>3</think> <answer> 1,000 </answer>")) == "1000"
    assert vote(Record(completion="so 12 apples.")) == "12"
    assert vote(Record(completion="<think>12")) is None
    assert vote(Record(completion=r"\boxed{x + Y}")) == "x+y"


def test_what_cannot_be_judged_is_left_out_and_said() -> None:
    made = gathered([scored("a", 0, 1.0), scored("a", 1, None), scored("b", 0, None)]).figures([2])
    assert made["pass@1"] == 1
    assert made["pass@1_if_unjudged_wrong"] == pytest.approx((1 / 2 + 0) / 2)
    assert (made["unjudged"], made["problems_unjudged"]) == (2, 1)
    assert made["pass@2"] is None


def test_nothing_judged_is_no_figure() -> None:
    made = gathered([scored("a", 0, None)]).figures()
    assert (made["pass@1"], made["pass@1_low"]) == (None, None)
    assert made["pass@1_if_unjudged_wrong"] == 0


def test_length_is_in_tokens_only_if_all_have_them() -> None:
    tokens = {"meta": {"generate": {"tokens": 3}}}
    with_all = gathered([scored("a", 0, 1.0, "abcd", **tokens), scored("a", 1, 1.0, completion_ids=[1])])
    made = with_all.figures()
    assert (made["completions/mean_length"], made["length_unit"]) == (2, "tokens")
    mixed = gathered([scored("a", 0, 1.0, "abcd", **tokens), scored("a", 1, 1.0, "ab")]).figures()
    assert (mixed["completions/mean_length"], mixed["length_unit"]) == (3, "characters")


def test_a_completion_counts_once() -> None:
    figures = gathered([scored("a", 0, 1.0)])
    with pytest.raises(BadInput, match="sample 0 of problem 'a' came before"):
        figures.add(scored("a", 0, 1.0), vote=None, mixing=None)


def test_an_unscored_completion_is_refused() -> None:
    with pytest.raises(BadInput, match="pipe it through r1 score first"):
        gathered([Record(id="a#0", completion="x")])


def test_the_digest_names_the_problems_and_not_their_order() -> None:
    one, two = scored("a", 0, 1.0), scored("b", 0, 0.0)
    digests = {gathered(rows).figures()["digest"] for rows in ([one, two], [two, one])}
    assert len(digests) == 1
    assert gathered([one]).figures()["digest"] not in digests


def test_an_origin_holds_every_setting_but_those_of_one_completion() -> None:
    record = Record(
        meta={
            "prompts": {"source": "gsm8k", "split": "test", "version": "1"},
            "generate": {"model": "m", "revision": "r", "seed": 3, "tokens": 9, "prompt_tokens": 2},
        }
    )
    assert origin_of(record, None) == {
        "benchmark": "gsm8k",
        "split": "test",
        "protocol": None,
        "model": "m",
        "revision": "r",
        "settings": {"seed": 3},
        "versions": {"prompts": "1"},
    }


def test_rollouts_of_another_step_are_another_row_which_names_it() -> None:
    rows = [scored("a", 0, 1.0, meta={"grpo": {"step": step}}) for step in (1, 12)]
    origins = [origin_of(row, None) for row in rows]
    assert origins[0] != origins[1]
    assert "step" not in origin_of(scored("a", 0, 1.0), None)
    found = [gathered([row]).figures() for row in rows]
    assert [each["step"] for each in found] == [1, 12]
    table = results(found, report=Silent())
    assert (table.columns[:3], [row[2] for row in table.rows]) == (
        ["benchmark", "model", "step"],
        ["1", "12"],
    )
