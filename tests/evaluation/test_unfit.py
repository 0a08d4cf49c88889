"""What a model's context does not hold is named and counted, and the rest is measured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import R1, Heard
from models import fresh

from stages.eval import Settings, run
from stages.evaluation.figures import Figures
from stages.evaluation.unfit import Unfit
from stages.records import jsonl
from stages.records.record import Record
from stages.rewards.bfcl import bfcl
from stages.runtime.errors import BadInput, TooLong
from stages.scoring.again import tried
from stages.scoring.scorer import Scorer
from stages.settings.groups import Endpoint, Engine, Sampling
from tests.served import Served, says

CPU = Engine(backend="transformers", device="cpu", threads=1)
WHY = "the prompt has 300 tokens, the model's context 256"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh(tmp_path_factory.mktemp("unfit") / "model")


def problems(path: Path, *lengths: int) -> str:
    rows = [{"id": f"p{k}", "prompt": "x" * n, "answer": "7"} for k, n in enumerate(lengths)]
    path.write_bytes(b"".join(jsonl.encode(row) for row in rows))
    return str(path)


def measured(model: Path, *files: str, **more: Any) -> Any:
    report = more.pop("report", Heard())
    asked = Settings(
        model=str(model), benchmark=files, samples=2, template="none", sampling=Sampling(max_tokens=4),
        engine=CPU, workers=1, **more,
    )  # fmt: skip
    return run(settings=asked, report=report)


def test_a_problem_too_long_is_named_unjudged_and_counted(model: Path, tmp_path: Path) -> None:
    file, save, heard = problems(tmp_path / "a.jsonl", 5, 300, 9), tmp_path / "kept.jsonl", Heard()
    found = measured(model, file, save=save, report=heard, curves=tmp_path / "curves.jsonl")
    (row,) = found.records
    assert (row["problems"], row["completions"], row["unjudged"], row["unasked"]) == (3, 6, 2, 2)
    assert (row["pass@1"], row["pass@1_if_unjudged_wrong"]) == (0, 0)
    assert 0 < row["completions/mean_length"] <= 4
    assert row["tokens_in"] == 2 * (5 + 9)
    assert [line for line in heard.said if WHY in line] == [
        f"{file}:2: problem 'p1': {WHY}; it is not asked, and unjudged"
    ]
    assert found.unfit.startswith(
        "problems that the model's context does not hold: 1 not asked; give a model"
    )
    kept = list(jsonl.read_file(str(save)))
    assert [each.get("unasked") for each in kept] == [None, None, WHY, WHY, None, None]
    assert (kept[2]["reward"], kept[2]["reasons"], "finish" in kept[2]) == (
        None, {"accuracy": f"not asked: {WHY}"}, False,
    )  # fmt: skip
    with Scorer(["accuracy", "length"], workers=1) as scorer:
        again = list(scorer.score(kept))
    assert [each["rewards"]["length"] is None for each in again] == [False, False, True, True, False, False]
    (read,) = run(kept, Settings(reward=("accuracy",), workers=1)).records
    assert {**read, "protocol": 0, "settings": 0, "benchmark": 0, "versions": 0} == {
        **row, "protocol": 0, "settings": 0, "benchmark": 0, "versions": 0,
    }  # fmt: skip


def test_a_benchmark_of_which_nothing_fits_does_not_stop_another(model: Path, tmp_path: Path) -> None:
    none, some = problems(tmp_path / "a.jsonl", 300, 310), problems(tmp_path / "b.jsonl", 5)
    heard = Heard()
    found = measured(model, none, some, pass_k=(2,), report=heard, curves=tmp_path / "curves.jsonl")
    assert not [line for line in heard.said if "pass@1 needs" in line]
    assert [(row["pass@1"], row.get("unasked", 0)) for row in found.records] == [(None, 4), (0, 0)]
    assert found.records[0]["completions/mean_length"] is None
    with pytest.raises(TooLong, match=f"a.jsonl:1: {WHY}; give a model of a longer context"):
        measured(model, none)


def test_the_command_ends_with_65_after_the_figures(r1: R1, model: Path, tmp_path: Path) -> None:
    file = problems(tmp_path / "a.jsonl", 300, 9)
    words = ("eval", "-m", model, "--device", "cpu", "-b", file, "-k", "1", "-t", "none", "--max-tokens", "4")
    done = r1(*words)
    assert done.returncode == 65, done.stderr
    assert json.loads(done.stdout)["unasked"] == 1
    assert b"problems that the model's context does not hold: 1 not asked" in done.stderr.splitlines()[-1]
    assert r1(*words, "--fail-under", "0.5").returncode == 1


def test_texts_to_compare_that_do_not_fit_are_left_unasked(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "x" * n, "answer": " a", "continuations": [" a", " bb"]} for n in (9, 400)]
    (tmp_path / "a.jsonl").write_bytes(b"".join(jsonl.encode(row) for row in rows))
    (row,) = measured(model, str(tmp_path / "a.jsonl"), reward=("accuracy",)).records
    assert (row["completions"], row["unasked"]) == (4, 2)


def test_a_server_that_says_so_is_understood() -> None:
    served, heard = Served(), Heard()
    said = "This model's maximum context length is 256 tokens. However, your request has 300 input tokens."
    served.reply = lambda body: (
        (400, {"error": {"message": said}}) if "long" in str(body["messages"]) else says("It is 7")
    )
    asked = Settings(
        model="m", samples=2, template="chat", reward=("accuracy",), workers=1,
        engine=Engine(backend="openai"), endpoint=Endpoint(base_url=(served.url,)),
    )  # fmt: skip
    records = [
        Record(id=f"p{k}", prompt=prompt, answer="7", place=f"a.jsonl:{k}")
        for k, prompt in enumerate(("long", "brief"))
    ]
    try:
        found = run(records, asked, report=heard)
        served.reply = lambda body: (400, {"error": {"message": "Too rude."}})
        with pytest.raises(BadInput, match=r"a.jsonl:\d: the server refused it: 400 Too rude"):
            run(records, asked)
    finally:
        served.stop()
    (row,) = found.records
    assert (row["pass@1"], row["unasked"], row["unjudged"]) == (1, 2, 2)
    assert len([line for line in heard.said if said in line]) == 1


class Twice:
    """A scorer that has everything asked once more, and finds wrong what ended early."""

    parts = (SimpleNamespace(name="twice", again=True),)

    def score(self, records: Iterable[Record]) -> list[Record]:
        return [each.adding(rewards={"twice": float("ended_early" not in each)}) for each in records]

    def asked_next(self, part: Any, records: list[Record]) -> list[Any]:
        return [None if each.get("tries") else ({"tries": 1}, [{"role": "user"}]) for each in records]


def test_a_conversation_that_outgrows_the_context_ends_there_and_is_judged_anew() -> None:
    first = [
        Record(id=f"{k}#0", group=str(k), prompt="?", completion="a", rewards={"twice": None})
        for k in range(2)
    ]
    first.append(Record(id="2#0", group="2", prompt="?", completion="", unasked=WHY, rewards={"twice": None}))

    def ask(problems: Iterable[Record]) -> list[Record]:
        short, long = problems
        answered = short.adding(completion="b", rewards={"twice": 1.0})
        return [answered, long.adding(completion="", unasked=WHY, rewards={"twice": None})]

    scorer: Any = Twice()
    heard = Heard()
    unfit = Unfit(heard)
    done = list(unfit.look(tried(first, scorer, ask)))
    assert [(each["completion"], each["rewards"]["twice"]) for each in done] == [
        ("b", 1), ("a", 0), ("", None),
    ]  # fmt: skip
    assert done[1]["ended_early"] == WHY
    assert [line.rpartition("; ")[2] for line in heard.said] == [
        "the conversation ends there", "it is not asked, and unjudged",
    ]  # fmt: skip
    assert unfit.told() is not None
    assert "1 not asked, 1 whose conversation ended early" in str(unfit.told())
    figures = Figures({}, ["twice"], 1.0)
    for each in done:
        figures.add(each, vote=None, mixing=None)
    made = figures.figures()
    assert (made["unasked"], made["ended_early"], made["pass@1"]) == (1, 1, 0.5)


def test_bfcl_counts_a_conversation_that_ended_early_as_wrong() -> None:
    record = {
        "category": "multi_turn_base", "function": [], "completion": "[ls()]", "ended_early": WHY,
    }  # fmt: skip
    verdict = bfcl(record)
    assert verdict.value == 0
    assert verdict.reason == f"the conversation ended early: {WHY}"
