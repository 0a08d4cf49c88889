"""What --protocol official asks is letter for letter what lm-eval's own task asks of the same rows."""

from __future__ import annotations

import ast
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from stages.evaluation.benchmark import official, take
from stages.harness import asking, tasks
from stages.rewards.lm_eval import lm_eval

MBPP: dict[str, Any] = {"code": "def f(x):\r\n  return x ", "text": "Write a function. "}
WORKED: dict[str, Any] = {
    "options": ["yes", "no", "it depends"],
    "answer": "B",
    "cot_content": "A: Let's think step by step. No. The answer is (B).",
}


def written(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def settings_of(file: str, *keys: str) -> dict[str, Any]:
    """What a YAML file of the package says, of which no function is loaded."""
    package = pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    from lm_eval.tasks._yaml_loader import load_yaml

    found = load_yaml(Path(package.__file__).parent / "tasks" / file, resolve_func=False)
    return {key: found[key] for key in keys if key in found}


def theirs(path: Path, settings: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """The prompts of a task with these settings, of which `path` is made. It runs no program."""
    import yaml

    data = path.with_suffix(".jsonl")
    written(data, rows)
    own = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "generate_until",
    }
    path.write_text(yaml.safe_dump({"task": "asked", **settings, **own}))
    return [each["prompt"] for each in asking.asked(str(path), None, tasks.load(str(path)))]


def samples() -> list[dict[str, Any]]:
    """The examples of the package's mbpp, whose module asks the hub for a metric when it is loaded."""
    package = Path(pytest.importorskip("lm_eval", reason="needs the extra lm-eval").__file__).parent
    tree = ast.parse((package / "tasks" / "mbpp" / "utils.py").read_text("utf-8"))
    (listed,) = [each for each in tree.body if getattr(each, "name", "") == "list_fewshot_samples"]
    assert isinstance(listed, ast.FunctionDef)
    assert isinstance(listed.body[0], ast.Return)
    assert listed.body[0].value is not None
    return list(ast.literal_eval(listed.body[0].value))


def check_sampling(name: str, said: dict[str, Any]) -> None:
    """Greedy, ends and number of tokens."""
    wanted = said["generation_kwargs"]
    assert wanted["do_sample"] is False
    mine = official(name).sampling
    assert mine["temperature"] == 0
    assert mine["max_tokens"] == wanted.get("max_gen_toks", asking.TOKENS)
    assert list(mine["stop"]) == wanted["until"]


@pytest.mark.full
def test_humaneval_and_mbpp_are_asked_as_lm_eval_asks_them(tmp_path: Path, request: Any) -> None:
    said = settings_of("humaneval/humaneval.yaml", "doc_to_text", "num_fewshot", "generation_kwargs")
    code = tmp_path / "code"
    code.mkdir()
    row = {"prompt": "def g(x):\n    '''Twice.\n    '''\n\n", "test": "", "entry_point": "g"}
    with gzip.open(code / "HumanEval.jsonl.gz", "wt") as stream:
        stream.write(json.dumps({**row, "task_id": "HumanEval/0", "canonical_solution": ""}) + "\n")
    check_sampling("humaneval", said)
    mine = [each["prompt"] for each in take(official("humaneval"), data=tmp_path)]
    assert mine == theirs(tmp_path / "one.yaml", {**said, "doc_to_target": "{{test}}"}, [row])

    said = settings_of(
        "mbpp/mbpp.yaml",
        *("doc_to_text", "doc_to_target", "target_delimiter", "num_fewshot", "generation_kwargs"),
    )
    shown = samples()
    tests = [f"assert f({k}) == {k} " for k in range(3)]
    asked = [{**MBPP, "task_id": number, "test_list": tests} for number in (11, 12)]
    written(code / "mbpp.jsonl", [*shown, *asked])
    check_sampling("mbpp", said)
    mine = [each["prompt"] for each in take(official("mbpp"), data=tmp_path)]
    said["fewshot_config"] = {"sampler": "first_n", "samples": shown}
    assert mine == theirs(tmp_path / "two.yaml", said, asked)


@pytest.mark.full
def test_all_that_is_published_is_asked_as_lm_eval_asks_it(tmp_path: Path, data: Path) -> None:
    said = settings_of("humaneval/humaneval.yaml", "doc_to_text", "doc_to_target")
    with gzip.open(data / "code" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    mine = [each["prompt"] for each in take(official("humaneval"), data=data)]
    assert mine == theirs(tmp_path / "one.yaml", said, rows)
    keys = ("doc_to_text", "doc_to_target", "target_delimiter", "num_fewshot")
    said = settings_of("mbpp/mbpp.yaml", *keys)
    said["fewshot_config"] = {"sampler": "first_n", "samples": samples()}
    rows = [json.loads(line) for line in (data / "code" / "mbpp.jsonl").read_text("utf-8").splitlines()]
    mine = [each["prompt"] for each in take(official("mbpp"), data=data)]
    assert mine == theirs(tmp_path / "two.yaml", said, [row for row in rows if 11 <= row["task_id"] <= 510])
    assert len(mine) == 500


@pytest.mark.full
def test_mmlu_pro_and_drop_are_asked_as_lm_eval_asks_them(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    folder = tmp_path / "knowledge"
    folder.mkdir()
    fields = ("law", "computer science")
    shown = [
        {**WORKED, "category": field, "question": f"May {k}?", "question_id": k}
        for field in fields
        for k in range(6)
    ]
    asked = [
        {**WORKED, "category": field, "question": "May one?", "question_id": 7, "options": list("abcdefghij")}
        for field in fields
    ]
    written(folder / "mmlu_pro_validation.jsonl", shown)
    written(folder / "mmlu_pro_test.jsonl", asked)
    for field in fields:
        name = f"mmlu_pro_{field.replace(' ', '_')}"
        built = tasks.over(name, {"test": asked, "validation": shown}, "")
        check_sampling("mmlu_pro", tasks.config(name).to_dict())
        (mine,) = take(official(f"mmlu_pro:{field}"), data=tmp_path)
        (wanted,) = asking.asked(name, None, built)
        assert mine["prompt"] == wanted["prompt"]

    folder = tmp_path / "reading"
    folder.mkdir()
    dates = {"date": {"day": "", "month": "May", "year": "1912"}, "number": "", "spans": []}
    spans = {"date": {}, "number": "", "spans": ["Ada", "Bo"]}
    pairs = [
        {
            "question": "Who?",
            "query_id": "q1",
            "answer": spans,
            "validated_answers": [{**spans, "number": 3}],
        },
        {"question": "When?", "query_id": "q2", "answer": dates},
    ]
    passages = {"p": {"passage": "Ada met Bo.", "qa_pairs": pairs}}
    (folder / "drop_dataset_dev.json").write_text(json.dumps(passages))
    (folder / "drop_dataset_train.json").write_text(json.dumps(passages))
    found = official("drop")
    assert (found.template, found.sampling["stop"], found.sampling["max_tokens"]) == ("none", (".",), 256)
    who, when = take(found, data=tmp_path)
    assert who["prompt"] == "Ada met Bo. Who?"
    assert [lm_eval({**when, "completion": said}).value for said in (" May 1912", " 1912")] == [1, 0]
    verdict = lm_eval({**who, "completion": " 3"})
    assert (verdict.value, verdict.parts) == (1, {"em,none": 1, "f1,none": 1})
    verdict = lm_eval({**who, "completion": " Ada"})
    assert (verdict.value, verdict.parts) == (0, {"em,none": 0, "f1,none": 0.5})
    (first, _) = take(found, data=tmp_path, settings={"shots": 1})
    assert first["prompt"].endswith("Ada met Bo. Who?")
    assert "\n\n" in first["prompt"]
