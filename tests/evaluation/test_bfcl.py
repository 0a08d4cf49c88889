"""BFCL: published files become problems, and calls are judged as its own program judges them.

The functions are made up in the published form. tests/rewards/bfcl_verdicts.json has answers with the
verdicts that bfcl-eval 2026.3.23 gave; tests/bench/bfcl.py compares many more.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from stages.eval import Settings, run
from stages.evaluation.benchmark import load, open_problems
from stages.evaluation.figures import Figures
from stages.grading.leaderboard import execution
from stages.grading.leaderboard.conversation import calls_of, told
from stages.grading.leaderboard.decoding import decode_words
from stages.records import jsonl
from stages.records.record import Record
from stages.rewards.bfcl import IRRELEVANCE, LANGUAGES, LIVE, NON_LIVE, SIMPLE, again, bfcl
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.runtime.report import SILENT
from stages.scoring.preflight import check_judgeable, judgeable
from stages.settings.groups import Endpoint, Engine, Sampling
from tests.served import Served, says

VERDICTS = json.loads((Path(__file__).parents[1] / "rewards" / "bfcl_verdicts.json").read_text("utf-8"))
WARM: dict[str, Any] = {
    "id": "simple_python_0",
    "question": [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How warm?"}]],
    "function": [
        {
            "name": "weather.get",
            "description": "The weather.",
            "parameters": {
                "type": "dict",
                "required": ["city"],
                "properties": {
                    "city": {"type": "string", "description": "Where."},
                    "height": {"type": "float", "description": "In metres."},
                    "places": {"type": "array", "items": {"type": "dict"}, "description": "More."},
                },
            },
        }
    ],
}
ROME = {"id": "simple_python_0", "ground_truth": [{"weather.get": {"city": ["Rome"], "height": [5.0, ""]}}]}


def published(folder: Path, *answers: dict[str, Any], **changes: Any) -> Path:
    """A data folder with one problem of `simple_python`."""
    (folder / "bfcl" / "possible_answer").mkdir(parents=True)
    name = "BFCL_v4_simple_python.json"
    (folder / "bfcl" / name).write_text(json.dumps({**WARM, **changes}) + "\n")
    lines = "".join(json.dumps(each) + "\n" for each in answers)
    (folder / "bfcl" / "possible_answer" / name).write_text(lines)
    return folder


def problem(data: Path, **settings: Any) -> Record:
    benchmark = load("bfcl:simple_python")
    (found,) = open_problems(benchmark, data=data, settings=settings)
    return found


@pytest.mark.parametrize("case", VERDICTS, ids=[case["problem"]["category"] for case in VERDICTS])
def test_calls_are_right_where_they_are_by_the_published_program(case: dict[str, Any]) -> None:
    if case["problem"]["category"] in LANGUAGES and find_spec("tree_sitter") is None:
        pytest.skip("needs the extra bfcl")
    for name, value in (("right", 1.0), ("wrong", 0.0)):
        for said in case[name]:
            assert bfcl({**case["problem"], "completion": said}).value == value, said


def test_sums_are_computed_and_never_run() -> None:
    (case,) = [each for each in VERDICTS if each["problem"]["category"] == "live_multiple"]
    for said, value in {
        "(5 - 3) // 2": 1, "True * 1": 1, "9 ** 9 ** 9": 0, "1 << 99999": 0, "'a' * 10 ** 9 + 'b'": 0,
        "1 / 0": 0, "1 + len('')": 0, "1 + __import__('os').system('exit 1')": 0, "1 + x": 0,
        "'%99999999d' % 1": 0, "[[[1] * 9999] * 9999] * 9999": 0,
    }.items():  # fmt: skip
        assert bfcl({**case["problem"], "completion": f"[g(k={said})]"}).value == value, said


def test_a_published_problem_is_asked_in_words_or_with_tools(tmp_path: Path) -> None:
    data = published(tmp_path, ROME)
    said = problem(data)
    system, user = said["prompt"]
    assert system["content"].startswith("You are an expert in composing functions.You are given a question")
    assert system["content"].endswith("}\n]\n\n\nBe brief.")
    assert (
        '"description": "The weather. Note that the provided function is in Python 3 syntax."'
        in system["content"]
    )
    assert user == WARM["question"][0][1]
    assert "tools" not in said
    told = problem(data, mode="tools")
    assert told["prompt"] == WARM["question"][0]
    (tool,) = told["tools"]
    assert tool["function"]["name"] == "weather_get"
    properties = tool["function"]["parameters"]["properties"]
    assert properties["height"] == {
        "type": "number", "format": "float", "description": "In metres. This is a float type value.",
    }  # fmt: skip
    assert properties["places"]["items"] == {"type": "object"}
    assert bfcl({**said, "completion": "[weather.get(city='rome')]"}).value == 1
    assert bfcl({**told, "completion": "[weather.get(city='rome')]"}).value == 0


def test_what_lacks_or_is_of_another_form_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.benchmarks.bfcl.PACKAGE", "no_such_package")
    with pytest.raises(Unavailable, match=r"bfcl/BFCL_v4_irrelevance.json, as the package bfcl-eval"):
        load("bfcl:irrelevance").problems(split="test", data=tmp_path)
    with pytest.raises(UsageError, match="bfcl has no 'live_simpel'; did you mean live_simple"):
        load("bfcl:live_simpel").problems(split="test", data=tmp_path)
    with pytest.raises(UsageError, match="mode=json: choose words or tools"):
        load("bfcl").problems(split="test", data=tmp_path, mode="json")
    with pytest.raises(
        BadInput, match=r"simple_python.json:1: .* has no answer of simple_python_0; take the files"
    ):
        problem(published(tmp_path / "a"))
    with pytest.raises(BadInput, match="the answer of simple_python_0 stands twice"):
        problem(published(tmp_path / "b", ROME, ROME))
    with pytest.raises(BadInput, match="its functions are in another form"):
        problem(published(tmp_path / "c", ROME, function=[{"name": "f"}]))
    with pytest.raises(BadInput, match="its question is not turns of messages"):
        problem(published(tmp_path / "d", ROME, question=[[], []]))
    odd = {**ROME, "ground_truth": [{"weather.set": {}}]}
    verdict = bfcl({**problem(published(tmp_path / "e", odd)), "completion": "[]"})
    assert verdict == (None, "its ground_truth is not in the published form")


KNOWN = {"cd", "pwd", "add"}


def test_a_conversation_runs_methods_of_its_classes_with_literal_values_alone() -> None:
    def words(text: str) -> list[str]:
        return execution.written(decode_words(text), KNOWN, nested=True)

    assert words("[cd(folder='a\\'b'), add(a=1, b=-2.5)]") == ['cd(folder="a\'b")', "add(a=1, b=-2.5)"]
    assert words("[cd(folder=pwd()), cd(folder=add(a=1)), cd(folder={'x': 1})]") == [
        "cd(folder='pwd()')", "cd(folder=add(a=1))", "cd(folder={'x': 1})",
    ]  # fmt: skip
    for text in (
        "[open(file='/etc/passwd')]", "[exit()]", "[x.cd(folder='a')]", "[cd(**{'a': 1})]", "[cd.cd()]",
    ):  # fmt: skip
        assert words(text) == [execution.UNDEFINED], text
    assert words("[cd(folder=open(file='/etc/passwd'))]") == [f"cd(folder={execution.UNDEFINED})"]
    call = {"cd": {"x=exit(),y": 1}}
    assert execution.written([call], KNOWN, nested=False) == [execution.UNDEFINED]
    assert execution.rewritten(["cd('a')", "add(1, b=[2])"], KNOWN) == ["cd('a')", "add(1, b=[2])"]
    for text in ("exit()", "cd(exit())", "cd('a'); exit()", "cd.x()", "cd(a=1 + exit())"):
        with pytest.raises(ValueError, match=r"exit|cd"):
            execution.rewritten([text], KNOWN)


FOLDERS: dict[str, Any] = {
    "id": "bfcl-multi_turn_base_0#0",
    "category": "multi_turn_base",
    "function": [],
    "involved_classes": ["GorillaFileSystem", "MathAPI"],
    "initial_config": {"GorillaFileSystem": {"root": {"w": {"type": "directory", "contents": {}}}}},
    "ground_truth": [["mkdir('a')", "cd(folder='a')"], ["add(a=1, b=2)"]],
}


def said(*turns: list[str]) -> list[dict[str, str]]:
    """Turns of steps as messages."""
    found = [
        message
        for steps in turns
        for message in (
            {"role": "user", "content": "And?"},
            *({"role": "assistant", "content": step} for step in steps),
        )
    ]
    return found[1:]


def test_a_conversation_is_right_where_its_calls_do_what_those_of_the_answer_do() -> None:
    whole = said(["[mkdir(dir_name='a'), cd(folder='a')]", "Done."], ["[add(a=1, b=2)]", "3."])
    if find_spec("bfcl_eval") is None:
        verdict = bfcl({**FOLDERS, "completion": whole})
        assert verdict.value is None
        assert "pip install --no-deps bfcl-eval" in verdict.reason
        pytest.skip("needs the package bfcl-eval")
    steps = said(["[ls()]", "[mkdir(dir_name='a')]", "[cd(folder='a')]", "Done."], ["[add(a=2, b=1)]", "3."])
    for completion, value in (
        (whole, 1), (steps, 1), (said(["[mkdir(dir_name='a')]"], ["[add(a=1, b=2)]"]), 0), (whole[:2], 0),
        (said(["[mkdir(dir_name='a'), cd(folder='a')]"], ["3."]), 0),
    ):  # fmt: skip
        assert bfcl({**FOLDERS, "completion": completion}).value == value, completion
    assert not [name for name in vars(execution._module("multi_turn_utils")) if name.startswith("r1x")]
    for change in ({"involved_classes": ["os"]}, {"ground_truth": [["exit()"]]}, {"initial_config": 5}):
        assert bfcl({**FOLDERS, **change, "completion": whole}).value is None, change


TURNS: dict[str, Any] = {
    **FOLDERS, "id": "folders", "prompt": [{"role": "user", "content": "Make a."}],
    "turns": [{"messages": [{"role": "user", "content": "Add."}]}],
}  # fmt: skip


def test_an_answer_without_calls_ends_its_turn_and_the_user_goes_on() -> None:
    record = Record({**TURNS, "completion": "<think>x</think> [] "})
    assert calls_of(record, "[mkdir(dir_name='a')]") == [{"mkdir": {"dir_name": "a"}}]
    for step in ("Done.", "[]", "[{}]", "<think>[mkdir(dir_name='a')]", "[cd(folder={})]"):
        assert calls_of(record, step) == [], step
    assert told(record) == (
        {"steps_before": [[record["completion"]], []]},
        [TURNS["prompt"][0], {"role": "assistant", "content": "[]"}, {"role": "user", "content": "Add."}],
    )
    assert told(record.adding(steps_before=[["Done."], []])) is None
    # Functions that come at a later turn stay for the rest of the conversation.
    later = [{**TURNS["turns"][0], "tools": [{"b": 1}]}, TURNS["turns"][0]]
    for before, tools in (([[]], [{"a": 1}, {"b": 1}]), ([["Done."], []], [{"a": 1}, {"b": 1}])):
        asked_on = told(record.adding(tools=[{"a": 1}], turns=later, steps_before=before))
        assert asked_on is not None
        assert asked_on[0]["tools"] == tools
    with pytest.raises(BadInput, match="'steps_before' is no list of lists of texts"):
        told(record.adding(steps_before=["Done."]))


def test_a_conversation_that_is_not_over_is_unjudged() -> None:
    verdict = bfcl({**TURNS, "completion": "Done."})
    assert verdict.value is None
    if find_spec("bfcl_eval") is None:
        assert "pip install --no-deps bfcl-eval" in verdict.reason
        assert again(Record({**TURNS, "completion": "Done."})) is None
        with pytest.raises(BadInput, match="needs bfcl-eval"):
            judgeable([Record(TURNS)], ["bfcl"])
        pytest.skip("needs the package bfcl-eval")
    assert verdict.reason == "the conversation stands at turn 1 of 2: `r1 eval -m` asks a model to the end"
    assert list(judgeable([Record(TURNS)], ["bfcl"])) == [TURNS]
    with pytest.raises(BadInput, match="cannot be judged: bfcl: the conversation stands at turn 1 of 2"):
        check_judgeable([Record(TURNS)], ["bfcl"], SILENT)  # of training, where it is asked once


@pytest.mark.parametrize("mode", ["words", "tools"])
def test_a_model_is_asked_step_by_step_to_the_end(mode: str, tmp_path: Path) -> None:
    if find_spec("bfcl_eval") is None:
        pytest.skip("needs the package bfcl-eval")
    words = ["[mkdir(dir_name='a'), rm()]", "[cd(folder='a')]", "Done.", "[add(a=1, b=2)]", "It is 3."]
    tools = [{"type": "function", "function": {"name": "mkdir", "parameters": {"type": "object"}}}]
    problem = {**TURNS, "tools": tools} if mode == "tools" else TURNS
    served = Served()

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        said = words[sum(each["role"] == "assistant" for each in body["messages"])]
        if mode == "tools":
            calls = decode_words(said) if said.startswith("[") else []
            made = [{"name": name, "arguments": given} for call in calls for name, given in call.items()]
            said = "".join(f"<tool_call>\n{json.dumps(each)}\n</tool_call>" for each in made) or said
        return says(said)

    served.reply = reply
    try:
        asked = Settings(
            model="m", samples=2, workers=1, template="chat", reward=("bfcl",), save=tmp_path / "kept.jsonl",
            engine=Engine(backend="openai"), endpoint=Endpoint(base_url=(served.url,)),
        )  # fmt: skip
        (row,) = run([Record(problem)], asked).records
    finally:
        served.stop()
    assert (row["pass@1"], row["completions"], len(served.asked)) == (1.0, 2, 10)
    kept = list(jsonl.read_file(str(tmp_path / "kept.jsonl")))
    assert [(each["id"], each["prompt"]) for each in kept] == [
        (f"folders#{k}", TURNS["prompt"]) for k in (0, 1)
    ]
    assert [len(steps) for steps in kept[0]["steps_before"]] == [3, 1]
    told_first = kept[0]["last_prompt"][1:4]
    unknown = "GorillaFileSystem.rm() missing 1 required positional argument: 'file_name'"
    if mode == "words":
        assert told_first[1] == {"role": "user", "content": repr([
            {"role": "tool", "name": "mkdir(dir_name='a')", "content": "None"},
            {"role": "tool", "name": "rm()", "content": f"Error during execution: {unknown}"},
        ])}  # fmt: skip
    else:
        assert [each.get("tool_call_id") for each in told_first] == [None, "call_0", "call_1"]
        assert told_first[2]["content"] == f"Error during execution: {unknown}"
    (again_judged,) = run(kept, Settings(reward=("bfcl",), workers=1)).records
    assert (again_judged["pass@1"], again_judged["digest"]) == (1, row["digest"])
    # One that calls to no end is stopped, and what it has done by then counts as done.
    endless = {**kept[0], "steps_before": [["[pwd()]"] * 20], "completion": "[pwd()]"}
    if mode == "words":
        assert again(Record(endless)) is None
        assert bfcl(endless) == (0.0, "1 turns, not 2", {"multi_turn_base": 0.0})
        assert again(Record({**endless, "steps_before": [["[pwd()]"] * 19]})) is not None


@pytest.mark.full
@pytest.mark.timeout(600)  # half a minute by itself
def test_a_real_model_is_asked_turn_by_turn_and_ends_at_its_context(smollm2: Path, tmp_path: Path) -> None:
    if find_spec("bfcl_eval") is None:
        pytest.skip("needs the package bfcl-eval")
    told = "Answer with nothing but calls in the form [mkdir(dir_name='a')]."
    first = [{"role": "system", "content": told}, {"role": "user", "content": "Make the folder a."}]
    longer = [{"messages": [{"role": "user", "content": "Make a folder. " * 3000}]}]
    problems = [
        Record({**TURNS, "prompt": first}),
        Record({**TURNS, "id": "l", "prompt": first, "turns": longer}),
    ]
    asked = Settings(
        model=str(smollm2), samples=1, workers=1, template="chat", reward=("bfcl",),
        save=tmp_path / "kept.jsonl",
        sampling=Sampling(temperature=0.0, max_tokens=16),
        engine=Engine(backend="transformers", device="cpu", dtype="float32", threads=1),
    )  # fmt: skip
    found = run(problems, asked)
    (row,) = found.records
    assert (row["completions"], row["unjudged"], row["ended_early"]) == (2, 0, 1)
    assert found.unfit is not None
    whole, cut = jsonl.read_file(str(tmp_path / "kept.jsonl"))
    assert len(whole["steps_before"]) == 2
    assert [turn["content"] for turn in whole["last_prompt"] if turn["role"] == "user"][-1] != first[1][
        "content"
    ]
    assert whole["meta"]["generate"]["prompt_tokens"] > 2 * 30
    assert "ended early: the prompt has" in cut["reasons"]["bfcl"]
    assert (cut["reward"], cut["prompt"]) == (0, first)


def test_the_means_over_categories_are_the_leaderboards() -> None:
    figures = Figures({}, ["bfcl"], 1.0)
    shares = dict(
        zip((*SIMPLE, *NON_LIVE, *LIVE, *IRRELEVANCE), (1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0), strict=True)
    )
    for k, (category, share) in enumerate(shares.items()):
        parts = {f"bfcl/{category}": share} | ({"bfcl/live": share} if category in LIVE else {})
        record = {"id": f"{k}#0", "completion": "", "rewards": {"bfcl": share, **parts}}
        figures.add(Record(record), vote=None, mixing=None)
    made = figures.figures()
    assert made["rewards/bfcl/non_live/mean"] == pytest.approx((1 / 3 + 0 + 1 + 1) / 4)
    assert made["rewards/bfcl/live/mean"] == 0.25
    assert made["rewards/bfcl/irrelevance_detection/mean"] == 0.5
