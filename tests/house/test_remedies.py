"""What a message tells people to do can be done: the option, command or page is there."""

from __future__ import annotations

import functools
import shlex
import tomllib
from dataclasses import fields

from remedies import OPTION, ROOT, TRANSLATED_ROOMS, Remedy, reached, remedies, stages, texts, tops

from r1cli.command import build, common_options
from r1cli.main import BUILT_IN, CLICK_USAGE_ERROR, load
from r1cli.signature import Stage
from stages.grading.judged.judges import Judge
from stages.runtime.reward_options import translated

# Options of other programs, each with what a message that has it says of them.
FOREIGN = {
    "--enable-lora": "vllm serve",
    "--lora-modules": "vllm serve",
    "--reasoning-parser": "vllm serve",
    "--enable-scale-out": "vllm serve",
    "--weight-transfer-config": "vllm serve",
    "--logprobs-mode": "start it with",
    "--middleware": "vllm serve",
    "--no-deps": "pip install",
    "--git": "diff --git",
    "-m": "python -m",
    "-c": "pip install",
    "-e": "pip install",
    "-w": "sysctl",
    "--security-opt": "in a container",
    "--gpus": "the container",
    "--yes": "install",
    "--assumeyes": "install",
    "-S": "--noconfirm",
    "--noconfirm": "-S",
    "--query-gpu": "driver_version",
    "--format": "csv,noheader",
}
# Stages whose calls lead to a message that they never say, and why.
NEVER = {
    ("sft", "--base-url"): "what it holds out is answered by the model in training, never by a server",
    ("reward_model", "--template"): "it asks a chat template only of a tokenizer that has one",
    ("reward_model", "--eval-reward"): "what it holds out is pairs and labels, and no problems",
    ("reward_model", "--lora"): "all weights are trained",
}


@functools.cache
def stage(name: str) -> Stage:
    return load(name.replace("_", "-"), BUILT_IN / f"{name}.py")


@functools.cache
def flags(name: str) -> frozenset[str]:
    """Every spelling of every option that a stage takes."""
    own = stage(name)
    known = {flag for each in (*own.options, *common_options(own)) for flag in each.flags}
    known |= {alias for each in own.options for alias in each.aliases}
    known |= {f"--no-{flag[2:]}" for flag in known if flag.startswith("--")}
    return frozenset(known | {"-h", "--help"})


@functools.cache
def told(kind: str) -> list[Remedy]:
    found = [each for each in remedies() if each.kind == kind]
    assert found, f"no {kind} is found in the source: the collector is blind"
    return found


def false_option(remedy: Remedy) -> str:
    """Why an option cannot be given, or ""."""
    if FOREIGN.get(remedy.told, "\n") in remedy.text:
        return ""
    told_of = OPTION.findall(remedy.text.partition(":")[0]) if remedy.text.startswith("-") else []
    asked = remedy.stages or frozenset(stages())  # of the program itself: some stage has it
    asked = frozenset(each for each in asked if flags(each).issuperset(told_of)) or asked
    asked -= {name for name, told in NEVER if told == remedy.told}
    lacking = sorted(each for each in asked if remedy.told not in flags(each))
    if not lacking or (len(lacking) < len(asked) and (remedy.blamed or not remedy.stages)):
        return ""
    return f"{remedy.module}:{remedy.line}: {', '.join(lacking)} has no {remedy.told}: {remedy.text}"


def test_an_option_that_a_message_names_is_one_of_every_stage_that_can_say_it() -> None:
    """Of the stages that reach it by calls; an option that the message is about was given, so one has it."""
    assert [why for each in told("option") if (why := false_option(each))] == []


def test_a_command_that_a_message_names_parses() -> None:
    for remedy in told("command"):
        _, name, *words = ("1" if word == "N" else word for word in shlex.split(remedy.told))
        assert name in stages(), remedy
        own = stage(name)
        # What a message leaves open is filled in here; what it says is read as the program reads it.
        needed = [w for each in own.options if each.required for w in (each.flags[-1], "x")]
        valued = {flag: each for each in own.options if each.base is not bool for flag in each.flags}
        last = valued.get(words[-1]) if words else None
        words += [] if last is None else [*last.choices, "1" if last.base in (int, float) else "x=y"][:1]
        refused = parse(own, [*needed, *words]) and parse(own, [*needed, *words, *["x"] * len(own.arguments)])
        assert not refused, f"{remedy.module}:{remedy.line}: `{remedy.told}`: {refused}"


def parse(own: Stage, words: list[str]) -> str:
    """Why a command line is refused, or ""."""
    command = build(own, stages=stages(), perform=lambda values: 0, show=print)
    try:
        command.main(words, prog_name="r1", standalone_mode=False)
    except CLICK_USAGE_ERROR as error:
        return str(error)
    return ""


def test_a_page_that_a_message_names_is_there() -> None:
    for remedy in told("page"):
        path, _, anchor = remedy.told.partition("#")
        page = (ROOT / path).read_text("utf-8")
        titles = [
            line.lstrip("# ").lower().replace(" ", "-") for line in page.splitlines() if line[:1] == "#"
        ]
        assert not anchor or anchor in titles, remedy


def test_an_extra_that_a_message_names_can_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for remedy in told("extra"):
        assert set(remedy.told.split(",")) <= set(project["optional-dependencies"]), remedy


def test_what_is_said_of_a_judges_model_names_options_of_the_judge() -> None:
    names = {each.name for each in fields(Judge)}
    heard = {
        text
        for top in reached("score")
        if top[0].startswith(TRANSLATED_ROOMS)
        for _, text in texts(tops()[top])
    }
    for text in heard:
        assert "--" not in translated(text, names).replace("--…", "")
    assert translated("--device cuda:9: torch sees no GPU; use --device cpu", names) == (
        "device=cuda:9: torch sees no GPU; use device=cpu"
    )
    assert translated("it is not there; name it with -m; see --gpu-memory", names) == (
        "it is not there; name it with model"
    )
    said = "read it, and add --trust-remote-code to run it; --no-trust-remote-code does without it"
    assert translated(said, names) == "read it, and add trust_remote_code=true to run it"
