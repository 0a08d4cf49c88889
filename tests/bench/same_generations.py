"""Verdicts of r1's own rules beside those of lm-eval's scorers, from the same generations, item for item.

    pip install -c constraints.txt -e '.[lm-eval]'
    python tests/bench/same_generations.py [RULE...]

RULE is gsm8k, math, mmlu_pro, spans (DROP and BBQ, by lm_eval_rules.py), programs (HumanEval and MBPP, by the
functions of lm-eval's tasks, with what stands for `code_eval` in parity.py) or lighteval, which alone is none
of the default. LIGHTEVAL names the Python of an environment with lighteval, whose requirements are not r1's:
its metrics judge GSM8K and MATH-500, too.

Generations are those of the data folder, which R1_DATA names: 500 solutions of GSM8K by two models, with
labels; the pairs of Math-Verify's tests, and MATH-500's own solutions with those of other problems; 3,000
answers of Mixtral to MMLU-Pro. Each item that differs is a line, which says what is right where a label says
so.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from stages.harness.judging import judged
from stages.harness.tasks import load
from stages.rewards.accuracy import accuracy
from stages.rewards.code import Taken, code
from stages.rewards.mmlu_pro import mmlu_pro
from tests.bench.parity import humaneval_by_lm_eval, mbpp_by_lm_eval

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data"))
SHOWN = 200  # items that differ, of each pair of rules


class Item(NamedTuple):
    """One generation; `right` is what a label says, where there is one."""

    name: str
    ours: float | None
    theirs: float
    right: bool | None
    said: str


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def task(folder: Path, name: str, settings: dict[str, Any], data: list[dict[str, Any]]) -> Any:
    """A task of lm-eval with these settings over local rows."""
    import yaml

    path = folder / f"{name}_rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in data))
    own = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
    }
    made = folder / f"{name}.yaml"
    made.write_text(yaml.safe_dump({"task": name, "output_type": "generate_until", **settings, **own}))
    return load(str(made))


def published(path: str, *keys: str) -> dict[str, Any]:
    """What a YAML file of the package says of these."""
    import lm_eval
    from lm_eval.tasks._yaml_loader import load_yaml

    found = load_yaml(Path(lm_eval.__file__).parent / "tasks" / path, resolve_func=False)
    return {key: found[key] for key in keys}


def gsm8k(folder: Path) -> Iterator[tuple[str, Iterator[Item]]]:
    """The solutions end in `A: N`, and are given as GSM8K's own, which end in `#### N`."""
    data = rows("grader/gsm8k_openai.jsonl")
    settings = published(
        "gsm8k/gsm8k.yaml", "doc_to_text", "doc_to_target", "metric_list", "filter_list", "generation_kwargs"
    )
    docs = [{"question": row["question"], "answer": f"#### {row['gold']}"} for row in data]
    found = task(folder, "gsm8k", settings, docs)
    texts = ["\n#### ".join(row["prediction"].rsplit("\nA: ", 1)) for row in data]
    theirs = [judged(found, row, text).values for row, text in zip(found.task_docs, texts, strict=True)]

    def items(metric: str) -> Iterator[Item]:
        for row, text, values in zip(data, texts, theirs, strict=True):
            ours = accuracy({"prompt": row["question"], "answer": row["gold"], "completion": text}).value
            yield Item(f"gold {row['gold']}", ours, values[metric], row["label"], text[-60:])

    for metric in theirs[0]:
        yield f"GSM8K: accuracy, lm-eval's {metric}", items(metric)


def letters(folder: Path) -> Iterator[tuple[str, Iterator[Item]]]:
    """A label is whether the letter that the benchmark's own program took is the right one."""
    data = rows("eval/mmlu_pro_mixtral.jsonl")
    settings = published(
        "mmlu_pro/_default_template_yaml", "doc_to_target", "filter_list", "metric_list", "generation_kwargs"
    )
    docs = [{"question": row["question"], "answer": row["answer"]} for row in data]
    found = task(folder, "mmlu_pro", {**settings, "doc_to_text": "{{question}}"}, docs)
    theirs = [
        judged(found, doc, row["output"]).values for doc, row in zip(found.task_docs, data, strict=True)
    ]

    def items(rule: Callable[[dict[str, Any]], Any]) -> Iterator[Item]:
        for row, values in zip(data, theirs, strict=True):
            record = {
                "prompt": row["question"], "answer": row["answer"], "choices": row["options"],
                "completion": row["output"],
            }  # fmt: skip
            (value,) = values.values()
            right = None if row["pred"] is None else row["pred"] == row["answer"]
            yield Item(f"gold {row['answer']}", rule(record).value, value, right, row["output"].strip()[-60:])

    yield "MMLU-Pro: mmlu_pro (unread=wrong), lm-eval", items(lambda each: mmlu_pro(each, unread="wrong"))
    yield (
        "MMLU-Pro: mmlu_pro (alone=false,unread=wrong), lm-eval",
        items(lambda each: mmlu_pro(each, alone=False, unread="wrong")),
    )
    yield "MMLU-Pro: accuracy, lm-eval", items(accuracy)


def math(_: Path) -> Iterator[tuple[str, Iterator[Item]]]:
    """The answer in a box for r1, between dollars for lm-eval, as each reads it."""
    from lm_eval.tasks.hendrycks_math.utils import process_results

    def item(solution: str, gold: str, said: str, right: bool) -> Item:
        ours = accuracy({"answer": gold, "completion": f"So it is $\\boxed{{{said}}}$."}).value
        bare = said.strip().strip("$")
        theirs = float(process_results({"solution": solution}, [f"So it is ${bare}$."])["exact_match"])
        return Item(f"gold {gold}", ours, theirs, right, said)

    pairs = rows("grader/math_verify_tests.jsonl")
    problems = rows("math/math500.jsonl")
    yield (
        "MATH-500, own and other answers: accuracy, lm-eval's hendrycks_math",
        (
            item(row["solution"], row["answer"], other["answer"], row["answer"] == other["answer"])
            for index, row in enumerate(problems)
            for other in (row, problems[index - 1])
        ),
    )
    yield (
        "Math-Verify's tests: accuracy, lm-eval's hendrycks_math",
        (item(f"\\boxed{{{row['gold']}}}", row["gold"], row["prediction"], row["label"]) for row in pairs),
    )


def programs(_: Path) -> Iterator[tuple[str, Iterator[Item]]]:
    """A model's completions, and solutions as they are and spoilt."""
    with gzip.open(DATA / "code/HumanEval.jsonl.gz", "rt", encoding="utf-8") as stream:
        problems = {row["task_id"]: row for row in map(json.loads, stream)}
    given = [(row, row["canonical_solution"]) for row in problems.values()]
    given += [
        (problems[row["task_id"]], row["completion"]) for row in rows("code/wizardcoder_humaneval.jsonl")
    ]
    given += [(row, text) for row, solution in given[:164:4] for text in spoilt(solution)]
    yield (
        "HumanEval: code (part=whole), lm-eval's humaneval",
        programs_of(iter(given), humaneval_by_lm_eval),
    )
    tasks = [row for row in rows("code/mbpp.jsonl") if 11 <= row["task_id"] <= 510]
    tasks = [{**row, "test_setup_code": ""} for row in tasks]  # as `--protocol official` gives them
    given = [(row, row["code"]) for row in tasks]
    given += [(row, text) for row, solution in given[::20] for text in spoilt(solution)]
    yield "MBPP: code (part=whole), lm-eval's mbpp", programs_of(iter(given), mbpp_by_lm_eval)


def spoilt(solution: str) -> list[str]:
    """The solution in other forms, and with a mistake."""
    return [
        f"```python\n{solution}\n```",
        f"<think>Hm.</think>\n{solution}",
        solution.replace("return", "return not", 1),
        solution[: len(solution) * 3 // 4],
    ]


def programs_of(
    given: Iterator[tuple[dict[str, Any], str]], theirs: Callable[[dict[str, Any], str], float]
) -> Iterator[Item]:
    for row, text in given:
        ours = code({**row, "completion": text}, taken=Taken("whole")).value
        yield Item(str(row["task_id"]), ours, theirs(row, text), None, text[-60:])


THEIRS = """
import json, sys
from lighteval.metrics.dynamic_metrics import MultilingualExtractiveMatchMetric
from lighteval.metrics.utils.extractive_match_utils import ExprExtractionConfig, LatexExtractionConfig
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc
from lighteval.utils.language import Language

said = (ExprExtractionConfig(), LatexExtractionConfig(boxed_match_priority=0))
metrics = {
    name: MultilingualExtractiveMatchMetric(language=Language.ENGLISH, fallback_mode="first_match",
        precision=5, gold_extraction_target=(gold,), pred_extraction_target=said, aggregation_function=max)
    for name, gold in {"expr": ExprExtractionConfig(), "latex": LatexExtractionConfig()}.items()
}
for line in sys.stdin:
    kind, gold, text = json.loads(line)
    doc = Doc(task_name="", query="", choices=[gold], gold_index=0)
    print(json.dumps(float(metrics[kind].compute(doc=doc, model_response=ModelResponse(text=[text])))))
"""


def lighteval(_: Path) -> Iterator[tuple[str, Iterator[Item]]]:
    """Its metrics expr_gold_metric, of its task gsm8k, and latex_gold_metric, for solutions in a box."""

    def items(kind: str, pairs: list[tuple[str, str, dict[str, Any], bool | None]]) -> Iterator[Item]:
        given = "".join(json.dumps([kind, gold, record["completion"]]) + "\n" for _, gold, record, _ in pairs)
        line = [os.environ["LIGHTEVAL"], "-c", THEIRS]
        done = subprocess.run(line, input=given, stdout=subprocess.PIPE, text=True, check=True)
        for (name, _, record, right), value in zip(pairs, done.stdout.split(), strict=True):
            yield Item(name, accuracy(record).value, float(value), right, record["completion"][-60:])

    solved: list[tuple[str, str, dict[str, Any], bool | None]] = []
    for row in rows("grader/gsm8k_openai.jsonl"):
        text = "\n#### ".join(row["prediction"].rsplit("\nA: ", 1))
        record = {"prompt": row["question"], "answer": row["gold"], "completion": text}
        solved.append((f"gold {row['gold']}", f" #### {row['gold']}", record, row["label"]))
    yield "GSM8K: accuracy, lighteval's expr_gold_metric", items("expr", solved)
    problems = rows("math/math500.jsonl")
    boxed: list[tuple[str, str, dict[str, Any], bool | None]] = [
        (
            f"gold {row['answer']}",
            row["solution"],
            {"answer": row["answer"], "completion": f"So it is $\\boxed{{{other['answer']}}}$."},
            row["answer"] == other["answer"],
        )
        for index, row in enumerate(problems)
        for other in (row, problems[index - 1])
    ]
    yield "MATH-500, own and other answers: accuracy, lighteval's latex_gold_metric", items("latex", boxed)


def spans() -> None:
    """DROP and BBQ, of which there are no generations here: made by chance."""
    import lm_eval

    script, folder = Path(__file__).with_name("lm_eval_rules.py"), Path(lm_eval.__file__).parents[1]
    subprocess.run([sys.executable, str(script), str(folder)], check=True)


def report(title: str, items: Iterator[Item]) -> None:
    found = list(items)
    unlike = [each for each in found if each.ours is None or (each.ours >= 1) != (each.theirs >= 1)]
    ours, theirs = sum((each.ours or 0) >= 1 for each in found), sum(each.theirs >= 1 for each in found)
    print(f"{title}: {len(found)} items, right {ours} and {theirs}; {len(found) - len(unlike)} equal")
    labelled = [each for each in unlike if each.right is not None]
    agree = sum(((each.ours or 0) >= 1) == each.right for each in labelled)
    if labelled:
        print(f"   of those that differ {len(labelled)} have a label, which says what r1 says in {agree}")
    for each in unlike[:SHOWN]:
        print(f"   {each.name}: r1 {each.ours}, the other {each.theirs:g}, label {each.right}: {each.said!r}")


RULES = {"gsm8k": gsm8k, "math": math, "mmlu_pro": letters, "programs": programs, "lighteval": lighteval}


def main(*names: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in names or ("gsm8k", "math", "mmlu_pro", "spans", "programs"):
            if name == "spans":
                spans()
                continue
            for title, items in RULES[name](Path(folder)):
                report(title, items)


if __name__ == "__main__":
    main(*sys.argv[1:])
