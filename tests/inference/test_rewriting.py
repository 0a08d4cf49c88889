"""`generate` on a template that shows a completion: the record's draft, and what is written in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages import generate, score, sft
from stages.records import templates
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.settings.groups import Engine

ECHO = Engine(backend="echo")
COMPLETED = {
    "id": "p#3",
    "group": "p",
    "sample": 3,
    "prompt": "1+2? {completion}",
    "answer": "3",
    "prefill": "<think>\n",
    "completion": "hm {prompt} 3",
    "finish": "stop",
    "rewards": {"accuracy": 1.0},
    "reasons": {"accuracy": "last"},
    "reward": 1.0,
    "meta": {"prompts": {"source": "mine"}, "generate": {"model": "zero"}, "score": {"rewards": []}},
}


@pytest.fixture
def anew(tmp_path: Path) -> str:
    path = tmp_path / "anew.txt"
    path.write_text("Question: {prompt}\nDraft: {completion}\nIn full sentences:{prefill}<think>")
    return str(path)


def rewritten(template: str, *records: dict[str, Any], **options: Any) -> list[Record]:
    settings = generate.Settings(model="echo", template=template, engine=ECHO, **options)
    return list(generate.run([Record(each, place="f:1") for each in records], settings))


def test_a_template_shows_prompt_and_draft_whatever_stands_in_them(anew: str) -> None:
    draft = {"completion": "hm {prompt} 3", "prefill": "<think>\n"}
    rendered = templates.load(anew).render(Record(COMPLETED, draft=draft))
    assert rendered.text == (
        "Question: 1+2? {completion}\nDraft: <think>\nhm {prompt} 3\nIn full sentences:<think>"
    )
    turns = [{"role": "assistant", "content": "3", "reasoning_content": "1, 2"}]
    rendered = templates.load(anew).render(Record(COMPLETED, draft={"completion": turns}))
    assert "Draft: <think>\n1, 2\n</think>\n\n3\n" in (rendered.text or "")


def test_what_belonged_to_the_draft_stands_in_it_and_the_rest_stays(anew: str) -> None:
    first, second = rewritten(anew, {**COMPLETED, "mine": 1}, samples=2)
    assert (first["id"], first["group"], first["sample"]) == ("p#3#0", "p#3", 0)
    assert second["id"] == "p#3#1"
    assert (first["prompt"], first["answer"], first["mine"]) == (COMPLETED["prompt"], "3", 1)
    assert (first["completion"], first["prefill"]) == ("In full sentences:", "<think>")
    assert "rewards" not in first, "they are of the draft"
    assert first["meta"].keys() == {"prompts", "generate"}
    assert first["meta"]["generate"]["model"] == "echo"
    given = ("group", "sample", "prefill", "completion", "finish", "rewards", "reasons", "reward")
    said = {stage: COMPLETED["meta"][stage] for stage in ("generate", "score")}  # type: ignore[index]
    assert first["draft"] == {**{name: COMPLETED[name] for name in given}, "meta": said}
    (again,) = rewritten(anew, first)
    assert again["draft"]["draft"] == first["draft"]
    (scored,) = score.run([first], score.Settings())
    assert scored["rewards"] == {"accuracy": 0.0}, "the draft was right, and this is not"


def test_a_user_says_it_under_a_chat_template(tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    path.write_text("{chat}\nQuestion: {prompt}\nDraft: {completion}\nAnew:\n")
    shot = Record(prompt="0+1?", completion="It is 1.", draft={"completion": "uh 1"})
    rendered = templates.load(str(path)).render(
        Record(prompt="1+2?", draft={"completion": "3"}), examples=[shot], reflect=True
    )
    asked = f"Question: 1+2?\n{templates.REFLECT}\nDraft: 3\nAnew:"
    assert rendered.text is None
    assert list(rendered.messages) == [
        {"role": "user", "content": "Question: 0+1?\nDraft: uh 1\nAnew:"},
        {"role": "assistant", "content": "It is 1."},
        {"role": "user", "content": asked},
    ]
    path.write_text("{chat}Say it briefly: {prompt}{prefill}So")
    rendered = templates.load(str(path)).render({"prompt": "1+2?"})
    assert list(rendered.messages) == [{"role": "user", "content": "Say it briefly: 1+2?"}]
    assert (rendered.prefill, templates.load(str(path)).rewrites) == ("So", False)


def test_only_completions_are_rewritten_and_by_generate_alone(
    anew: str, tmp_path: Path, tiny: Path, r1: R1
) -> None:
    with pytest.raises(BadInput, match="f:1: field 'completion' is missing; a template with"):
        rewritten(anew, {"id": "p", "prompt": "1+2?"})
    with pytest.raises(BadInput, match=r"f:1: already has a completion; .* has it rewritten"):
        rewritten("none", COMPLETED)
    with pytest.raises(BadInput, match="f:1: id 'p#3' stands twice"):
        rewritten(anew, COMPLETED, COMPLETED)
    (tmp_path / "twice.txt").write_text("{prompt} {completion} {completion}")
    with pytest.raises(UsageError, match="at most once"):
        rewritten(str(tmp_path / "twice.txt"), COMPLETED)
    problem = json.dumps({"id": "p", "prompt": "1+2?", "answer": "3"}).encode()
    for words in (
        ("grpo", "-m", tiny, "-o", tmp_path / "out"),
        ("eval", "-m", tiny),
        ("distill", "-m", tiny, "--teacher", tiny, "-o", tmp_path / "out"),
        ("ask", "-m", "echo", "--backend", "echo"),
        ("score", "--check"),
    ):
        done = r1(*words, "-t", anew, input=problem)
        assert done.returncode == 65, (words, done.stderr)
        assert b"is for r1 generate, and for completions" in done.stderr


def test_a_run_that_was_killed_rewrites_the_rest_to_the_same_bytes(anew: str, tmp_path: Path, r1: R1) -> None:
    lines = [json.dumps({**COMPLETED, "id": f"p#{k}"}).encode() + b"\n" for k in range(4)]
    words = ("generate", "-m", "echo", "--backend", "echo", "-t", anew, "-n", "2")
    whole = r1(*words, input=b"".join(lines))
    assert whole.stdout.count(b"\n") == 8
    broken = r1(*words, "-o", tmp_path / "out.jsonl", input=b"".join(lines[:2]) + b"{")
    assert broken.returncode == 65
    done = r1(*words, "-o", tmp_path / "out.jsonl", "--resume", input=b"".join(lines))
    assert (done.returncode, b"4 taken over" in done.stderr) == (0, True), done.stderr
    assert (tmp_path / "out.jsonl").read_bytes() == whole.stdout


def test_a_rewriting_is_learned_as_the_answer_to_its_prompt(anew: str, tiny: Path, tmp_path: Path) -> None:
    """By another template, the draft is not seen; by the same one, it is what is to be rewritten."""
    made = rewritten(anew, COMPLETED)
    options: dict[str, Any] = {"epochs": 1, "batch": 1, "engine": Engine(device="cpu", threads=1)}
    for template in ("none", anew):
        settings = sft.Settings(
            model=str(tiny), out=tmp_path / Path(template).stem, template=template, **options
        )
        assert sft.run(made, settings).manifest["stage"] == "sft"
