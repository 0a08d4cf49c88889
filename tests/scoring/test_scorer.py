"""Scoring streams, keeps the order, and loses nothing but the record that could not be judged."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import subprocess
import sys
import time
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages import score
from stages.records.jsonl import Journal
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error, UsageError
from stages.scoring import scorer as scorer_of
from stages.scoring import spec, worker
from stages.scoring.scorer import Scorer

MINE = '''
import os, time
from pathlib import Path

def told(record, *, scale: float = 1.0):
    """Does what the record's `do` says."""
    do = record.get("do", 1.0)
    if do == "sleep":
        time.sleep(60)
    if do == "nap":
        time.sleep(0.3)
        return scale
    if do == "die":
        os._exit(3)
    if do == "raise":
        raise KeyError("tests")
    if do == "nan":
        return float("nan")
    if do == "print":
        print('{"not": "a record"}', flush=True)
        os.system("echo and neither is this")
        return scale
    if do == "pid":
        Path(record["to"]).write_text(str(os.getpid()))
        time.sleep(60)
    return None if do is None else do * scale

def rank(group):
    """The place of each record in its group."""
    return [float(k) for k in range(len(group))]

def places(group):
    return dict(enumerate(rank(group)))

def first(group):
    return [1.0]
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return str(path)


def told(*deeds: object) -> list[Record]:
    return [Record(id=f"p{k}", completion="", do=do) for k, do in enumerate(deeds)]


def easy(count: int, hard: int = -1) -> list[Record]:
    texts = ["\\boxed{x+x}" if k == hard else f"\\boxed{{{k}}}" for k in range(count)]
    answers = ["2x" if k == hard else str(k) for k in range(count)]
    return [
        Record(id=f"p{k}", completion=text, answer=answer)
        for k, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]


def test_the_reward_is_the_weighted_sum_of_its_parts() -> None:
    record = Record(id="a", completion="<think>3</think> 7", answer="7", reward=9)
    with Scorer(["accuracy*2", "format:style=think*0.5"]) as scorer:
        (scored,) = scorer.score([record])
    assert scored["rewards"] == {"accuracy": 1.0, "format": 1.0}
    assert scored["reward"] == 2.5
    assert scored["reasons"]["format"] == "think: well formed"
    assert scored["meta"]["score"]["rewards"] == ["accuracy*2", "format:style=think*0.5"]


def test_one_null_makes_the_sum_null_and_rewards_of_other_names_stay() -> None:
    record = Record(id="a", completion="7", rewards={"taste": 3.0}, reasons={"taste": "sweet"})
    with Scorer(["accuracy", "format"]) as scorer:
        (scored,) = scorer.score([record])
    assert scored["reward"] is None
    assert scored["rewards"] == {"taste": 3.0, "accuracy": None, "format": 0.0}
    assert scored["reasons"]["taste"] == "sweet"
    assert record == {"id": "a", "completion": "7"} | {k: record[k] for k in ("rewards", "reasons")}


def test_order_is_kept_where_one_verdict_is_slow() -> None:
    with Scorer(["accuracy"], workers=1) as scorer:
        scored = list(scorer.score(easy(50, hard=3)))
    assert [record["id"] for record in scored] == [f"p{k}" for k in range(50)]
    assert all(record["reward"] == 1 for record in scored)
    assert "math-verify" in scored[3]["reasons"]["accuracy"]


def test_the_first_line_comes_out_before_the_second_goes_in() -> None:
    taken = []

    def source() -> Iterator[Record]:
        for record in easy(3):
            taken.append(record["id"])
            yield record

    with Scorer(["accuracy"]) as scorer:
        next(scorer.score(source()))
    assert taken == ["p0"]


def test_what_waits_is_bounded(mine: str) -> None:
    taken = itertools.count()
    endless = (Record(id=f"p{next(taken)}", completion="", do="nap") for _ in itertools.count())
    with Scorer([f"{mine}:told"], workers=1) as scorer:
        stream = scorer.score(endless)
        next(stream)
        stream.close()
    assert next(taken) <= 300


def test_a_stuck_worker_costs_its_record_alone(mine: str) -> None:
    start = time.monotonic()
    with Scorer([f"{mine}:told"], workers=1, timeout=1.5) as scorer:
        scored = list(scorer.score(told(1.0, "sleep", 0.5)))
        assert [record["reward"] for record in scored] == [1.0, None, 0.5]
        assert scored[1]["reasons"]["told"] == "no verdict within 1.5 s"
        assert (scorer.timeouts, scorer.slowest) == (1, (1.5, "record p1"))
    assert time.monotonic() - start < 50  # it sleeps for 60 s


def test_a_dead_worker_costs_its_record_alone(mine: str) -> None:
    with Scorer([f"{mine}:told"], workers=2) as scorer:
        scored = list(scorer.score(told(1.0, "die", 0.5)))
    assert [record["reward"] for record in scored] == [1.0, None, 0.5]
    assert scored[1]["reasons"]["told"] == "the worker ended with code 3"


def test_the_clock_starts_with_the_work_and_not_in_the_queue(mine: str) -> None:
    with Scorer([f"{mine}:told"], workers=1, timeout=1.0) as scorer:
        scored = list(scorer.score(told(*["nap"] * 6)))
    assert [record["reward"] for record in scored] == [1.0] * 6


def test_mathematics_without_end_is_null() -> None:
    record = Record(id="a", completion="\\boxed{10^{10^{10^{10}}}}", answer="x^2")
    with Scorer(["accuracy"], workers=1, timeout=0.5) as scorer:
        scored = list(scorer.score([record, *easy(1)]))
    assert [each["reward"] for each in scored] == [None, 1.0]


def test_a_failing_reward_stops_the_run_and_names_the_record(mine: str) -> None:
    with (
        Scorer([f"{mine}:told"], remedy=score.MEND) as scorer,
        pytest.raises(R1Error, match=r"told failed on record p1.*KeyError: 'tests'.*--on-error"),
    ):
        list(scorer.score(told(1.0, "raise")))


def test_a_failing_reward_is_null_where_asked(mine: str) -> None:
    with Scorer([f"{mine}:told"], on_error="null") as scorer:
        scored = list(scorer.score(told("raise", "nan", 1.0)))
    assert [record["reward"] for record in scored] == [None, None, 1.0]
    assert scored[0]["reasons"]["told"] == "told failed: KeyError: 'tests'"


def test_a_record_without_a_completion_is_bad_input_under_any_setting() -> None:
    with (
        Scorer(["accuracy"], on_error="null") as scorer,
        pytest.raises(BadInput, match=r"f\.jsonl:3: field 'completion' is missing"),
    ):
        list(scorer.score([Record({"id": "a", "answer": "7"}, place="f.jsonl:3")]))


def test_what_a_reward_prints_never_reaches_the_product(mine: str, capfd: pytest.CaptureFixture[str]) -> None:
    with Scorer([f"{mine}:told:scale=0.5"]) as scorer:
        scored = list(scorer.score(told("print")))
    assert scored[0]["reward"] == 0.5
    out, err = capfd.readouterr()
    assert out == ""
    assert "not" in err
    assert "neither" in err


def test_a_scorer_can_be_used_again_with_the_same_workers(mine: str) -> None:
    with Scorer([f"{mine}:told"], workers=1) as scorer:
        first = list(scorer.score(told(1.0)))
        processes = [worker.process.pid for worker in scorer.pool.workers]
        second = list(scorer.score(told(1.0)))
        assert [worker.process.pid for worker in scorer.pool.workers] == processes
    assert first == second


def test_easy_records_start_no_worker() -> None:
    with Scorer(["accuracy", "format"]) as scorer:
        list(scorer.score(easy(20)))
        assert scorer.pool.workers == []


def test_a_group_reward_sees_the_verdicts_of_the_others() -> None:
    records = [
        Record(id=f"a#{k}", group="a", completion=text, answer="7")
        for k, text in enumerate(["\\boxed{7}", "so: \\boxed{7}", "\\boxed{8}"])
    ]
    with Scorer(["length*0.1", "accuracy"]) as scorer:
        scored = list(scorer.score(records))
    assert [record["rewards"]["length"] for record in scored] == [0.5, -0.5, 0.0]
    assert [record["reward"] for record in scored] == pytest.approx([1.05, 0.95, 0.0])


def test_a_group_in_pieces_is_bad_input(mine: str) -> None:
    records = [Record(id=name, completion="") for name in ("a#0", "b#0", "a#1")]
    with (
        Scorer([f"{mine}:rank"]) as scorer,
        pytest.raises(BadInput, match="problem 'a' has records apart"),
    ):
        list(scorer.score(records))


def test_a_group_reward_of_your_own(mine: str) -> None:
    records = [Record(id=name, completion="") for name in ("a#0", "a#1", "b#0")]
    with Scorer([f"{mine}:rank"]) as scorer:
        assert [record["reward"] for record in scorer.score(records)] == [0, 1, 0]
    job = {"records": [{}, {}], "places": ["line 1", "line 2"]}
    for name, bug in (
        ("places", "TypeError: it returned dict, not a list with a number for each completion"),
        ("first", "ValueError: it returned 1 values for 2 completions"),
    ):
        assert worker.judge(spec.part(f"{mine}:{name}"), job) == {"bug": bug}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("acuracy", "no reward 'acuracy'; did you mean accuracy?"),
        ("nope", "no reward 'nope'; there is accuracy, "),
        ("accuracy:place=boxed", "no option 'place'; did you mean places?"),
        ("format:style=both", "style=both must be one of auto, think-answer, think"),
        ("language:empty=much", "empty=much must be a number"),
        ("accuracy*much", "the weight 'much' is not a number"),
        ("accuracy:places", "write places=VALUE"),
        ("code:tolerance=inf", "tolerance inf: must be at least 0 and below 1"),
        ("code:seconds=-1", "seconds -1.0: must be from 0.01 to 86400"),
        ("code:memory=0", "memory 0: must be from 16 to 1048576"),
        ("code:budget=nan", "budget nan: must be above 0 and at most 1000000.0"),
        ("accuracy*nan", "the weight nan: must be from -1000000000 to 1000000000"),
        ("accuracy*1e300", "the weight 1e+300: must be from"),
        ("./no.py:fn", "no file no.py"),
        ("", "write NAME"),
    ],
)
def test_a_reward_that_makes_no_sense_is_a_usage_error(given: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec.part(given)
    assert message in str(caught.value)


def _leaves(annotation: Any) -> list[Any]:
    """The types that an annotation is made of."""
    within = [each for one in typing.get_args(annotation) for each in _leaves(one)]
    return within or [annotation]


NUMBERS = [
    (name, option)
    for name in spec.names()
    for option, each in spec.declared(
        getattr(importlib.import_module(f"stages.rewards.{name}"), name)
    ).items()
    if {int, float} & set(_leaves(each.type))
]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "-1e300", str(10**30), "x", ""])
def test_no_option_of_any_reward_takes_a_number_that_is_none(value: str) -> None:
    assert len(NUMBERS) > 30
    for name, option in NUMBERS:
        with pytest.raises(UsageError, match=f"{option}[ =]{re.escape(value[:1])}.*must be "):
            spec.part(f"{name}:{option}={value}")


def test_the_range_of_an_option_is_the_one_its_reward_declares() -> None:
    taken = (
        "code:tolerance=0.999",
        "code:memory=16",
        "judge:low=-5",
        "language:empty=-1",
        "accuracy*-2",
        "accuracy*0",
    )
    refused = ("code:tolerance=1", "code:tolerance=-0.1", "code:memory=15", "judge:jobs=0",
    "judge:retries=-1", "judge:temperature=-1",
        "judge:max_tokens=0", "repetition:n=0", "reasoning_steps:steps=0", "reward_model:model=x,size=0",
        "cosine:limit=-1",
        "soft_overlong:cache=-1", "code:seconds=0", "code:budget=0")  # fmt: skip
    for given in taken:
        assert spec.part(given).text == given
    for given in refused:
        with pytest.raises(UsageError, match="must be "):
            spec.part(given)


def test_a_reward_given_twice_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="accuracy is given twice"):
        spec.parts(["accuracy", "accuracy:places=boxed"])


def test_a_file_of_yours_is_found_with_its_options(mine: str) -> None:
    part = spec.part(f"{mine}:told:scale=2*0.5")
    assert (part.name, part.options, part.weight, part.custom) == (
        "told",
        {"scale": 2.0},
        0.5,
        True,
    )
    with pytest.raises(UsageError, match="no function 'tolt'; did you mean told"):
        spec.part(f"{mine}:tolt")


def test_a_run_taken_up_again_gives_the_same_and_judges_only_the_rest(tmp_path: Path) -> None:
    records = easy(6, hard=2)
    whole = list(score.run(records, score.Settings(reward=("accuracy", "format"))))
    journal = Journal(tmp_path / "j", resume=False)
    stream = score.run(records, score.Settings(reward=("accuracy", "format")), journal=journal)
    assert [next(stream) for _ in range(4)] == whole[:4]
    stream.close()
    journal.close()
    journal = Journal(tmp_path / "j", resume=True)
    assert list(score.run(records, score.Settings(reward=("accuracy", "format")), journal=journal)) == whole
    assert journal.taken == 4
    journal.discard()


def test_other_rewards_take_nothing_from_an_unfinished_run(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", resume=False)
    list(score.run(easy(2), score.Settings(reward=("accuracy",)), journal=journal))
    list(score.run(easy(2), score.Settings(reward=("accuracy:places=boxed",)), journal=journal))
    assert journal.taken == 0


def test_a_worker_ends_when_its_parent_is_killed(mine: str, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    script = (
        "from stages.scoring.scorer import Scorer\nfrom stages.records.record import Record\n"
        f"record = Record(id='a', do='pid', to={str(noted)!r})\n"
        f"list(Scorer([{mine + ':told'!r}], timeout=60).score([record]))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        until(lambda: noted.exists() and noted.read_text() != "")
        worker = int(noted.read_text())
        assert alive(worker)
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not alive(worker))


def until(condition: object, limit: float = 45.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_scoring_loads_no_torch_and_easy_scoring_no_algebra() -> None:
    script = (
        "import sys\nfrom stages import score, filter\nfrom stages.records.record import Record\n"
        "record = Record(id='a', prompt='What is 3+4?', completion='we say \\\\boxed{7}', answer='7')\n"
        "rewards = ('accuracy', 'format', 'language')\n"
        "scored = score.run([record], score.Settings(reward=rewards))\n"
        "assert list(filter.run(scored))[0]['rewards']['accuracy'] == 1\n"
        "heavy = {'torch', 'sympy', 'transformers', 'numpy', 'typer', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_worker_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "look.py"
    path.write_text("import sys\ndef torch_free(record):\n    return float('torch' not in sys.modules)\n")
    record = Record(id="a", completion="\\boxed{x+x}", answer="2x")
    with Scorer(["accuracy", f"{path}:torch_free"], workers=1) as scorer:
        (scored,) = scorer.score([record])
    assert scored["rewards"] == {"accuracy": 1.0, "torch_free": 1.0}


def test_much_text_is_judged_under_the_deadline_by_any_reward() -> None:
    """A rule of linear time needs seconds for a text of megabytes; one of the usual length costs no
    process."""
    long = Record(id="a", completion="wait, " * 500_000, answer="7", lang="en")
    short = Record(id="b", completion="wait, 7", answer="7", lang="en")
    with Scorer(["behaviours*1", "format"], workers=1, timeout=1.0) as scorer:
        assert next(iter(scorer.score([short])))["rewards"]["behaviours"] == 1
        assert not scorer.pool.workers
        (scored,) = scorer.score([long])
    assert scored["rewards"]["behaviours"] is None
    assert scored["reasons"]["behaviours"] == "no verdict within 1 s"
    assert scored["rewards"]["format"] == 0
    assert scored["reward"] is None


@pytest.mark.parametrize(
    "given", [{"choices": ["a"] * 50_000}, {"prompt": [{"role": "user", "content": "a" * 10**6}]}]
)
def test_much_text_of_a_problem_is_much_text(given: dict[str, object]) -> None:
    assert scorer_of.large(Record(completion="7") | given)
    assert not scorer_of.large(Record(completion="7", choices=list("abcd"), prompt="a" * 10**5))


def test_a_file_of_the_users_is_read_as_it_is_now_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes bytecode for that of a file of the same size and second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "own.py"
    for value in (1, 2):
        path.write_text(f"def fn(record):\n    return {value}\n")
        os.utime(path, (10**9, 10**9))
        assert spec.part(f"{path}:fn").function({}) == value
    assert os.listdir(tmp_path) == ["own.py"]
