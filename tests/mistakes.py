"""Every stage with every kind of mistake that it can be given: what each ends with, takes, loads and leaves.

`python tests/mistakes.py` walks all pairs in one process, in which nothing that takes seconds can be
imported, and writes a line of JSON for each. Stages, options, choices and bounds are found, not listed: a new
stage or option walks along.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from r1cli import run, streams
from r1cli.command import build
from r1cli.main import BUILT_IN, CLICK_USAGE_ERROR, discover, load
from r1cli.signature import Option, Stage
from stages.runtime.errors import R1Error

USAGE, BAD_INPUT, MISSING, STREAM = 2, 65, 69, 74
HEAVY = ("torch", "transformers", "tokenizers", "vllm", "deepspeed", "peft", "datasets", "safetensors")
PROBLEM = {"id": "a", "prompt": "1+1=?", "answer": "2"}
ANSWERED = {**PROBLEM, "id": "a#0", "group": "a", "completion": "2", "finish": "stop"}
SCORED = {**ANSWERED, "rewards": {"accuracy": 1.0}, "reasons": {}, "reward": 1.0}
ROWS: dict[str, Sequence[Any]] = {
    "problems": [PROBLEM],
    "scored": [SCORED],
    "not JSON": ["{bad"],
    "not an object": ["[1]"],
    "no id": [{"prompt": "1+1=?", "answer": "2"}],
    "one id twice": [PROBLEM, PROBLEM],
    "no prompt": [{"id": "a", "answer": "2"}],
    "a prompt that is a number": [{**PROBLEM, "prompt": 3}],
    "ShareGPT's form": [{"conversations": [{"from": "human", "value": "1+1=?"}]}],
    "no reference": [{"id": "a", "prompt": "1+1=?"}],
    "no completion": [PROBLEM],
    "a completion already": [ANSWERED],
    "no reward": [ANSWERED],
    "figures of eval": [{"model": "m", "benchmark": "sums", "pass@1": 0.5}],
    "pairs": [{"id": "a", "prompt": "1+1=?", "chosen": "2", "rejected": "3"}],
    "no label": [ANSWERED],
    "a label that is none": [{**ANSWERED, "label": "perhaps"}],
    "nothing": [],
}
SAMPLES = ("generate", "grpo", "distill")  # read problems
JUDGES = ("score", "eval", "export")  # read completions
TRAINS = ("sft", "grpo", "distill", "reward-model")


class Pair(NamedTuple):
    """A command line with one mistake, and the exit code that it must end with."""

    stage: str
    mistake: str
    words: list[str]
    code: int


class Outcome(NamedTuple):
    """`seconds` of the processor; `left` are files that were not there before, or are not any more."""

    code: int
    seconds: float
    left: list[str]
    said: str


class Loaded(BaseException):
    """A library was imported that takes seconds, or a model would have been next."""


class Refused(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the heavy libraries, so that it is known which are installed, and does not let them be loaded."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name not in HEAVY:
            return None
        sys.meta_path.remove(self)
        try:
            found = find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if found is not None:
            found.loader = self
        return found

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        raise Loaded(spec.name)

    def exec_module(self, module: Any) -> None:
        raise Loaded(module.__name__)


@cache
def stage(name: str) -> Stage:
    return load(name, discover()[name])


def right(own: Stage, **changed: str) -> list[str]:
    """A command line of the stage without a mistake, but for what is `changed` by an option's name."""
    named = {option.name for option in own.options}
    adapted = "adapter" in changed
    values = {"model": "model", "teacher": "model", "out": "out", "max_tokens": "4"}
    if "model" in named:
        values["template"] = "none"
    if own.name == "split":
        values["share"] = "half.jsonl=0.5"
    if own.name == "push":
        values["repo"] = "a/b"
    if own.name == "split":
        values["share"] = "val.jsonl=0.1"
    words = []
    for option in own.options:
        value = changed.pop(option.name, values.get(option.name))
        if option.name in ("model", "teacher", "template", "max_tokens") and value == "":
            continue
        if value is None and option.required:
            value = "x"
        if value is not None:
            words.append(f"{long(option)}={value}")
    assert not changed, changed
    arguments = {
        "prompts": "sums",
        "convert": "model" if adapted else "file.gguf",
        "ask": "1+1=?",
        "report": "run",
        "mix": "problems.jsonl=1",
    }
    words += [arguments.get(own.name, "model") for _ in own.arguments]
    return words


def long(option: Option) -> str:
    """How an option is spelled out."""
    return max(option.flags, key=len)


def pairs() -> Iterator[Pair]:
    """All of them, in the order of stages."""
    for name in discover():
        own = stage(name)
        options = {option.name: option for option in own.options}
        yield Pair(name, "an unknown option", [*right(own), "--no-such-option"], USAGE)
        yield Pair(name, "a configuration that is not there", [*right(own), "--config=none.toml"], STREAM)
        if name == "doctor":  # what it is for is to load all that may be broken
            continue
        for option in own.options:
            yield from _of_values(own, option)
        yield from _of_names(own, options)
        yield from _of_models(own, options)
        yield from _of_input(own, options)
        yield from _of_combinations(own, options)


def _of_values(own: Stage, option: Option) -> Iterator[Pair]:
    """What no option of its kind may be."""
    flag = long(option)
    if option.choices:
        yield Pair(own.name, f"{flag}: no choice", _with(own, option, "no-such-choice"), USAGE)
    elif option.base in (int, float):
        yield Pair(own.name, f"{flag}: no number", _with(own, option, "many"), USAGE)
        ends = option.bounds
        for end, step in ((ends.low, -1), (ends.above, 0), (ends.high, 1), (ends.below, 0)):
            if end is not None:
                outside = option.base(end + step)
                yield Pair(own.name, f"{flag}: out of range", _with(own, option, str(outside)), USAGE)
                break


def _with(own: Stage, option: Option, value: str) -> list[str]:
    return [*right(own, **{option.name: value}), *_input(own)]


def _input(own: Stage, rows: str = "") -> list[str]:
    """The file it reads, where it reads any."""
    if own.reads == "no":
        return []
    usual = "problems" if own.name in SAMPLES else "pairs" if own.name == "reward-model" else "scored"
    return [_file(rows or usual)]


def _file(rows: str) -> str:
    return rows.replace(" ", "_").replace("'", "") + ".jsonl"


def _of_names(own: Stage, options: dict[str, Option]) -> Iterator[Pair]:
    """Names of things that there are not."""
    wrong: dict[str, list[tuple[str, int]]] = {
        "reward": [
            ("nope", USAGE), ("accuracy:nope=1", USAGE), ("./nope.py:f", USAGE), ("accuracy*x", USAGE),
            ("judge", USAGE), ("judge:model=./nowhere", MISSING), ("reward_model:model=./nowhere", MISSING),
            ("judge:model=model,prompt=./nowhere", USAGE), ("accuracy if finish == 1", USAGE),
        ],
        "template": [("nope", USAGE), ("problems.jsonl", USAGE)],
        "student_template": [("nope", USAGE)],
        "split": [("nope", USAGE)],
        "set": [("nope=1", USAGE), ("digits", USAGE)],
        "eval": [("nope", USAGE)],
        "device": [("banana", USAGE)],
        "where": [("len(", USAGE), ("import os", USAGE)],
        "adapter": [("nowhere", MISSING)],
        "few_shot": [("nowhere", STREAM), ("problems.jsonl", BAD_INPUT)],
        "deepspeed": [("nowhere", STREAM), ("not_JSON.jsonl", USAGE)],
        "base_url": [("http://name:word@host/v1", USAGE)],
        "extra_body": [("{bad", USAGE)],
        "shard": [("5/2", USAGE)],
        "share": [("nope", USAGE), ("val.jsonl=2", USAGE)],
        "by": [("meta.", USAGE)],
        "columns": [],
    }  # fmt: skip
    for name, values in wrong.items():
        for value, code in values if name in options else []:
            changed = {name: value}
            more = []
            if own.name == "eval" and name in ("split", "set"):
                more = ["-b=sums"]
            elif own.name == "score" and name == "template":
                more = ["--check"]
            elif own.name == "eval" and name in ("reward", "shard"):
                more = []
            if own.name == "prompts" and name == "template":
                continue
            rows = "problems" if own.name in ("eval",) or "--check" in more else ""
            yield Pair(
                own.name, f"{long(options[name])} {value}", [*right(own, **changed), *more,
                *([] if "-b=sums" in more else _input(own, rows))], code,
            )  # fmt: skip
    if "track" in options:
        for kind in options["track"].choices:
            if find_spec(kind) is None:
                yield Pair(own.name, f"--track {kind}, not installed", _with(own, options["track"], kind), 69)


def _of_models(own: Stage, options: dict[str, Option]) -> Iterator[Pair]:
    """Models that are none; to export it is a server's name."""
    wrong = {
        "./nowhere": MISSING, "a/b/c": MISSING, "folder/zoro": MISSING, "~/zoro": MISSING, "/zoro": MISSING,
        "file.gguf": MISSING, "problems.jsonl": MISSING, "folder": MISSING, "broken": BAD_INPUT,
    }  # fmt: skip
    for name in ("model", "teacher"):
        for value, code in wrong.items() if name in options and own.name != "export" else ():
            flag = long(options[name])
            rows = "problems" if own.name == "eval" else ""
            words = [*right(own, **{name: value}), *_input(own, rows)]
            yield Pair(own.name, f"{flag} {value}", words, code)


def _of_input(own: Stage, options: dict[str, Option]) -> Iterator[Pair]:
    """Records that cannot be used, and files that are none."""
    if own.reads == "no":
        return
    name = own.name
    yield Pair(name, "a file that is not there", [*right(own), "nowhere.jsonl"], STREAM)
    yield Pair(name, "a folder for a file", [*right(own), "folder"], STREAM)
    found = ["not JSON", "not an object"]
    measures = name == "eval"  # with its model
    if name in SAMPLES or measures:
        found += ["no id", "no prompt", "a prompt that is a number", "a completion already"]
    if name in ("grpo", "distill", "eval"):
        found.append("no reference")
    if name in ("grpo", "distill"):
        found += ["one id twice"]
    if name in TRAINS:
        found.append("nothing")
    if name in ("score", "sft", "export"):
        found += ["no completion"]
    if name == "reward-model":
        found += ["no completion", "no label", "a label that is none", "figures of eval"]
    if name == "score":
        found += ["ShareGPT's form", "figures of eval"]
    for rows in found:
        yield Pair(name, rows, [*right(own), *_input(own, rows)], BAD_INPUT)
    if measures:
        for rows in ("no completion", "no reward", "figures of eval", "ShareGPT's form"):
            yield Pair(name, f"{rows}, measured", [_file(rows)], BAD_INPUT)
    if name == "filter":
        yield Pair(name, "no reward", ["--keep=correct", _file("no reward")], BAD_INPUT)


def _of_combinations(own: Stage, options: dict[str, Option]) -> Iterator[Pair]:
    """Options that cannot be together, and what stands in the way."""
    name, rows = own.name, "problems" if own.name == "eval" else ""
    line = [*right(own), *_input(own, rows)]
    cases: list[tuple[str, list[str], int, tuple[str, ...]]] = [
        ("a server without an address", ["--backend=openai"], USAGE, ("backend", "base_url")),
        ("an address without a server", ["--base-url=http://127.0.0.1:9/v1"], USAGE, ("base_url",)),
        (
            "a server named twice",
            ["--backend=openai", "--base-url=http://127.0.0.1:9/v1", "--base-url=http://127.0.0.1:9/v1/"],
            USAGE,
            ("base_url",),
        ),
        (
            "a server for weights, without the secret",
            ["--backend=openai", "--base-url=http://127.0.0.1:9/v1"],
            USAGE,
            ("base_url", "rollouts"),
        ),
        ("--dtype for an echo", ["--backend=echo", "--dtype=float32"], USAGE, ("adapter",)),
        (
            "a budget of thinking for a server",
            ["--backend=openai", "--base-url=http://127.0.0.1:9/v1", "--think-budget=3"],
            USAGE,
            ("base_url", "think_budget"),
        ),
        ("--offload without --zero", ["--offload=all"], USAGE, ("offload",)),
        ("a chat template that is not there", ["--template=chat"], USAGE, ("model", "template")),
        ("a model in float16", ["--dtype=float16"], USAGE, ("dtype", "optimizer")),
        ("a checkpoint in the way", ["--out=model"], USAGE, ("out",)),
        ("a rule for a reward that is not given", ["--reward=format"], USAGE, ("teacher", "reward")),
        ("--min-pass above --max-pass", ["--min-pass=1", "--max-pass=0"], USAGE, ("min_pass",)),
        ("--decontaminate a file that is not there", ["--decontaminate=nowhere"], STREAM, ("decontaminate",)),
        ("greedy groups", ["--temperature=0"], USAGE, ("objective", "temperature")),
        ("one of a group", ["--samples=1"], USAGE, ("rollouts",)),
        ("a reward that is not given decides", ["--decide=nope"], USAGE, ("decide",)),
        ("more for pass@k than samples", ["--pass-k=9"], USAGE, ("pass_k",)),
        ("one benchmark of two", ["-b=sums", "-b=hellaswag"], USAGE, ("benchmark",)),
        ("a benchmark without a task", ["-b=reasoning_gym"], USAGE, ("benchmark",)),
        ("--resume without a file", ["--resume"], USAGE, ("shard",)),
        ("output is input", [f"--output={line[-1]}"], USAGE, ("on_error",)),
        ("a folder for output", ["--output=folder"], USAGE, ("on_error",)),
    ]
    groups = {option.group[0] for option in own.options if option.group}
    known = {*options, *(name for name in ("optimizer", "objective") if name in groups or own.name == "grpo")}
    if name in TRAINS:
        known.add("optimizer")
    for mistake, more, code, needed in cases:
        if set(needed) <= known:
            words = [w for w in line if w.partition("=")[0] not in {m.partition("=")[0] for m in more}]
            yield Pair(name, mistake, [*words[: -len(_input(own)) or None], *more, *_input(own, rows)], code)


def surroundings(folder: Path) -> None:
    """The files that the command lines name."""
    for rows, lines in ROWS.items():
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (folder / _file(rows)).write_text("".join(f"{text}\n" for text in texts))
    (folder / "folder").mkdir()
    (folder / "file.gguf").write_bytes(b"no GGUF")
    for name in ("model", "broken"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}" if name == "model" else "{bad")
        (folder / name / "tokenizer.json").write_text("{}")
        (folder / name / "tokenizer_config.json").write_text("{}")
        header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        weights = len(header).to_bytes(8, "little") + header + bytes(4)
        (folder / name / "model.safetensors").write_bytes(weights)


def walked(pair: Pair) -> Outcome:
    """Runs the command line in this process and folder."""
    before = _files()
    own = stage(pair.stage)
    with tempfile.TemporaryFile() as errors, _stderr_in(errors.fileno()):
        began = time.process_time()
        code = _ended(own, pair.words)
        seconds = time.process_time() - began
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    return Outcome(code, seconds, sorted(before ^ _files()), said)


def _ended(own: Stage, words: list[str]) -> int:
    def perform(values: dict[str, Any]) -> int:
        return run.perform(own, values, streams.nowhere(), words)

    command = build(own, stages=discover(), perform=perform, show=print)
    try:
        return int(command.main(words, prog_name="r1", standalone_mode=False) or 0)
    except CLICK_USAGE_ERROR as error:
        os.write(2, str(getattr(error, "message", error)).encode())
        return USAGE
    except R1Error as error:
        os.write(2, str(error).encode())
        return error.code
    except Loaded as error:
        os.write(2, f"loads {error}".encode())
        return -1


@contextlib.contextmanager
def _stderr_in(descriptor: int) -> Iterator[None]:
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _files() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


def main(report: Callable[[str], object] = print) -> None:
    """Walks all pairs."""
    sys.meta_path.insert(0, Refused())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        surroundings(Path(folder))
        for pair in pairs():
            report(json.dumps({**pair._asdict(), "outcome": walked(pair)._asdict()}))
        os.chdir(BUILT_IN)


if __name__ == "__main__":
    main()
