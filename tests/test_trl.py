"""A reward function written for TRL works as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.data.errors import BadInput, R1Error, UsageError
from stages.data.record import Record
from stages.rewards import spec
from stages.rewards.scorer import Scorer

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
'''


@pytest.fixture(autouse=True)
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_rewards.py").write_text(THEIRS)
    monkeypatch.chdir(tmp_path)


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
    assert scored("trl:./their_rewards.py:plain", record) == [7.0]


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
