"""Eval end to end, on records and with a backend that generates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.eval import Settings, run
from stages.evaluation.measure import template_of
from stages.records.jsonl import Journal, encode
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.settings.groups import Engine

ECHO = Engine(backend="echo")


@pytest.fixture
def problems(tmp_path: Path) -> str:
    """Four problems, of which a model that repeats its prompt gets three right."""
    path = tmp_path / "four.jsonl"
    rows = [{"prompt": f"Is it so that the answer is {n}", "answer": str(min(n, 3))} for n in (1, 2, 3, 4)]
    path.write_bytes(b"".join(encode(row) for row in rows))
    return str(path)


def scored(model: str, values: list[float | None], **settings: Any) -> list[Record]:
    return [
        Record(
            id=f"p{i}#0",
            group=f"p{i}",
            sample=0,
            prompt="What is it?",
            completion=f"It is {i}",
            finish="stop",
            lang="en",
            rewards={"accuracy": value},
            meta={
                "prompts": {"source": "gsm8k", "split": "test", "version": "1"},
                "generate": {"model": model, "revision": "r", "tokens": 4, **settings},
            },
        )
        for i, value in enumerate(values)
    ]


def test_a_model_is_measured_on_a_benchmark(problems: str, tmp_path: Path) -> None:
    save = tmp_path / "kept.jsonl"
    found = run(
        settings=Settings(
            model="echo", benchmark=(problems,), samples=4, pass_k=(2,), engine=ECHO, save=save, seed=5
        )
    )
    (row,) = found.records
    assert (row["pass@1"], row["pass@2"], row["cons@4"]) == (0.75, 0.75, 0.75)
    assert (row["benchmark"], row["model"], row["problems"], row["k"]) == (problems, "echo", 4, 4)
    assert row["settings"]["temperature"] == 0.6
    assert row["settings"]["top_p"] == 0.95
    assert row["settings"]["seed"] == 5
    assert row["settings"]["rewards"] == ["accuracy"]
    assert row["length_unit"] == "tokens"
    assert found.failure is None
    kept = [json.loads(line) for line in save.read_bytes().splitlines()]
    assert len(kept) == 16
    (again,) = run(map(Record, kept)).records
    assert again["pass@1"] == row["pass@1"]
    assert again["digest"] == row["digest"]


def test_problems_can_come_through_the_pipe(problems: str) -> None:
    records = [Record(id=str(i), prompt=f"the answer is {i}", answer="1") for i in range(2)]
    (row,) = run(records, Settings(model="echo", samples=2, engine=ECHO)).records
    assert (row["pass@1"], row["k"]) == (0.5, 2)


def test_a_run_that_was_cut_off_goes_on(problems: str, tmp_path: Path) -> None:
    path = tmp_path / "j"

    def measured() -> tuple[dict[str, Any], int]:
        journal = Journal(path, resume=True)
        row = run(
            settings=Settings(model="e", benchmark=(problems,), samples=2, engine=ECHO), journal=journal
        ).records[0]
        journal.close()
        return row, journal.taken

    whole, taken = measured()
    assert taken == 0
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    again, taken = measured()
    assert taken == 3
    assert again == whole


def test_models_and_settings_have_rows_of_their_own() -> None:
    records = [
        *scored("base", [1.0, 0.0]),
        *scored("sft", [1.0, 1.0]),
        *scored("sft", [0.0, 0.0], temperature=1.0),
    ]
    found = run(records)
    assert [(row["model"], row["pass@1"]) for row in found.records] == [
        ("base", 0.5),
        ("sft", 1.0),
        ("sft", 0.0),
    ]
    assert found.columns[:2] == ["benchmark", "model"]
    assert [row[1] for row in found.rows] == ["base", "sft", "sft"]
    assert all(len(row) == len(found.columns) for row in found.rows)


def test_a_gate_that_is_not_met_fails() -> None:
    assert run(scored("m", [1.0, 1.0]), Settings(fail_under=1.0)).failure is None
    failure = run(scored("m", [1.0, 0.0]), Settings(fail_under=0.6)).failure
    assert failure == "pass@1 of m on gsm8k is 50.0 %, below 60.0 %"


def test_a_gate_is_met_by_its_very_share() -> None:
    """1, 2 and 3 of 10 are 20 %, which in floating point is 0.19999999999999998."""
    records = [
        record.adding(group=f"q{of}", id=f"q{of}#{k}", sample=k)
        for of in (1, 2, 3)
        for k, record in enumerate(scored("m", [float(k < of) for k in range(10)]))
    ]
    found = run(records, Settings(fail_under=0.2))
    assert found.records[0]["pass@1"] < 0.2
    assert found.failure is None


def test_a_gate_takes_what_could_not_be_judged_for_wrong() -> None:
    found = run(scored("m", [1.0, None]), Settings(fail_under=0.6))
    assert found.records[0]["pass@1"] == 1
    assert found.failure is not None


def test_a_reward_can_be_given_here() -> None:
    records = [Record(id="a#0", completion="#### 2", answer="2", prompt="1+1?")]
    (row,) = run(records, Settings(reward=("accuracy:places=hash", "format*0.5"))).records
    assert (row["pass@1"], row["decides"]) == (1, "accuracy")
    assert "rewards/format/mean" in row


def test_which_reward_decides_is_asked_where_it_is_not_clear() -> None:
    record = Record(id="a#0", completion="x", rewards={"format": 1.0, "length": 0.0})
    with pytest.raises(UsageError, match="says what is correct\\? `r1 eval --decide NAME`"):
        run([record])
    assert run([record], Settings(decide=("format",))).records[0]["pass@1"] == 1
    parted = Record(id="a#0", completion="x", rewards={"alpaca_eval": 1.0, "alpaca_eval/won": 1.0})
    assert run([parted]).records[0]["decides"] == "alpaca_eval"


def test_language_mixing_is_the_share_of_foreign_words() -> None:
    record = Record(id="a#0", prompt="?", lang="en", completion="we add 三加四</think> 7", prefill="<think>")
    (row,) = run([Record(record, rewards={"accuracy": 1.0})]).records
    assert row["mixing"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"benchmark": ("sums",)}, "add -m MODEL"),
        ({"samples": 4}, "-k counts"),
        ({"model": "m", "samples": 4, "pass_k": (8,)}, "--pass-k 8 needs"),
        ({"fail_under": 95.0}, "a share from 0 to 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run([], Settings(**options))


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(BadInput, match="no completions to measure"):
        run([])


def test_the_template_is_the_one_the_checkpoint_was_trained_with(tmp_path: Path) -> None:
    assert template_of("owner/name").name == "chat"
    assert template_of(str(tmp_path)).name == "r1-zero"
    (tmp_path / "chat_template.jinja").write_text("x")
    assert template_of(str(tmp_path)).name == "chat"
    (tmp_path / "r1.json").write_text('{"options": {"template": "none"}}')
    assert template_of(str(tmp_path)).name == "none"
    (tmp_path / "r1.json").write_text('{"options": {"template": "none", "prefill": "So"}}')
    assert template_of(str(tmp_path)).prefill == "So"
    (tmp_path / "r1.json").write_text('{"options": {"template": "r1", "student_template": "none"}}')
    assert template_of(str(tmp_path)).name == "none", "the student's, where distill gave it one of its own"
