"""--protocol official asks and judges as each benchmark's own program does, and says so in its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages.evaluation.benchmark import official, parse_settings, take, with_program
from stages.records.record import Record
from stages.rewards.lm_eval import lm_eval
from stages.runtime.errors import BadInput, Unavailable, UsageError

OFFLINE = {"HF_HUB_OFFLINE": "1"}


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a few rows of some published files."""
    sums = [{"question": f"What is {k} + 2?", "answer": f"It is.\n#### {k + 2}"} for k in range(8)]
    written(tmp_path / "gsm8k_test.jsonl", sums[:3])
    written(tmp_path / "gsm8k_train.jsonl", sums)
    about = {"question": "Which is even?", "choices": ["1", "2", "3", "5"], "answer": 1}
    written(tmp_path / "mmlu_test.jsonl", [{**about, "subject": s} for s in ("anatomy", "virology")])
    worked = {"category": "law", "options": ["yes", "N/A", "no"], "answer": "B", "question": "May one?"}
    steps = {**worked, "cot_content": "A: Let's think step by step. No. The answer is (B)."}
    written(tmp_path / "mmlu_pro_test.jsonl", [{**worked, "question_id": 7}])
    written(tmp_path / "mmlu_pro_validation.jsonl", [{**steps, "question_id": k} for k in range(5)])
    mbpp = {"text": "Add.", "code": "def add(a, b): return a + b", "test_list": ["assert add(1, 1) == 2"]}
    written(tmp_path / "mbpp.jsonl", [{**mbpp, "task_id": k} for k in (2, 3, 4, 11)])
    return tmp_path


def asked(name: str, data: Path, *settings: str) -> list[Record]:
    found = official(name)
    return list(take(found, data=data, settings=parse_settings(found, settings)))


@pytest.mark.full
def test_a_task_of_lm_eval_reads_the_file_of_the_data_folder_and_is_judged_without_it(data: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    found = official("gsm8k")
    assert (found.protocol, found.rewards, found.template, found.samples) == (
        "official", ("lm_eval",), "none", 1,
    )  # fmt: skip
    assert (found.sampling["temperature"], found.sampling["stop"][0]) == (0.0, "Question:")
    records = asked("gsm8k", data)
    assert len(records) == 3
    assert records[0]["prompt"].count("Answer:") == 6
    assert records[0]["prompt"].endswith("\n\nQuestion: What is 0 + 2?\nAnswer:")
    (data / "gsm8k_test.jsonl").unlink()
    verdict: Any = lm_eval({**records[0], "completion": " It is.\n#### 2 \n\nQuestion: 7"})
    assert verdict.parts == {"exact_match,strict-match": 1, "exact_match,flexible-extract": 1}
    assert lm_eval({**records[1], "completion": " #### 2"}).value == 0
    row = {"task": "gsm8k", "item": 0, "row": {"question": "?"}}
    with pytest.raises(BadInput, match="its row is none of the task"):
        lm_eval({**records[0], "completion": "2", "lm_eval": row})


def test_a_part_is_the_rows_that_name_it_and_examples_must_be_there(data: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    (record,) = asked("mmlu:virology", data)
    assert record["continuations"] == [" A", " B", " C", " D"]
    assert record["prompt"].startswith("The following are multiple choice questions (with answers) about vir")
    with pytest.raises(Unavailable, match=r"part dev, which is not .* put knowledge/mmlu_dev.jsonl beside"):
        asked("mmlu:virology", data, "shots=5")
    with pytest.raises(UsageError, match="mmlu has no 'virologie'"):
        asked("mmlu:virologie", data)
    (data / "gsm8k_test.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(BadInput, match=r"gsm8k_test.jsonl, .*gsm8k_train.jsonl.* does not read it"):
        asked("gsm8k", data)


def test_a_program_of_its_own_has_its_examples_decoding_and_rule(data: Path) -> None:
    (record,) = asked("mmlu_pro", data)
    example = (
        "Question:\nMay one?\nOptions:\nA. yes\nB. no\nAnswer: Let's think step by step. No. The answer is "
        "(B).\n\n"
    )
    head, _, rest = record["prompt"].partition("\n")
    assert head.startswith("The following are multiple choice questions (with answers) about law. Think")
    assert rest == 5 * example + example.partition(" No.")[0]
    assert official("mmlu_pro").rewards == ("mmlu_pro", "accuracy")
    (record,) = asked("mbpp", data)
    shown = (
        "You are an expert Python programmer, and here is your task: Add. Your code should pass these tests:"
        "\n\nassert add(1, 1) == 2\n[BEGIN]\n"
    )
    assert record["prompt"] == 3 * f"{shown}def add(a, b): return a + b\n[DONE]\n\n" + shown
    (bare,) = asked("mbpp", data, "shots=0")
    assert bare["prompt"] == shown.removesuffix("\n[BEGIN]\n")
    for name in ("ifeval", "humaneval"):
        assert official(name).sampling["temperature"] == 0


def test_what_has_no_program_says_which_have(r1: R1, data: Path) -> None:
    assert {"gsm8k", "mmlu", "mmlu_pro", "ifeval", "drop", "humaneval", "bbq"} <= set(with_program())
    done = r1("eval", "-m", "x", "-b", "sums", "--protocol", "official")
    assert done.returncode == 2
    assert b"sums has no program of its own here; these have one: aime24" in done.stderr
    with pytest.raises(UsageError, match=r"own\.toml says itself how it is asked"):
        official("own.toml")


@pytest.mark.full
def test_figures_say_whose_protocol_they_are_by(r1: R1, data: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    run = ("eval", "-q", "-m", "x", "--backend", "echo", "-b", "gsm8k", "--data", data, "--limit", 2)
    figures = json.loads(r1(*run, "--protocol", "official", "--save", data / "s.jsonl", env=OFFLINE).stdout)
    assert (figures["protocol"], figures["decides"], figures["k"]) == ("official", "lm_eval", 1)
    assert (figures["settings"]["temperature"], figures["settings"]["max_tokens"]) == (0, 256)
    again = json.loads(r1("eval", "-q", "--decide", "lm_eval", data / "s.jsonl").stdout)
    assert again["protocol"] == "official"
    assert json.loads(r1(*run, "-k", 1).stdout)["protocol"] == "paper"
