"""`r1 score --check`: what the rewards could not judge is said before there is a completion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages import score
from stages.programs import compiled
from stages.records.record import Record
from stages.rewards import code
from stages.runtime.errors import BadInput, R1Error, UsageError
from stages.runtime.report import SILENT
from stages.scoring.preflight import check_judgeable, faults

SUM = {"id": "s", "prompt": "What is 3+4?", "answer": "7"}


def found(*specs: str, template: str | None = None, **fields: Any) -> dict[str, str]:
    """What `specs` say of one problem."""
    ((_, reasons),) = faults([Record({**SUM, **fields})], specs, template=template, workers=1)
    return reasons


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("7", None),
        ("Paris", None),
        ("\\frac{1}{2}", None),
        ("\\text{C}", None),
        (None, "no reference answer"),
        ({"value": 7}, "an object, not a text"),
        ("#### ", "is empty"),
        ("\\frac{1}{", "cannot be read as mathematics"),
        ("2^{2^{2^{2^9}}}", "a tower of powers"),
    ],
)
def test_a_reference_that_accuracy_cannot_use_is_a_fault(answer: Any, why: str | None) -> None:
    reasons = found("accuracy", answer=answer)
    assert why in reasons["accuracy"] if why else reasons == {}


@pytest.mark.parametrize("spec", ["language", "soft_overlong", "soft_overlong:cache=16", "cosine", "length"])
def test_a_run_may_learn_from_what_an_empty_completion_does_not_earn(spec: str) -> None:
    check_judgeable([Record(SUM)], ["accuracy", spec], SILENT)


def test_a_run_is_refused_where_no_problem_has_a_language() -> None:
    with pytest.raises(BadInput, match="no target language"):
        check_judgeable([Record({**SUM, "prompt": "3+4"})], ["language"], SILENT)


def test_a_choice_is_judged_by_its_options_not_by_their_mathematics() -> None:
    assert found("accuracy", answer=1, choices=["$r^{-1} \\circ p$", "$p \\circ \\sin^2 t$"]) == {}


@pytest.mark.parametrize("template", ["r1-zero", "r1", "chat", "none"])
def test_each_template_of_the_house_can_earn_the_format_reward(template: str) -> None:
    assert found("format", template=template) == {}


@pytest.mark.parametrize(
    ("text", "style", "why"),
    [
        ("<answer> {prompt}{prefill}<think>\n", "auto", None),
        ("{prompt}{prefill}<think>\nLet me see.", "auto", None),
        ("{prompt}{prefill}Let me see. ", "auto", None),
        ("<answer> {prompt}{prefill}<think>\n</think>", "auto", "the thinking is empty"),
        ("{prompt}{prefill}<answer>", "auto", "<think> is missing"),
        ("{prompt}{prefill}<think>", "think-answer", "<answer> is missing"),
        ("{prompt}{prefill}<think><think>", "think", "<think> stands 2 times"),
    ],
)
def test_a_prefill_that_no_completion_can_mend_is_a_fault(
    text: str, style: str, why: str | None, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text(text)
    reasons = found(f"format:style={style}", template=str(tmp_path / "mine.txt"))
    assert why in reasons["format"] if why else reasons == {}


PAIRS = [{"input": "3 4", "output": "7"}]
ASSERTS = {"test_list": ["assert inc(1) == 2"]}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"tests": PAIRS}, None),
        ({**ASSERTS, "code": "def inc(x):\n    return x + 1"}, None),
        ({}, "the record has no tests"),
        ({"tests": {"inputs": ["1"], "outputs": []}}, "1 inputs, 0 outputs"),
        ({"tests": PAIRS, "language": "cobol"}, "programs in 'cobol' cannot be run"),
        ({"test_list": ["assert inc(1) =="]}, "the tests failed"),
        ({**ASSERTS, "code": "def inc(x):\n    return x"}, "0, where 1 is due"),
    ],
)
def test_tests_that_cannot_run_or_fail_their_own_solution_are_a_fault(
    fields: dict[str, Any], why: str | None
) -> None:
    reasons = found("code:sandbox=none", **fields)
    assert why in reasons["code"] if why else reasons == {}


def test_a_missing_compiler_is_a_fault_of_the_problems_in_its_language(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: None)
    problem = {**SUM, "tests": PAIRS}
    ((completion, _),) = code.probes(problem)
    values = {
        language: code.code({**problem, "language": language, "completion": completion}, sandbox="none")
        for language in ("python", "cpp")
    }
    assert values["python"].value == 0
    assert values["cpp"].value is None
    assert "no g++ here" in values["cpp"].reason


def test_a_target_language_that_nobody_knows_is_a_fault() -> None:
    assert "no target language" in found("language", prompt="3+4=?")["language"]
    assert found("language:lang=en", prompt="3+4=?") == {}


def test_a_rule_of_ones_own_says_what_must_be_judged(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "def brief(record, *, most=3):\n    return float(len(record['completion']) <= most)\n"
        "def probes(problem, **options):\n    return [('7', 1.0), (problem['answer'], 1.0)]\n"
    )
    assert found(f"{mine}:brief") == {}
    assert "0, where 1 is due" in found(f"{mine}:brief", answer="seven")["brief"]


def test_problems_stream_in_order_with_their_faults_merged() -> None:
    taken = 0

    def endless() -> Iterator[Record]:
        nonlocal taken
        while True:
            taken += 1
            yield Record({"id": taken, "prompt": "3+4=?", "answer": "7" if taken % 3 else None})

    checked = faults(endless(), ["accuracy", "language"], workers=1)
    ids = [(problem["id"], sorted(reasons)) for problem, reasons in (next(checked) for _ in range(600))]
    assert ids[:3] == [(1, ["language"]), (2, ["language"]), (3, ["accuracy", "language"])]
    assert [name for name, _ in ids] == list(range(1, 601))
    assert taken <= 600 + 2


def test_options_that_make_no_sense_are_usage_errors() -> None:
    for options, why in (
        ({"check": True, "reward": ("length",)}, "says nothing of a problem alone"),
        ({"check": True, "reward": ("format",), "template": "r1-zer"}, "no template"),
        ({"template": "r1"}, "--template is for --check"),
    ):
        with pytest.raises(UsageError, match=why):
            list(score.run([Record(SUM)], score.Settings(**options)))


def test_faults_are_written_and_end_in_an_error_none_in_none() -> None:
    stream = score.run(
        [Record(SUM), Record({"id": "n", "answer": None}, place="f:2")], score.Settings(check=True)
    )
    written = next(stream)
    assert (written["id"], written["meta"]["score"]["place"]) == ("n", "f:2")
    assert written["reasons"] == {"accuracy": "the record has no reference answer"}
    assert not {"completion", "prefill", "rewards", "reward"} & set(written)
    with pytest.raises(R1Error, match="1 of 2 problems"):
        next(stream)
    assert list(score.run([Record(SUM)], score.Settings(check=True))) == []


def test_the_program_prints_faults_counts_them_and_fails(r1: R1, tmp_path: Path) -> None:
    lines = [
        SUM,
        {**SUM, "id": "b", "answer": "\\frac{1}{"},
        {**SUM, "id": "c", "answer": "\\sqrt{"},
    ]
    problems = tmp_path / "problems.jsonl"
    problems.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = r1("score", "--check", "-r", "accuracy", "-r", "format", "-t", "r1", problems)
    assert done.returncode == 1
    written = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["id"], list(line["reasons"])) for line in written] == [
        ("b", ["accuracy"]),
        ("c", ["accuracy"]),
    ]
    assert written[0]["meta"]["score"]["place"] == f"{problems}:2"
    said = done.stderr.decode()
    assert "2 × accuracy: the reference … cannot be read as mathematics" in said
    assert "checked 3 problems, 2 cannot be judged" in said
    refused = r1("score", "--check", "-o", tmp_path / "out.jsonl", problems)
    assert refused.returncode == 2
    assert b"use > FILE" in refused.stderr
    good = r1("score", "--check", "-r", "format", "-t", "r1", problems)
    assert (good.returncode, good.stdout) == (0, b"")
