"""A mistake is told before anything that costs: in under two seconds, with no model loaded and nothing left.

tests/mistakes.py finds the pairs of stage and mistake, and walks them in a process that can load no model.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import TESTS, environment

from r1cli.main import discover
from stages import score
from stages.checkpoints import hub
from stages.checkpoints.contents import check_files
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error, Unavailable
from stages.runtime.report import Silent
from stages.scoring.preflight import check_judgeable, judgeable

LONGEST = 2.0  # seconds of the processor


@pytest.fixture(scope="module")
def walk() -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(TESTS / "mistakes.py")],
        env=environment(HF_HUB_OFFLINE="1", PYTHONPATH=str(TESTS.parent), R1_STAGES=""),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(pair: dict[str, Any]) -> str:
    return f"r1 {pair['stage']} {' '.join(pair['words'])}: {pair['outcome']['said'][-300:]}"


def test_every_stage_is_walked_with_every_kind_of_mistake(walk: list[dict[str, Any]]) -> None:
    assert {pair["stage"] for pair in walk} == set(discover())
    assert len(walk) > 700
    assert len({pair["mistake"] for pair in walk}) > 200


def test_a_mistake_ends_with_its_code_and_is_told(walk: list[dict[str, Any]]) -> None:
    """-1 stands for a library that was loaded before the mistake was seen."""
    assert [of(pair) for pair in walk if pair["outcome"]["code"] != pair["code"]] == []
    silent = [of(p) for p in walk if not p["outcome"]["said"].strip() or "bug:" in p["outcome"]["said"]]
    assert silent == []


def test_a_mistake_leaves_nothing_behind(walk: list[dict[str, Any]]) -> None:
    assert [of(pair) for pair in walk if pair["outcome"]["left"]] == []


def test_a_mistake_takes_no_time(walk: list[dict[str, Any]]) -> None:
    assert [of(pair) for pair in walk if pair["outcome"]["seconds"] > LONGEST] == []


@pytest.mark.parametrize("name", ["./zoro", "../zoro", "/zoro", "~/zoro", "ckpt/zoro", "ckpt/zoro/", "a/b/c"])
def test_what_looks_like_a_path_is_never_sought_on_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(model: str) -> None:
        raise AssertionError(f"the hub was asked for {model}")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpt" / "zero").mkdir(parents=True)
    (tmp_path / "ckpt" / "zero" / "config.json").write_text("{}")
    monkeypatch.setattr(hub, "_ask", asked)
    with pytest.raises(Unavailable, match="there is no such directory") as told:
        check_files(name)
    assert ("did you mean ckpt/zero?" in str(told.value)) == name.startswith("ckpt/")
    with pytest.raises(AssertionError, match="the hub was asked for elsewhere/zoro"):
        check_files("elsewhere/zoro")


def test_a_hub_that_does_not_answer_is_not_waited_for() -> None:
    began = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        hub._within(0.05, lambda: time.sleep(1))
    assert time.perf_counter() - began < 0.9
    with pytest.raises(KeyError):
        hub._within(10, lambda: {}["what it says is passed on"])


def test_problems_that_no_reward_can_judge_are_refused_and_a_few_are_counted() -> None:
    class Heard(Silent):
        def note(self, text: str) -> None:
            said.append(text)

    said: list[str] = []
    whole = [Record({"id": f"w{k}", "prompt": "1+1=?", "answer": "2"}) for k in range(3)]
    bare = [Record({"id": str(k), "prompt": "1+1=?"}, place=f"f:{k}") for k in range(1, 3)]
    check_judgeable(whole, ["accuracy"], Heard())
    assert said == []
    check_judgeable([*whole, *bare], ["accuracy", "length"], Heard())
    assert said == [
        "2 of 5 problems cannot be judged and teach nothing, the first at f:1: accuracy: the record has no "
        "reference answer"
    ]
    with pytest.raises(BadInput, match=r"^f:1: cannot be judged, nor any of the 1 after it: accuracy: "):
        check_judgeable(bare, ["accuracy"], Heard())
    check_judgeable(bare, ["format", "accuracy*0"], Heard())
    assert list(judgeable([*bare, *whole], ["accuracy"])) == [*bare, *whole]


def test_a_stream_is_read_no_further_than_it_must() -> None:
    read: list[int] = []

    def stream(fields: dict[str, Any]) -> Any:
        for k in range(1000):
            read.append(k)
            yield Record({"id": str(k), "prompt": "1+1=?", **fields})

    next(judgeable(stream({"answer": "2"}), ["accuracy"]))
    assert len(read) == 1
    read.clear()
    with pytest.raises(BadInput, match="nor any of the 999 after it"):
        judgeable(stream({}), ["accuracy"])
    late = [*stream({}), *stream({"answer": "2"})]
    assert list(judgeable(late, ["accuracy"])) == late


def test_only_score_speaks_of_its_own_option(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def bad(record):\n    return 1 / 0\n")
    record = Record(id="a#0", completion="2", place="f:1")
    with pytest.raises(R1Error, match=r"; mend it, or give --on-error null$"):
        list(score.run([record], score.Settings(reward=(f"{tmp_path}/bad.py:bad",))))
