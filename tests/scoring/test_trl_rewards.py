"""A reward function written for TRL works as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.records.record import Record
from stages.records.verdict import Counts, Verdict, verdict_of
from stages.runtime.errors import BadInput, R1Error, UsageError
from stages.scoring import spec
from stages.scoring.scorer import Scorer

THEIRS = '''
def accuracy_reward(completions, solution, **kwargs):
    """As open-r1 writes them: chat completions, a column of the data set, None to skip."""
    contents = [completion[0]["content"] for completion in completions]
    return [None if s is None else float(s in c) for c, s in zip(contents, solution)]

def plain(prompts, completions, completion_ids, **columns):
    return [len(c) + len(ids) + len(columns["lang"][0]) for c, ids in zip(completions, completion_ids)]

def strict(completions, answer):
    return [1.0 if a in c else 0.0 for c, a in zip(completions, answer)]

async def later(completions, **kwargs):
    return [0.5] * len(completions)

def short(completions, **kwargs):
    return [1.0]

def rank(completions, **kwargs):
    best = max(map(len, completions))
    return [float(len(c) == best) for c in completions]

def halves(completions, *, bonus=0.5, doubled=False, **kwargs):
    bonus = 2 * bonus if doubled else bonus
    return [{"right": 1.0, "short": bonus if len(c) < 2 else -bonus} for c in completions]

def of_code(prompts, completions, kind, **columns):
    """As TRL's guide has it for data sets of several tasks: None where it does not apply."""
    return [1.0 if each == "code" else None for each in kind]

def logs(completions, log_metric, log_extra, **kwargs):
    import numpy
    log_extra("exact", [numpy.float32(0.5)] * len(completions))
    log_metric("longest", max(map(len, completions)))
    log_extra("seen", completions)
    log_extra("size", list(map(len, completions)))
    return iter([1.0] * len(completions))

def turns(completions, **kwargs):
    return [float(len(each)) for each in completions]

def ours(record, *, scale: float = 1.0):
    return {"accuracy": scale, "length": -0.25}

async def ours_later(record):
    return 0.25, "waited"

def fields(completion, answer):
    return 1.0

def nothing():
    return 1.0

def named_only(*, record):
    return 1.0
'''


@pytest.fixture(autouse=True)
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_rewards.py").write_text(THEIRS)
    monkeypatch.chdir(tmp_path)


def judged(name: str, *records: Record) -> list[tuple[object, ...]]:
    """The verdicts of one reward on the completions of a problem, in this process."""
    part = spec.part(name)
    return [tuple(each) for each in part.function(list(records), **part.options)]


def scored(name: str, *records: Record) -> list[float | None]:
    with Scorer([name], workers=1) as scorer:
        return [record["reward"] for record in scorer.score(records)]


def test_chat_prompts_make_chat_completions_and_fields_are_columns() -> None:
    chat = [{"role": "user", "content": "3+4?"}]
    records = [
        Record(id=f"a#{k}", prompt=chat, completion=text, solution=solution)
        for k, (text, solution) in enumerate([("it is 7", "7"), ("it is 8", "7"), ("7", None)])
    ]
    assert scored("trl:their_rewards.accuracy_reward", *records) == [1.0, 0.0, None]


def test_an_option_renames_a_field() -> None:
    record = Record(id="a#0", prompt=[{"role": "user", "content": "?"}], completion="7", answer="7")
    assert scored("trl:their_rewards.accuracy_reward:solution=answer*2", record) == [2.0]


def test_plain_prompts_make_plain_completions_with_their_ids() -> None:
    record = Record(id="a#0", prompt="?", completion="abc", completion_ids=[1, 2], lang="en")
    assert scored("trl:their_rewards.plain", record) == [7.0]
    assert scored("their_rewards.py:plain", record) == [7.0], "the parameters say what it is"
    assert judged("trl:./their_rewards.py:plain", record) == [(7.0, "")]


def test_a_function_without_columns_gets_only_what_it_names() -> None:
    record = Record(id="a#0", prompt="?", completion="7", answer="7", more=1)
    assert scored("trl:their_rewards.strict", record) == [1.0]


def test_a_coroutine_is_awaited() -> None:
    assert scored("trl:their_rewards.later", Record(id="a#0", completion="7")) == [0.5]


def test_the_completions_of_a_problem_come_together() -> None:
    records = [Record(id=f"{p}#{k}", completion="x" * (k + 1)) for p in "ab" for k in range(2)]
    assert scored("trl:their_rewards.rank", *records) == [0.0, 1.0, 0.0, 1.0]


def test_what_does_not_fit_is_said_and_never_scored() -> None:
    records = [Record(id=f"a#{k}", completion="7") for k in range(2)]
    with pytest.raises(R1Error, match="1 values for 2 completions"):
        scored("trl:their_rewards.short", *records)
    with pytest.raises(BadInput, match=r"needs a field 'completion_ids'"):
        scored("trl:their_rewards.plain", *records)
    with pytest.raises(UsageError, match="no function 'none'"):
        spec.part("trl:their_rewards.none")
    with pytest.raises(UsageError, match="ModuleNotFoundError"):
        spec.part("trl:nowhere.fn")
    with pytest.raises(UsageError, match=r"write trl:MODULE\.FUNCTION"):
        spec.part("trl:accuracy_reward")
    with pytest.raises(BadInput, match=r"no field 'gold', which is to be the function's 'solution'; it has"):
        judged("./their_rewards.py:accuracy_reward:solution=gold", *records)
    with pytest.raises(UsageError, match=r"bonus=much must be a number"):
        spec.part("./their_rewards.py:halves:bonus=much")
    for value in ("1", "true", "yes", "0", "false", "no"):  # as for a function of records
        spec.part(f"./their_rewards.py:halves:doubled={value}")
    with pytest.raises(UsageError, match=r"doubled=2 must be true or false"):
        spec.part("./their_rewards.py:halves:doubled=2")
    for value in ("inf", "nan", "-inf"):
        with pytest.raises(UsageError, match=r"bonus -?(inf|nan): must be a finite number"):
            spec.part(f"./their_rewards.py:halves:bonus={value}")
    with pytest.raises(UsageError, match=r"no parameter 'answr'; it takes \(completions, answer\)"):
        spec.part("./their_rewards.py:strict:answr=gold")
    with pytest.raises(UsageError, match=r"bonus is given twice"):
        spec.part("./their_rewards.py:halves:bonus=1,bonus=2")


def test_the_parameters_tell_which_kind_a_function_is() -> None:
    own = Record(id="a#0", completion="7")
    assert judged("./their_rewards.py:rank", own) == [(1.0, "")]
    for name in ("nothing", "named_only"):
        with pytest.raises(UsageError, match=r"neither a record as in .* nor lists .*call its first param"):
            spec.part(f"./their_rewards.py:{name}")
    with pytest.raises(UsageError, match=r"needs answer=VALUE; a function that takes fields .*\*\*columns"):
        spec.part("./their_rewards.py:fields")
    with pytest.raises(UsageError, match=r"takes \(record, .*; for records give .*their_rewards\.py:ours,"):
        spec.part("trl:their_rewards.ours")
    with pytest.raises(UsageError, match="cannot read the parameters"):
        spec.part("trl:builtins.max")


def test_a_dict_is_a_reward_of_parts_with_either_signature() -> None:
    record = Record(id="a#0", prompt="?", completion="7")
    rewards = ("./their_rewards.py:ours:scale=2*0.5", "./their_rewards.py:halves:bonus=0.25",
               "./their_rewards.py:ours_later")  # fmt: skip
    with Scorer(rewards, workers=1) as scorer:
        (made,) = scorer.score([record])
    assert made["rewards"] == {
        "ours": 1.75, "ours/accuracy": 2.0, "ours/length": -0.25, "ours_later": 0.25,
        "halves": 1.25, "halves/right": 1.0, "halves/short": 0.25,
    }  # fmt: skip
    assert made["reward"] == 1.75 * 0.5 + 1.25 + 0.25
    assert made["reasons"]["ours_later"] == "waited"


def test_what_a_part_of_a_dict_may_be() -> None:
    assert verdict_of({"reward": 0.5, "a": 1, "b": None}) == Counts(0.5, "", {"a": 1.0, "b": None})
    assert verdict_of(({"a": 1, "b": None}, "why")) == Counts(None, "why", {"a": 1.0, "b": None})
    assert verdict_of({"reward": 2}) == Verdict(2.0, "")
    with pytest.raises(ValueError, match="empty dict"):
        verdict_of({})
    with pytest.raises(ValueError, match="finite"):
        verdict_of({"a": float("nan")})
    with pytest.raises(TypeError, match=r"of type list: it must be a number, None, a dict"):
        verdict_of([1.0])


def test_none_of_a_function_for_trl_leaves_the_sum_to_the_others() -> None:
    records = [Record(id=f"{kind}#0", prompt="?", completion="7", answer="7", kind=kind) for kind in
               ("code", "maths")]  # fmt: skip
    of_code = "./their_rewards.py:of_code"
    with Scorer(["accuracy", f"{of_code}*2"], workers=1) as scorer:
        both = list(scorer.score(records))
    assert [each["reward"] for each in both] == [3.0, 1.0]
    assert both[1]["rewards"] == {"accuracy": 1.0, "of_code": None}
    assert both[1]["reasons"]["of_code"] == "not applicable: the function gave None"
    assert scored(of_code, *records) == [1.0, None], "where none applies there is no reward"


def test_what_it_logs_stands_beside_its_reward() -> None:
    records = [Record(id=f"a#{k}", completion="7" * (k + 1)) for k in range(2)]
    assert judged("./their_rewards.py:logs", *records) == [
        (1.0, "seen: 7", {"longest": 2.0, "exact": 0.5, "size": 1.0}),
        (1.0, "seen: 77", {"longest": 2.0, "exact": 0.5, "size": 2.0}),
    ]


def test_a_completion_of_several_turns_comes_with_all_of_them() -> None:
    said = [{"role": "assistant", "content": "a"}, {"role": "tool", "content": "b"},
            {"role": "assistant", "content": "c"}]  # fmt: skip
    record = Record(id="a#0", prompt=[{"role": "user", "content": "?"}], completion=said)
    assert scored("./their_rewards.py:turns", record) == [3.0]


def test_trls_own_rewards_work() -> None:
    chat = [{"role": "user", "content": "3+4?"}]
    record = Record(id="a#0", prompt=chat, completion="<think>3+4</think>\\boxed{7}", solution="7")
    assert judged("trl:trl.rewards.think_format_reward", record) == [(1.0, "")]
    ((value, reason),) = judged("trl:trl.rewards.accuracy_reward", record)
    assert (value, reason[:11]) == (1.0, "solution: 7")
