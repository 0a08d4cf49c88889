"""Rewards by kind: each record gets those that hold for its problem, and no other."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, Heard

from stages import eval as measure
from stages import filter as select
from stages import score, sort
from stages.records.jsonl import Journal
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.scoring import spec
from stages.scoring.preflight import LONGEST, check_held, faults, judgeable, span_of
from stages.scoring.scorer import BATCH, Scorer
from stages.settings.criteria import Selection

RULES = '''
from stages.records.record import bad_record

seen = []

def polite(batch):
    """Judges talk alone, many records at once, and takes no record of another kind."""
    for record in batch:
        if record["kind"] != "chat":
            raise bad_record(record, "this is no talk")
    return [{"reward": 0.5, "words": len(record["completion"].split())} for record in batch]

def place(group):
    assert {record["kind"] for record in group} == {"sum"}
    return [float(k) for k in range(len(group))]

def short(scored):
    assert scored["kind"] == "sum"
    return scored["rewards"]["accuracy"] / 2
'''
SUM = 'accuracy if kind == "sum"'
OTHERS = 'format:style=think*0.5 as form if kind != "sum"'


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.py"
    path.write_text(RULES)
    return str(path)


def sums_and_talk(count: int) -> list[Record]:
    """Completions of sums and of talk in turn, two of each problem."""
    return [
        Record(id=f"{kind}{i}#{k}", kind=kind, prompt="?", answer="7", completion="<answer>7</answer>")
        for i in range(count)
        for kind in ("sum", "chat")
        for k in range(2)
    ]


def test_each_record_has_its_own_rewards_and_no_other(rules: str) -> None:
    """One by one, in batches, over groups, after others, in workers and here; more than a batch holds."""
    specs = [
        SUM,
        f'{rules}:polite*2 if kind == "chat"',
        f'{rules}:place*0 if kind == "sum"',
        f'{rules}:short if kind == "sum"',
        "repetition*0",
        'world if kind == "no such kind"',
    ]
    given = sums_and_talk(BATCH // 2)
    with Scorer(specs, workers=1) as scorer:
        scored = list(scorer.score(given))
    assert [record["id"] for record in scored] == [record["id"] for record in given]
    for record in scored:
        k = int(record["id"][-1])
        if record["kind"] == "sum":
            assert record["rewards"] == {"accuracy": 1.0, "place": k, "short": 0.5, "repetition": 0.0}
            assert record["reward"] == 1.5
        else:
            assert record["rewards"] == {"polite": 0.5, "polite/words": 1.0, "repetition": 0.0}
            assert record["reward"] == 1.0
        assert record["reasons"].keys() == {name for name in record["rewards"] if "/" not in name}
        assert record["meta"]["score"]["rewards"] == specs


def test_what_an_earlier_scoring_left_of_a_reward_that_does_not_hold_is_gone() -> None:
    before = {"accuracy": 1.0, "accuracy/part": 1.0, "accuracy_of_mine": 1.0}
    (record,) = sums_and_talk(1)[2:3]
    with Scorer([SUM, "repetition"], workers=1) as scorer:
        (scored,) = scorer.score([record.adding(rewards=before, reasons={"accuracy": "right"})])
    assert scored["rewards"] == {"accuracy_of_mine": 1.0, "repetition": 0.0}
    assert scored["reasons"].keys() == {"repetition"}


def test_a_record_for_which_no_reward_holds_is_named_or_null() -> None:
    records = [Record(each, place=f"x.jsonl:{k}") for k, each in enumerate(sums_and_talk(1))]
    with pytest.raises(BadInput, match=r"x\.jsonl:2: no reward holds for it: accuracy if kind") as caught:
        list(score.run(records, score.Settings(reward=(SUM, "repetition*0"))))
    assert "r1 filter --where" in str(caught.value)
    settings = score.Settings(reward=(SUM, "repetition*0"), on_error="null")
    scored = list(score.run(records, settings))
    assert [record["reward"] for record in scored] == [1, 1, None, None]
    assert scored[2]["rewards"] == {"repetition": 0.0}


def test_a_scoring_that_was_killed_goes_on_to_the_same_records(rules: str, tmp_path: Path) -> None:
    specs = [SUM, f'{rules}:polite if kind == "chat"', "repetition as r if kind != 'sum'"]
    given = sums_and_talk(BATCH // 2)
    with Scorer(specs, workers=1) as scorer:
        whole = list(scorer.score(given))
        with closing(Journal(tmp_path / "journal", resume=True)) as journal:
            list(scorer.score(given[:BATCH], journal))
        with closing(Journal(tmp_path / "journal", resume=True)) as journal:
            assert list(scorer.score(given, journal)) == whole
            assert journal.taken == BATCH


def test_what_only_measures_need_not_hold_for_all() -> None:
    settings = score.Settings(reward=('repetition*0 if kind == "sum"',))
    records = [record.adding(reward=0.25) for record in sums_and_talk(1)]
    scored = list(score.run(records, settings))
    assert [record["reward"] for record in scored] == [0.25] * 4
    assert [len(record["rewards"]) for record in scored] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("text", "name", "weight", "condition"),
    [
        ("accuracy", "accuracy", 1.0, None),
        ("accuracy as right", "right", 1.0, None),
        ("accuracy*2 as right if a == ' if ' and b as_ in c".replace(" as_", " not"), "right", 2.0,
         "a == ' if ' and b not in c"),
        ("  format:style=think*0.5   if  kind=='x*y:z=1'  ", "format", 0.5, " kind=='x*y:z=1'"),
        ("accuracy:places=boxed as _a1\nif x", "_a1", 1.0, "x"),
    ],
)  # fmt: skip
def test_a_spec_has_a_word_and_a_condition(text: str, name: str, weight: float, condition: Any) -> None:
    part = spec.part(text)
    assert (part.name, part.weight, part.text) == (name, weight, text)
    assert (part.condition and part.condition.where.text.strip()) == (condition and condition.strip())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("accuracy if", "write NAME"),
        ("accuracy if ", "write NAME"),
        ("accuracy as 1x", "write NAME"),
        ("accuracy as a as b", "write NAME"),
        ("as right", "write NAME"),
        ("accuracy if kind ==", "invalid syntax"),
        ("accuracy if open('x')", "is not possible here"),
        ("accuracy if finish == 'stop'", "finish is of the completion"),
        ("accuracy if rewards.format > 0", "rewards is of the completion"),
        ("accuracy if step > 2", "only the training of r1 grpo has a step"),
        ("accuracy if (" + "not " * 5000 + "a)", "nested too deep|too many nested|too complex|recursion"),
    ],
)
def test_a_condition_that_is_none_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        spec.parts([text])


def test_a_word_is_given_once() -> None:
    with pytest.raises(UsageError, match="accuracy is given twice; call one `as` another word"):
        spec.parts([SUM, "accuracy:places=boxed if kind == 'chat'"])
    with pytest.raises(UsageError, match="form is given twice"):
        spec.parts(["format as form", "tag_count as form"])
    names = [part.name for part in spec.parts([SUM, "accuracy:places=boxed as boxed if kind == 'chat'"])]
    assert names == ["accuracy", "boxed"]


def test_a_field_that_no_record_has_is_named() -> None:
    with pytest.raises(UsageError, match="accuracy if knd == null or knidd < 2: no record has a field 'knid"):
        list(score.run(sums_and_talk(1), score.Settings(reward=("accuracy if knd == null or knidd < 2",))))
    with pytest.raises(BadInput, match="does not fit this record"):
        list(score.run(sums_and_talk(1), score.Settings(reward=("accuracy if kind > 2",))))


def test_check_asks_each_problem_of_the_rewards_that_are_for_it() -> None:
    problems = [
        Record(id="a", prompt="?", kind="sum", answer="7"),
        Record(id="b", prompt="?", kind="chat"),
        Record(id="c", prompt="?", kind="sum"),
        Record(id="d", prompt="?", kind="other"),
        Record(id="e", prompt="?", kind="chat"),
    ]
    specs = [SUM, "format:style=think if kind == 'chat'"]
    found = [(problem["id"], why) for problem, why in faults(problems, specs, workers=1)]
    assert [name for name, _ in found] == list("abcde")
    assert [list(why) for _, why in found] == [[], [], ["accuracy"], ["reward"], []]
    assert "no reward holds for it" in found[3][1]["reward"]


def test_problems_are_looked_over_by_the_rewards_that_are_for_them() -> None:
    problems = [Record(id="b", kind="chat"), Record(id="a", kind="sum", answer="7")]
    assert len(list(judgeable(problems, [SUM, OTHERS]))) == 2
    with pytest.raises(BadInput, match="record b: no reward holds"):
        judgeable(problems, [SUM])


def looked_over(*specs: str, steps: int) -> list[str]:
    """What is said of a run of so many steps on sums and talk."""
    problems = [Record(id=kind, kind=kind, level=k) for k, kind in enumerate(("sum", "chat"))]
    report = Heard()
    check_held(problems, spec.parts(specs, scheduled=True), report, span_of(steps))
    return report.said


def test_a_schedule_is_looked_over_before_a_run() -> None:
    assert looked_over("format", "accuracy if step > 3", steps=4) == []
    assert looked_over(SUM, 'format if kind == "chat" and step >= 4', steps=4) == []
    with pytest.raises(BadInput, match="record chat: no reward holds"):
        looked_over(SUM, 'format if kind == "chat" and step >= 4', steps=3)
    with pytest.raises(UsageError, match="at step 3 no reward holds for any problem"):
        looked_over("format if step < 3", steps=4)
    with pytest.raises(UsageError, match=r"no record has a field 'knd'; did you mean kind\?"):
        looked_over("format if step > 2 or knd == 'sum'", "accuracy", steps=4)
    assert looked_over("accuracy", "world if kind == 'maths'", steps=10**9) == [
        "--reward world if kind == 'maths': holds for no problem"
    ]
    assert len(span_of(10**18)) == LONGEST


def scored_by(*specs: str) -> list[Record]:
    return list(score.run(sums_and_talk(1), score.Settings(reward=specs)))


def test_filter_and_sort_go_by_the_first_reward_that_a_record_has() -> None:
    scored = scored_by(SUM, OTHERS)
    chosen = Selection(keep="correct", reward_name=("accuracy", "form"))
    kept = list(select.run(scored, selection=chosen))
    assert [record["id"] for record in kept] == ["sum0#0", "sum0#1"]
    ordered = list(sort.run(scored, by="difficulty", reward_name=("accuracy", "form")))
    assert [record["kind"] for record in ordered] == ["sum", "sum", "chat", "chat"]
    with pytest.raises(BadInput, match="no reward 'accuracy'"):
        list(select.run(scored, selection=Selection(keep="correct")))


def test_eval_goes_by_the_first_reward_that_a_record_has() -> None:
    (row,) = measure.run(sums_and_talk(1), measure.Settings(reward=(SUM, OTHERS, "repetition"))).records
    assert row["decides"] == "accuracy, form, repetition"
    assert (row["pass@1"], row["completions"], row["unjudged"]) == (0.5, 4, 0)
    assert (row["rewards/accuracy/mean"], row["rewards/form/mean"]) == (1, 0), "over those it holds for"
    scored = scored_by(SUM, OTHERS)
    (again,) = measure.run(scored, measure.Settings(decide=("accuracy", "form"))).records
    assert again["pass@1"] == 0.5


def test_it_is_said_on_the_command_line(r1: R1, tmp_path: Path) -> None:
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in sums_and_talk(1))
    done = r1("score", "-r", SUM, "-r", OTHERS, input=lines)
    assert done.returncode == 0, done.stderr
    assert [list(json.loads(line)["rewards"]) for line in done.stdout.splitlines()] == [
        ["accuracy"], ["accuracy"], ["form"], ["form"],
    ]  # fmt: skip
    names = ["--reward-name", "accuracy", "--reward-name", "form"]
    kept = r1("filter", "--keep", "correct", *names, input=done.stdout)
    assert kept.stdout.count(b"\n") == 2, kept.stderr
    lost = r1("score", "-r", SUM, input=lines)
    assert (lost.returncode, b"stdin:3: no reward holds for it" in lost.stderr) == (65, True), lost.stderr
    assert lost.stdout.count(b"\n") == 2
