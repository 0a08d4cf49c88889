"""Rewards of form and length against numbers worked by hand, and measurements that cost nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.language.behaviours import counted, reflects
from stages.language.tables import table
from stages.records.record import Record
from stages.rewards.behaviours import behaviours
from stages.rewards.cosine import cosine
from stages.rewards.repetition import repetition
from stages.rewards.soft_overlong import soft_overlong
from stages.rewards.tag_count import tag_count
from stages.runtime.errors import BadInput, UsageError
from stages.scoring.scorer import Scorer

HABITS = table("behaviours.toml")


def tokens(count: int, **fields: object) -> Record:
    return Record(id="a#0", completion="x", completion_ids=[1] * count, **fields)


@pytest.mark.parametrize(
    ("length", "value"),
    [(0, 0), (16384, 0), (16385, -1 / 4096), (18432, -0.5), (20480, -1), (20481, -1), (99999, -1)],
)
def test_soft_overlong_is_equation_13_of_dapo(length: int, value: float) -> None:
    verdict = soft_overlong(tokens(length), limit=20480, cache=4096)
    assert verdict.value == pytest.approx(value)


def test_a_limit_is_taken_from_the_record_and_tokens_are_never_guessed() -> None:
    made = {"generate": {"max_tokens": 100, "tokens": 90}}
    assert soft_overlong(tokens(90, meta=made)).value == pytest.approx(-0.5)
    uncounted = Record(id="a#0", completion="x", meta=made)
    assert soft_overlong(uncounted).value == pytest.approx(-0.5)
    with pytest.raises(BadInput, match="completion_ids"):
        soft_overlong(Record(id="a#0", completion="x"), limit=5)
    with pytest.raises(UsageError, match="does not fit"):
        soft_overlong(tokens(1), limit=5, cache=6)


@given(st.integers(0, 99), st.integers(0, 99))
def test_cosine_pays_short_right_answers_most_and_long_wrong_ones_cost_least(a: int, b: int) -> None:
    short, long = sorted((a, b))
    right = [cosine(tokens(n, rewards={"accuracy": 1}), limit=100).value for n in (short, long)]
    wrong = [cosine(tokens(n, rewards={"accuracy": 0}), limit=100).value for n in (short, long)]
    assert right[0] >= right[1] >= 0.5
    assert -1 <= wrong[0] <= wrong[1] <= -0.5


def test_cosine_at_a_third_of_the_way() -> None:
    verdict = cosine(tokens(40, rewards={"accuracy": 1}), limit=120)
    assert verdict.value == pytest.approx(0.5 + 0.25 * (1 + math.cos(math.pi / 3)))


def test_cosine_waits_for_the_verdict_it_scales_and_needs_no_groups() -> None:
    records = [tokens(4, answer="7").adding(id="a", completion=c) for c in ("\\boxed{7}", "\\boxed{8}")]
    with Scorer(["cosine:limit=8", "accuracy*0"]) as scorer:
        scored = list(scorer.score([*records, *records]))
    assert [r["reward"] for r in scored] == pytest.approx([0.75, -0.75] * 2)
    assert scored[0]["rewards"]["accuracy"] == 1


def test_tags_that_the_template_opened_count() -> None:
    assert tag_count({"completion": "7</think>", "prefill": "<think>"}, style="think").value == 1
    assert tag_count({"completion": "<think>7</think>", "prefill": "<think>"}, style="think").value == 0.5


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=30), st.integers(1, 4))
def test_repetition_is_the_share_of_runs_seen_before(words: list[str], n: int) -> None:
    runs = [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
    value = repetition({"completion": " ".join(words)}, n=n).value
    assert value == pytest.approx(len(set(runs)) / len(runs) - 1 if runs else 0)


def test_a_measurement_is_recorded_and_stays_out_of_the_reward() -> None:
    record = Record(id="a#0", completion="Wait, let me verify: \\boxed{7}", answer="7")
    with Scorer(["accuracy", "behaviours"]) as scorer:
        (scored,) = scorer.score([record])
    assert scored["reward"] == 1.0
    assert scored["rewards"]["behaviours"] == 3.0
    assert {name for name in scored["rewards"] if "/" in name} == {
        f"behaviours/{k}" for k in (*HABITS["phrases"], "reflection")
    }
    assert scored["rewards"]["behaviours/verification"] == 1.0
    with Scorer(["accuracy", "behaviours:of=verification*0.1"]) as scorer:
        (scored,) = scorer.score([record])
    assert scored["reward"] == pytest.approx(1.1)


def test_a_measurement_alone_leaves_the_reward_as_it_was() -> None:
    with Scorer(["behaviours"]) as scorer:
        scored = list(
            scorer.score([Record(id="a", completion="x", reward=0.3), Record(id="b", completion="x")])
        )
    assert [record["reward"] for record in scored] == [0.3, 0.0]


def test_a_null_measurement_makes_no_reward_null() -> None:
    record = Record(id="a", completion="\\boxed{7}", answer="7")
    with Scorer(["accuracy", "language:lang=en*0"]) as scorer:
        (scored,) = scorer.score([record])
    assert scored["rewards"] == {"accuracy": 1.0, "language": None}
    assert scored["reward"] == 1.0


@pytest.mark.parametrize("lang", sorted(HABITS["reflection"]))
def test_each_reflection_word_is_found_in_a_sentence(lang: str) -> None:
    for word in HABITS["reflection"][lang]:
        plain = word.replace("re-?", "re").replace("(?:ка|ся|лась)", "ка")
        assert reflects(f"7, {plain}, 8"), word


@pytest.mark.parametrize(
    ("text", "kind", "count"),
    [
        ("Let's verify this. I'll double-check the sum.", "verification", 2),
        ("Plugging it back: 3 + 4 = 7.", "verification", 1),
        ("First, I need to find x. Then I need to halve it.", "subgoals", 2),
        ("That's not right. Let me try another way.", "backtracking", 2),
        ("We work backwards: to get 24, we need 8 times 3.", "backward_chaining", 2),
        ("The waiter waited.", "reflection", 0),
        ("Wait. Hmm, actually no.", "reflection", 3),
        ("She checks in at the hotel.", "verification", 0),
    ],
)
def test_phrases_are_counted_under_their_habit(text: str, kind: str, count: int) -> None:
    assert counted(text)[kind] == count


@given(st.text(max_size=200))
def test_counting_never_fails_and_counts_are_whole(text: str) -> None:
    verdict = behaviours({"completion": text})
    assert verdict.value == sum(verdict.parts.values())
    assert set(verdict.parts) == {*HABITS["phrases"], "reflection"}
