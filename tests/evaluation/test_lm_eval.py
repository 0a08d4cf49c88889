"""A task of lm-eval is asked and judged as that package does it, and what is none says so in a line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, environment
from models import fresh

from stages.evaluation.benchmark import load, parse_settings, take
from stages.records.record import Record
from stages.rewards.lm_eval import lm_eval
from stages.runtime.errors import BadInput, Unavailable, UsageError

DOCS = Path(__file__).resolve().parents[2] / "docs"
OFFLINE = {"HF_HUB_OFFLINE": "1"}
ROWS = [
    {"q": "What is 2 + 3?", "a": "5", "options": [" five", " six or so"], "right": 0, "way": "left"},
    {"q": "What is 4 + 4?", "a": "8", "options": [" eight", " nine"], "right": 0, "way": "right"},
    {"q": "What is 9 - 2?", "a": "7", "options": [" one", " seven of them"], "right": 1, "way": "up"},
]
HEAD = """
task: NAME
dataset_path: json
dataset_kwargs: {data_files: {test: DATA, train: DATA}}
test_split: test
"""
WRITTEN = """
training_split: train
fewshot_split: train
num_fewshot: 2
description: "Sums.\\n\\n"
output_type: generate_until
doc_to_text: "{{q}}\\nA:"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["\\n", "e"], max_gen_toks: 12, do_sample: false}
filter_list:
  - name: strict
    filter: [{function: regex, regex_pattern: "(-?[0-9]+)"}, {function: take_first}]
  - name: last
    filter: [{function: regex, group_select: -1, regex_pattern: "([0-9])"}, {function: take_first}]
  - {name: vote, filter: [{function: majority_vote}, {function: take_first}]}
metric_list:
  - {metric: bleu}
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
CHOSEN = """
output_type: multiple_choice
doc_to_text: "{{q}}\\nA:"
doc_to_choice: "{{options}}"
doc_to_target: right
target_delimiter: ""
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
  - {metric: acc_mutual_info, aggregation: mean, higher_is_better: true}
"""
PLACED = """
output_type: multiple_choice
doc_to_text: right
doc_to_target: way
doc_to_choice: "{{[q, q + ' Say:']}}"
"""
LIKELY = """
output_type: loglikelihood
doc_to_text: "{{q}}"
doc_to_target: " {{a}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
KINDS = {"written": WRITTEN, "chosen": CHOSEN, "placed": PLACED, "likely": LIKELY}
# What lm-eval itself makes of them: the metrics of each item by filter, and what the model said.
THEIRS = """
import json, logging, sys
logging.disable(logging.ERROR)
import lm_eval
model, *files = sys.argv[1:]
names = [name.rpartition("/")[2].removesuffix(".yaml") for name in files]
done = lm_eval.simple_evaluate(model="hf", model_args={"pretrained": model, "dtype": "float32"}, tasks=files,
    device="cpu", batch_size=1, bootstrap_iters=0)
print(json.dumps({name: [[s["filter"], s["doc_id"], s["arguments"], s["resps"],
    {m: s[m] for m in s["metrics"]}] for s in done["samples"][name]] for name in names}, default=str))
"""


def named(text: str, name: str, data: Path) -> str:
    return text.replace("NAME", name).replace("DATA", str(data))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """YAML files over local rows, by their names."""
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    folder = tmp_path_factory.mktemp("tasks")
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name, text in KINDS.items():
        (folder / f"{name}.yaml").write_text(named(HEAD + text, name, data))
    return {name: str(folder / f"{name}.yaml") for name in KINDS}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets are kept out of the user's folder."""
    datasets = sys.modules.get("datasets")
    if datasets is not None:
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_a_task_says_how_it_is_asked_and_judges_by_its_own_filters(tasks: dict[str, str]) -> None:
    found = load(f"lm_eval:{tasks['written']}")
    assert found.rewards == (f"lm_eval:task={tasks['written']}",)
    assert (found.template, found.samples) == ("none", 1)
    assert found.sampling == {
        "temperature": 0.0, "top_p": 1.0, "top_k": 0, "max_tokens": 12, "stop": ("\n", "e"),
    }  # fmt: skip
    records = list(take(found))
    assert [record["id"] for record in records] == ["written-0", "written-1", "written-2"]
    prompt = records[0]["prompt"]
    assert prompt.startswith("Sums.\n\nWhat is ")
    assert prompt.endswith("\n\nWhat is 2 + 3?\nA:")
    assert prompt.count("A:") == 3
    assert [each["prompt"] for each in take(found)] == [each["prompt"] for each in records]
    (bare,) = take(found, limit=1, settings=parse_settings(found, ["shots=0"]))
    assert bare["prompt"] == "Sums.\n\nWhat is 2 + 3?\nA:"

    def judge(text: str, record: Record = records[0], **options: Any) -> Any:
        return lm_eval({**record, "completion": text}, task=tasks["written"], **options)

    verdict = judge(" 5 and 7")
    assert (verdict.value, verdict.parts) == (1, {"exact_match,strict": 1, "exact_match,last": 0})
    assert verdict.reason == "exact_match,strict; took '5'; figures of the whole set alone: bleu"
    assert judge(" 5 and 7", filter="last").value == 0
    assert judge("<think>7 e\n</think> 5e7").value == 1
    assert judge(" the 5").value == 0
    assert judge(" 5", metric="acc").value is None
    assert "not what it was" in judge("5", records[0].adding(lm_eval={"task": "", "item": 0})).reason
    assert judge("5", records[0].adding(lm_eval={"task": "", "item": 3, "digest": ""})).value is None


def test_a_declared_benchmark_keeps_what_the_task_says_and_finds_its_file(tasks: dict[str, str]) -> None:
    declared = Path(tasks["written"]).parent / "own.toml"
    declared.write_text('source = "lm_eval:written.yaml"\n[sampling]\nmax_tokens = 5\n')
    found, plain = load(str(declared)), load(f"lm_eval:{tasks['written']}")
    assert found.rewards == plain.rewards
    assert found.template == "none"
    assert found.sampling == {**plain.sampling, "max_tokens": 5}


def test_no_record_names_a_file_whose_functions_are_run(tasks: dict[str, str]) -> None:
    (record,) = take(load(f"lm_eval:{tasks['chosen']}"), limit=1)
    assert "say that you trust it" in lm_eval({**record, "completion": "x"}).reason
    unasked = lm_eval({**record, "completion": "x"}, task=tasks["chosen"])
    assert "no log-likelihoods" in unasked.reason
    for field, value in (("lm_eval", {"task": 3}), ("loglikelihoods", [1]), ("loglikelihoods", [["a", 1]])):
        with pytest.raises(BadInput, match=field):
            lm_eval({**record, "completion": "x", field: value}, task=tasks["chosen"])
    given = {
        **record,
        "completion": "x",
        "loglikelihoods": [[-2.0, False], [-3.0, False], *[[-1.0, False]] * 2],
    }
    assert lm_eval(given, task=tasks["chosen"], metric="acc_norm").value == 0
    assert lm_eval(given, task=tasks["chosen"]).value == 1


def test_what_is_no_task_for_here_is_a_line(tasks: dict[str, str], tmp_path: Path) -> None:
    lines = {"wikitext": "loglikelihood_rolling", "humaneval": "without a sandbox", "no.yaml": "no such file"}
    broken = {
        "form": ("task: [", "did not find expected node"),
        "bare": ("output_type: generate_until", "Unknown config"),
        "field": (HEAD + WRITTEN.replace("{{q}}", "{{zork}}"), "zork"),
        "split": (HEAD.replace("test_split: test", "test_split: zork") + CHOSEN, "zork"),
        "beams": (HEAD + WRITTEN.replace("{until", "{num_beams: 4, until"), "num_beams=4"),
        "a,b": (HEAD + CHOSEN, "without comma"),
        "again": (HEAD + WRITTEN + "repeats: x", "repeats is 'x'"),
        "tokens": (HEAD + WRITTEN.replace("max_gen_toks: 12", "max_gen_toks: many"), "generation_kwargs: "),
        "until": (HEAD + WRITTEN.replace('["\\n", "e"]', "3"), "generation_kwargs: "),
        "none": (HEAD.replace("DATA", str(tmp_path / "none.jsonl")) + CHOSEN, "has no items"),
        "gone": (HEAD.replace("DATA", "no.jsonl") + CHOSEN, "no.jsonl"),
    }
    (tmp_path / "none.jsonl").touch()
    for name, (text, says) in broken.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(named(text, "broken", Path(tasks["chosen"]).parent / "rows.jsonl"))
        lines[str(path)] = says
    for name, says in lines.items():
        with pytest.raises(UsageError, match=re.escape(says)):
            load(f"lm_eval:{name}")
    found = load(f"lm_eval:{tasks['chosen']}")
    with pytest.raises(UsageError, match="name no split"):
        list(take(found, split="test"))


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gsm9k", "no task 'gsm9k'; did you mean gsm8k"),
        ("ai2_arc", "several tasks: name one of them: arc_challenge, arc_easy"),
        ("mmlu", "several tasks: name one of them: mmlu_stem, mmlu_other, "),
    ],
)
def test_a_name_of_several_tasks_or_of_none_names_those_there_are(
    name: str, says: str, tasks: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        load(f"lm_eval:{name}")


def test_without_the_package_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(Unavailable, match=r"pip install .*\.\[lm-eval\]"):
        load("lm_eval:arc_easy")


def test_data_that_is_on_the_hub_alone_ends_with_a_line(r1: R1) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    done = r1("prompts", "lm_eval:gsm8k", "-n", 1, env=OFFLINE)
    assert done.returncode == 69
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("r1 prompts: cannot get the data of lm_eval:gsm8k (openai/gsm8k): ")


@pytest.mark.full
def test_prompts_answers_and_metrics_are_those_that_lm_eval_itself_gives(
    tasks: dict[str, str], r1: R1, tmp_path: Path
) -> None:
    model = fresh(tmp_path / "model", context=512)
    names = [flag for path in tasks.values() for flag in ("-b", f"lm_eval:{path}")]
    saved = tmp_path / "saved.jsonl"
    done = r1("eval", "-q", "-m", model, "--device", "cpu", *names, "--save", saved, env=OFFLINE)
    assert done.returncode == 0, done.stderr.decode()
    ours = [json.loads(line) for line in saved.read_text().splitlines()]
    line = [sys.executable, "-c", THEIRS, str(model), *tasks.values()]
    said = subprocess.run(line, env=environment(**OFFLINE), capture_output=True, check=True, cwd=tmp_path)
    theirs = json.loads(said.stdout.decode().splitlines()[-1])
    compared = 0
    for name in KINDS:
        own = [each for each in ours if each["id"].startswith(name)]
        assert len(own) == len(ROWS)
        for kind, item, arguments, responses, metrics in theirs[name]:
            if kind == "vote":
                continue
            record = own[item]
            assert arguments[0][0] == record["prompt"]
            if name == "written":
                assert responses == [[record["completion"]]]
            else:
                logps = [float(each[0][0]) for each in responses]
                assert [logp for logp, _ in record["loglikelihoods"]] == pytest.approx(logps, abs=1e-4)
                greedy = [each[0][1] for each in responses]
                assert [str(each) for _, each in record["loglikelihoods"]] == [str(each) for each in greedy]
            for metric, value in metrics.items():
                if metric not in ("bleu", "perplexity"):
                    assert record["rewards"][f"lm_eval/{metric},{kind}"] == float(value)
                    compared += 1
    assert compared == len(ROWS) * (2 + 3 + 2 + 1)


@pytest.mark.full
def test_the_example_of_the_docs_runs(command: list[str], tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    page = (DOCS / "benchmarks.md").read_text("utf-8")
    found = re.search(
        r"^```sh\n((?:(?!^```).)*lm_eval:plain(?:(?!^```).)*)^```\n\n^```\n(.*?)^```$", page, re.S | re.M
    )
    assert found is not None
    fresh(tmp_path / "ckpt" / "base")
    code = f"r1() {{ '{command[0]}' -m r1cli \"$@\"; }}\nset -eo pipefail\n{found[1]}"
    done = subprocess.run(["bash", "-c", code], cwd=tmp_path, env=environment(**OFFLINE), capture_output=True)
    assert (done.returncode, done.stdout.decode()) == (0, found[2]), done.stderr.decode()
