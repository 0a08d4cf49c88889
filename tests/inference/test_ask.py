"""`r1 ask`: a question in, thinking and answer out, as text for a person."""

from __future__ import annotations

import json
import os
import pty
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, Heard

from stages import ask, generate
from stages.checkpoints.template import Choice, choose_template
from stages.records.record import Record
from stages.runtime import stdin
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.settings.groups import Engine, Sampling

ECHO = Engine(backend="echo")


def told(question: str | None, *models: str, heard: Heard | None = None, **options: Any) -> str:
    settings = ask.Settings(model=models or ("m",), **{"engine": ECHO, **options})
    return "".join(ask.run(question, settings=settings, report=heard or Heard()))


def test_thinking_and_answer_stand_under_their_names() -> None:
    heard = Heard()
    assert told("<think>12 and 30</think>42", heard=heard) == (
        "Prompt: <think>12 and 30</think>42\n\nThinking: 12 and 30\n\nAnswer: 42\n\n"
    )
    assert heard.said == ["m: template chat, the model's own", "1 answer, 26 tokens"]


def test_nothing_that_was_said_is_left_out() -> None:
    assert told("Well, <think>a</think>b").endswith("\n\nFirst: Well,\n\nThinking: a\n\nAnswer: b\n\n")


def test_a_completion_that_was_cut_says_so() -> None:
    assert told("abcdef", sampling=Sampling(max_tokens=3)).endswith(
        "Answer: abc (cut off after 3 tokens)\n\n"
    )
    text = told("<think>abc", sampling=Sampling(max_tokens=9))
    assert text.endswith("Thinking: ab\n\nAnswer: (cut off after 9 tokens)\n\n")


def test_several_models_and_samples_answer_under_their_names() -> None:
    text = told("Hi", "one", "two", samples=2)
    assert [line for line in text.splitlines() if line[:2] == "=="] == [
        "== one (1 of 2)", "== one (2 of 2)", "== two (1 of 2)", "== two (2 of 2)",
    ]  # fmt: skip
    assert text.count("Prompt: Hi") == 1
    assert told("Hi", "one", "one").count("Prompt: Hi") == 1


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert "Answer: a\\x1b[2Jb" in told("a\x1b[2Jb")


def test_each_line_of_stdin_is_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lines").write_bytes(b"one\n\ntwo")
    with (tmp_path / "lines").open("rb") as stream:
        monkeypatch.setattr(stdin, "_place", stream.fileno())
        assert told(None) == "Prompt: one\n\nAnswer: one\n\nPrompt: two\n\nAnswer: two\n\n"
    (tmp_path / "lines").write_bytes(b"one\n\xff\n")
    with (tmp_path / "lines").open("rb") as stream:
        monkeypatch.setattr(stdin, "_place", stream.fileno())
        with pytest.raises(BadInput, match="stdin:2: not UTF-8"):
            told(None)


def test_a_line_typed_at_a_terminal_is_answered_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = pty.openpty()
    monkeypatch.setattr(stdin, "_place", terminal)
    heard = Heard()
    answers = ask.run(settings=ask.Settings(model=("m",), engine=ECHO), report=heard)
    for question in ("one", "two"):
        os.write(keyboard, f"{question}\n".encode())
        assert next(answers) == f"Answer: {question}\n\n"  # the question stands there as it was typed
    assert heard.said[-1] == "type a question and Return; Ctrl-D ends"
    os.write(keyboard, b"\x04")
    assert list(answers) == []
    os.close(keyboard)
    os.close(terminal)


def test_the_template_is_the_recorded_one_else_the_chat_template_else_none(tmp_path: Path) -> None:
    assert choose_template(str(tmp_path), "none").name == "none"
    (tmp_path / "chat_template.jinja").write_text("x")
    assert choose_template(str(tmp_path), "none").name == "chat"
    made = {"stage": "grpo", "options": {"template": "r1", "prefill": "Well, "}}
    (tmp_path / "r1.json").write_text(json.dumps(made))
    assert choose_template(str(tmp_path), "none") == Choice("r1", "Well, ", "as r1.json of its grpo says")
    made = {"stage": "distill", "options": {"template": "r1", "student_template": "none"}}
    (tmp_path / "r1.json").write_text(json.dumps(made))
    assert choose_template(str(tmp_path), "chat").name == "none"


def test_the_answer_is_what_generate_gives(tiny: Path) -> None:
    engine, sampling = Engine(device="cpu", threads=1), Sampling(temperature=1.0, max_tokens=12)
    settings = generate.Settings(model=str(tiny), template="none", sampling=sampling, engine=engine, seed=3)
    (record,) = generate.run([Record(id="question", prompt="1+2=")], settings)
    text = told("1+2=", str(tiny), sampling=sampling, engine=engine, seed=3)
    for part in re.split("</?think>", record["completion"]):
        assert part.strip() in text


def test_all_models_and_the_template_are_looked_at_before_one_is_loaded(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.inference import backends

    monkeypatch.setattr(backends, "open_backend", None)
    with pytest.raises(Unavailable, match="nowhere"):
        told("Hi", str(tiny), str(tmp_path / "nowhere"), engine=Engine())
    with pytest.raises(UsageError, match="no template 'r2'"):
        told("Hi", str(tiny), template="r2", engine=Engine())


def test_the_text_alone_is_on_stdout_or_in_the_file(r1: R1, tmp_path: Path) -> None:
    done = r1("ask", "-m", "m", "--backend", "echo", "-t", "none", "3+4?", "-o", tmp_path / "answer.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"ask: 1 answer, 4 tokens\n")
    assert (tmp_path / "answer.txt").read_text() == "Prompt: 3+4?\n\nAnswer: 3+4?\n\n"
