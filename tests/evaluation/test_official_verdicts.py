"""What --protocol official judges gets the verdict of lm-eval's own functions, from the same generations."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from stages.evaluation.benchmark import official, take
from stages.rewards.code import Taken, code
from stages.rewards.lm_eval import lm_eval
from tests.bench.parity import drop_passages, humaneval_by_lm_eval, mbpp_by_lm_eval
from tests.isolation import isolated

FORMS = ("{}", "```python\n{}\n```", "<think>Hm.</think>\n{}", "{}\n\nprint(1 / 0)")
WHOLE = Taken("whole")


def spoilt(solution: str) -> list[str]:
    """The solution in other forms, with a mistake, and broken off."""
    made = [form.format(solution) for form in FORMS]
    return [*made, solution.replace("return", "return not", 1), solution[: len(solution) * 3 // 4]]


def needed() -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    pytest.importorskip("evaluate", reason="needs the extra lm-eval")
    if not isolated():
        pytest.skip("programs cannot be isolated here")


def test_a_few_programs_are_judged_as_by_lm_eval(tmp_path: Path) -> None:
    needed()
    assert official("humaneval").rewards == official("mbpp").rewards == ("code:part=whole",)
    row = {
        "task_id": "HumanEval/0", "entry_point": "twice", "prompt": "def twice(x):\n    '''Twice.'''\n",
        "test": "def check(f):\n    assert f(2) == 4\n", "canonical_solution": "    return x + x\n",
    }  # fmt: skip
    with gzip.open(tmp_path / "HumanEval.jsonl.gz", "wt") as stream:
        stream.write(json.dumps(row) + "\n")
    (problem,) = take(official("humaneval"), data=tmp_path)
    for text in spoilt(row["canonical_solution"]):
        ours = code({**problem, "completion": text}, taken=WHOLE).value
        assert ours == humaneval_by_lm_eval(row, text), text
    (tmp_path / "HumanEvalPlus.jsonl").write_text(json.dumps(row) + "\n")
    (problem,) = take(official("humaneval_plus"), data=tmp_path)
    assert (problem["prompt"], official("humaneval_plus").rewards) == (row["prompt"], ("code:part=whole",))
    for text in spoilt(row["canonical_solution"]):
        ours = code({**problem, "completion": text}, taken=WHOLE).value
        assert ours == humaneval_by_lm_eval(row, text), text
    plain = {"text": "Add.", "code": "def add(a, b):\r\n    return a + b"}
    setup = {"test_setup_code": "one = add(0, 1)", "test_list": ["assert add(1, one) == 2"] * 3}
    rows = [
        {**plain, "task_id": k, "test_setup_code": "", "test_list": ["assert add(1, 1) == 2"] * 3}
        for k in (2, 3, 4, 11)
    ]
    rows.append({**plain, **setup, "task_id": 12})
    (tmp_path / "mbpp.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    for row, problem in zip(rows[3:], take(official("mbpp"), data=tmp_path), strict=True):
        for text in spoilt(plain["code"]):
            ours = code({**problem, "completion": text}, taken=WHOLE).value
            assert ours == mbpp_by_lm_eval(row, text), (row["task_id"], text)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_published_programs_are_judged_as_by_lm_eval(data: Path) -> None:
    """HumanEval: a model's completions and the solutions; MBPP: the solutions. A part of them spoilt, too.

    Every third and every fifth, with MBPP/367, whose asserts need code that lm-eval does not run;
    tests/bench/same_generations.py takes all.
    """
    needed()
    with gzip.open(data / "code/HumanEval.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = {row["task_id"]: row for row in map(json.loads, stream)}
    given = [(name, row["canonical_solution"]) for name, row in rows.items()]
    for line in (data / "code/wizardcoder_humaneval.jsonl").read_text("utf-8").splitlines():
        said = json.loads(line)
        given.append((said["task_id"], said["completion"]))
    given += [(name, text) for name, solution in given[:164:12] for text in spoilt(solution)]
    problems = {each["id"]: each for each in take(official("humaneval"), data=data)}
    for name, text in given[::3]:
        ours = code({**problems[name], "completion": text}, taken=WHOLE).value
        assert ours == humaneval_by_lm_eval(rows[name], text), (name, text)

    tasks = [json.loads(line) for line in (data / "code/mbpp.jsonl").read_text("utf-8").splitlines()]
    asked = {f"mbpp-{row['task_id']}": row for row in tasks}
    for number, problem in enumerate(take(official("mbpp"), data=data)):
        if number % 5 and problem["id"] != "mbpp-367":
            continue
        row = asked[problem["id"]]
        for text in spoilt(row["code"]) if number % 25 == 0 else [row["code"]]:
            ours = code({**problem, "completion": text}, taken=WHOLE).value
            assert ours == mbpp_by_lm_eval(row, text), (problem["id"], text)


def test_answers_to_drop_are_judged_as_by_lm_eval(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    from lm_eval.tasks.drop.utils import get_answers, process_results

    (tmp_path / "drop_dataset_dev.json").write_text(json.dumps(dict(drop_passages())))
    draw = random.Random(7)
    words = ("Ada", "the Bears", "Lions,", "Kim-Lee", "3", "3.0", "17", "1903", "May", "a", "and", "points")
    problems = list(take(official("drop"), data=tmp_path))
    judged = right = 0
    for problem in problems:
        row = problem["lm_eval"]["row"]
        answers = [" ".join(spans) for spans in get_answers(row)]
        for said in (*answers, *(" ".join(draw.sample(words, draw.randint(0, 4))) for _ in range(6))):
            text = f" {said}".partition(".")[0]
            verdict: Any = lm_eval({**problem, "completion": f"{text}. And more"})
            wanted = process_results({**row, "answers": get_answers(row)}, [text])
            assert verdict.parts == {"em,none": wanted["em"], "f1,none": wanted["f1"]}, (row, text)
            judged, right = judged + 1, right + (wanted["em"] == 1)
    assert len(problems) == 60
    assert judged > 400
    assert 60 < right < judged
