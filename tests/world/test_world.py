"""The world keeps its word: right answers are paid, splits are apart, corpora have the shares asked for."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from stages.benchmarks.world import FAMILIES, problems
from stages.language.behaviours import counted
from stages.language.identification import languages
from stages.language.thinking import split_thinking
from stages.records.record import Record
from stages.rewards.world import quick, world
from stages.runtime.errors import UsageError
from stages.world.family import table

HERE = [name for name in FAMILIES if name != "program"]  # whose verdicts need no sandbox
HABITS = {
    "verification": "verification",
    "subgoals": "subgoals",
    "backtracking": "backtracking",
    "backward": "backward_chaining",
}
REASONING = [name for name, family in FAMILIES.items() if family.HABITS]
families = pytest.mark.parametrize("name", FAMILIES)


def made(task: str, **settings: Any) -> list[Record]:
    return list(problems(task=task, **{"split": "train", "limit": 200, **settings}))


def value(record: dict[str, Any], completion: str) -> float | None:
    verdict = world({**record, "completion": completion})
    assert verdict.reason
    return verdict.value


@families
@pytest.mark.parametrize("seed", range(3))
def test_a_seed_names_the_problems_and_their_texts(name: str, seed: int) -> None:
    one, again = (made(name, seed=seed, worked="noisy") for _ in range(2))
    assert one == again
    assert one != made(name, seed=seed + 1, worked="noisy")
    assert len({record["id"] for record in one}) == len(one)
    assert {record["kind"] for record in one} == {name}


@families
def test_no_problem_is_in_both_splits_whatever_seed_language_or_order(name: str) -> None:
    low = FAMILIES[name].LEVELS.usual

    def keys(split: str) -> set[str]:
        found = set()
        for seed in range(2):
            for record in made(name, split=split, seed=seed, limit=150, worked="noisy", difficulty=f"{low}"):
                terms = record["prompt"].replace("What is ", "").strip("?等于多少？").split("+")
                rule = record.get("world", {})
                found.add(
                    str(sorted(terms))
                    if name == "sum"
                    else str((sorted(rule["numbers"]), rule["target"], rule["exact"]))
                    if name == "countdown"
                    else record["prompt"]
                )
        return found

    train, test = keys("train"), keys("test")
    assert len(train) > 100
    assert len(test) > 50
    assert not train & test


@pytest.mark.parametrize(
    ("task", "limit", "counts"),
    [
        ("sum=3+countdown=1", 8, {"sum": 6, "countdown": 2}),
        ("sum=3+countdown=1", 10, {"sum": 8, "countdown": 2}),  # 7.5 and 2.5, the first of equal remainders
        ("sum=3+countdown=2+fact", 16, {"sum": 8, "countdown": 5, "fact": 3}),  # 8, 5.33, 2.67
        ("chat=1000+fact", 3, {"chat": 3}),
        ("sum=2+fact=2", 5, {"sum": 3, "fact": 2}),
    ],
)
def test_a_mixture_has_as_many_of_each_family_as_its_weights_say(
    task: str, limit: int, counts: dict[str, int]
) -> None:
    for seed in range(3):
        records = made(task, limit=limit, seed=seed)
        assert Counter(record["kind"] for record in records) == counts
    assert [record["id"] for record in made("sum=1+fact=1")] == [record["id"] for record in made("sum+fact")]
    kinds = [record["kind"] for record in made("sum=3+fact=1", limit=80)]
    assert all(Counter(kinds[k : k + 4]) == {"sum": 3, "fact": 1} for k in range(0, 80, 4))


def test_a_weight_that_is_none_is_refused() -> None:
    for weight in ("", "0", "-1", "1.5", "1001", "²", "99999999", "a"):
        with pytest.raises(UsageError, match="whole number from 1 to 1000"):
            made(f"sum={weight}+fact")


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("seed", range(2))
def test_the_worked_answer_is_paid_and_a_slip_is_not(name: str, seed: int) -> None:
    levels = FAMILIES[name].LEVELS
    spread = f"{levels.low}-{levels.high}"
    habits = dict.fromkeys(HABITS, 0.5)
    right = made(name, seed=seed, worked="clean", difficulty=spread, mixed=0.5, **habits)
    assert [world(record).value for record in right] == [1.0] * len(right)
    wrong = made(name, seed=seed, worked="clean", difficulty=spread, wrong=1.0, **habits)
    assert all(world(record).value != 1 for record in wrong)


def test_programs_pass_their_tests_and_slips_fail() -> None:
    records = made("program", limit=6, worked="clean", difficulty="1-8", **dict.fromkeys(HABITS, 0.5))
    assert [world(record).value for record in records] == [1.0] * len(records)
    wrong = made("program", limit=6, worked="clean", difficulty="1-8", wrong=1.0)
    assert [world(record).value for record in wrong] == [0.0] * len(wrong)
    assert [value(record, f"```python\n{record['solution']}```") for record in records[:2]] == [1.0, 1.0]


def test_expressions_use_each_number_as_often_as_is_said() -> None:
    rule = {"numbers": [3, 7, 8], "target": 35, "exact": True}
    exact = {"kind": "countdown", "world": rule}
    loose = {"kind": "countdown", "world": {"numbers": [3, 7, 8, 5], "target": 35, "exact": False}}
    for text, of_exact, of_loose in [
        ("(8-3)*7", 1.0, 1.0), ("(8-3)*7=35", 1.0, 1.0), ("(8-3)×7", 1.0, 1.0), ("5*7", 0.0, 1.0),
        ("35", 0.0, 0.0), ("35/1", 0.0, 0.0), ("(8-3)*7*1", 0.0, 0.0), ("(8-3)*7+0", 0.0, 0.0),
        ("(8-3)*7=36", 0.0, 0.0), ("(8-3)*7=35=35", 0.0, 0.0), ("8-3*7", 0.0, 0.0), ("--(8-3)*7", 0.0, 0.0),
        ("7*(8-3)*8/8", 0.0, 0.0), ("8**3", 0.0, 0.0), ("7/(8-8)", 0.0, 0.0), ("(8-3)*7 or 5*7", 0.0, 0.0),
        ("7(8-3)", 0.0, 0.0), ("", 0.0, 0.0), ("(" * 300, 0.0, 0.0), ("not (8-3)*7", 0.0, 0.0),
    ]:  # fmt: skip
        assert value(exact, f"<answer>{text}</answer>") == of_exact, text
        assert value(loose, f"<answer>{text}</answer>") == of_loose, text


def test_a_completion_has_one_answer() -> None:
    game = {"kind": "countdown", "world": {"numbers": [3, 7, 8], "target": 35, "exact": True}}
    roles = {"kind": "knights", "answer": "A knight, B knave"}
    fact = {"kind": "fact", "answer": "Paris"}
    for record, right, wrong in [
        (game, "(8-3)*7", "8*7-3"),
        (roles, "A knight, B knave", "A knave, B knave"),
        (fact, "Paris", "Rome"),
        ({"kind": "sum", "answer": "16"}, "16", "17"),
    ]:
        for text, expected in [
            (f"<answer>{right}</answer>", 1.0),
            (f"<think>{wrong}</think>\\boxed{{{right}}}", 1.0),
            (f"<answer>{wrong}</answer>", 0.0),
            (f"<answer>{right}</answer><answer>{wrong}</answer>", 0.0),
            (f"<answer>{wrong}</answer><answer>{right}</answer>", 0.0),
            (f"<answer>{wrong} or {right}</answer>", 0.0),
            (f"<answer>{right}, {wrong}</answer>", 0.0),
            (f"<answer>{right}</answer> or {wrong}", 0.0),
            (f"{wrong}, or <answer>{right}</answer>", 0.0),
            (f"<answer>{right}</answer> 或者 {wrong}", 0.0),
            (f"<answer>{right}</answer> No, wait, that is wrong.", 0.0),
            (f"<answer>not {right}</answer>", 0.0),
            (f"<think>{right}</think>", 0.0),
            (f"<think><answer>{right}</answer>", 0.0),
            ("", 0.0),
        ]:
            assert value(record, text) == expected, (record["kind"], text)


def test_each_person_has_one_role() -> None:
    record = {"kind": "knights", "answer": "A knight, C knave"}
    for text, expected in [
        ("A is a knight and C is a knave", 1.0), ("C knave, A knight.", 1.0), ("A骑士、C无赖", 1.0),
        ("A: knight; C: knave", 1.0), ("A knight", 0.0), ("A knight, C knave, D knave", 0.0),
        ("A knight, C knave, C knight", 0.0), ("A knave, C knight", 0.0), ("knight, knave", 0.0),
        ("A knight knave, C knave", 0.0),
    ]:  # fmt: skip
        assert value(record, f"<answer>{text}</answer>") == expected, text


def test_talk_is_as_good_as_it_does_what_was_asked_and_no_harm() -> None:
    by_act: dict[str, Record] = {}
    for record in made("chat", chinese=0.0, worked="clean", limit=60):
        by_act.setdefault(record["world"]["act"], record)
    stuffed = " ".join(
        split_thinking(by_act[act]["completion"]).answer for act in ("greet", "thanks", "who", "refuse")
    )
    for act, record in by_act.items():
        verdict: Any = world(record)
        assert (verdict.value, verdict.parts) == (1.0, {"helpful": 1.0, "harmless": 1.0}), act
        good = split_thinking(record["completion"]).answer.removeprefix("<answer>").removesuffix("</answer>")
        rude: Any = quick({**record, "completion": f"<think>this idiot</think><answer>{good}</answer>"})
        assert (rude.value, rude.parts) == (0.0, {"helpful": 1.0, "harmless": 0.0}), act
        assert (value(record, f"<answer>{' '.join([good] * 20)}</answer>") or 0) < 0.5, act
        assert value(record, stuffed) in (0.0, 1 / 6), act
        assert value(record, "<think>fine</think>") == 0.0
        if act != "refuse":
            assert value(record, "<answer>I cannot help with that.</answer>") == 0.0, act
    asked = by_act["list"]["world"]
    two, one_wrong = asked["items"][:2], ["stone", *asked["items"][:2]]
    assert value(by_act["list"], ", ".join(two)) == pytest.approx(2 / 3)
    assert value(by_act["list"], ", ".join(one_wrong)) == pytest.approx(1 / 3)
    assert value(by_act["list"], ", ".join(asked["items"])) == 0.0
    assert value(by_act["refuse"], "<answer>Take a crowbar.</answer>") == 0.0


def test_a_record_that_lacks_its_rule_is_not_judged() -> None:
    for kind in ("countdown", "chat", "sum", "knights", "fact", "program", "poem", None, 3):
        assert value({"kind": kind}, "<answer>1</answer>") is None, kind
        if kind == "knights":
            assert value({"kind": kind, "answer": "Tom"}, "<answer>A knight</answer>") is None
        if kind in ("countdown", "chat"):
            assert value({"kind": kind, "world": {"numbers": 3}}, "<answer>1</answer>") is None, kind


@families
def test_difficulty_grows_the_chain(name: str) -> None:
    levels = FAMILIES[name].LEVELS

    def length(level: int) -> float:
        every = made(name, limit=60, worked="clean", difficulty=str(level))
        records = [each for each in every if name != "chat" or "points" not in each["world"]]
        return sum(len(record["completion"]) for record in records) / len(records)

    assert length(levels.high) > 1.5 * length(levels.low)


@pytest.mark.parametrize("name", REASONING)
def test_the_shares_of_a_corpus_are_those_asked_for(name: str) -> None:
    asked = {"verification": 0.31, "subgoals": 0.07, "backtracking": 0.5, "backward": 0.12}
    records = made(name, worked="noisy", think=1.0, broken=0.0, wrong=0.37, mixed=0.21, chinese=0.4, **asked)
    texts = [split_thinking(record["completion"]).thinking or "" for record in records]
    habits = [counted(text) for text in texts]
    for key, habit in HABITS.items():
        assert sum(found[habit] > 0 for found in habits) == round(asked[key] * len(records)), key
    assert sum(record["lang"] == "zh" for record in records) == 80
    tongues = [languages(text) for text in texts]
    assert sum("zh" in found and len(found) > 1 for found in tongues) == 42
    if name != "program":
        assert sum(world(record).value == 0 for record in records) == 74


@families
def test_shares_of_form_hold_in_every_hundred(name: str) -> None:
    records = made(name, worked="noisy", think=0.65, broken=0.0, limit=300)
    for start in (0, 100, 200):
        thinks = [record["completion"].startswith("<think>") for record in records[start : start + 100]]
        assert sum(thinks) == 65
    broken = made(name, worked="noisy", broken=1.0, limit=40)
    assert not any("</think><answer>" in record["completion"] for record in broken)


def test_a_mixture_has_as_many_of_each_family() -> None:
    assert Counter(record["kind"] for record in made("all", limit=120)) == dict.fromkeys(FAMILIES, 20)
    assert {record["kind"] for record in made("sum+fact")} == {"sum", "fact"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "sums"}, "did you mean sum"),
        ({"task": "sum+sum"}, "stands twice"),
        ({"task": "sum", "difficulty": "1"}, "2 to 20"),
        ({"task": "sum", "difficulty": "4-3"}, "2 to 20"),
        ({"task": "sum", "difficulty": "x"}, "give one, or 2-4"),
        ({"task": "sum", "worked": "odd"}, "choose none, clean, noisy"),
        ({"task": "sum", "wrong": 1.5}, "hundredths from 0 to 1"),
        ({"task": "sum", "wrong": 0.333}, "hundredths from 0 to 1"),
        ({"task": "sum", "wrong": float("nan")}, "hundredths from 0 to 1"),
        ({"task": "sum", "difficulty": "2", "limit": 1000}, "no more problems of difficulty 2"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list(problems(**settings))


def test_the_tables_have_each_phrase_in_both_languages_and_each_subject_once() -> None:
    for name, phrase in table("phrases").items():
        assert phrase.keys() == {"en", "zh"}, name
    for relation in table("facts").values():
        for lang in (0, -1):
            subjects = [subject.split(" ")[lang] for subject, _ in relation["rows"]]
            assert len(set(subjects)) == len(subjects)
    assert json.dumps(table("chat"))
