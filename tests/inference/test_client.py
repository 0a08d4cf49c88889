"""A server as the backend: what it is asked, what its failures may cost, and that nothing is lost or
doubled."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, beside
from served import Served, goes_on, says

from stages import distill, generate, grpo
from stages import eval as measure
from stages.checkpoints.checkpoint import revision
from stages.inference.server import client
from stages.records.jsonl import Journal
from stages.records.record import Record
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.runtime.report import Silent
from stages.settings.groups import Endpoint, Engine, Sampling
from stages.settings.options import binding
from stages.training.grpo.checks import check_settings

SERVER = Engine(backend="openai", batch_size=8)
SHORT = Sampling(max_tokens=20)


class Notes(Silent):
    """A report that keeps its notes."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(client, "FIRST", 0.02)
    monkeypatch.setattr(client, "LONGEST", 0.2)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Served()
    made.reply = repeats
    yield made
    made.stop()


def repeats(body: dict[str, Any]) -> tuple[int, Any]:
    """Says the prompt and the seed again, so that each sample is told from the others."""
    if "prompt" in body:
        return goes_on(f" {body['prompt']} {body['seed']}")
    return says(f" {body['messages'][-1]['content']} {body['seed']}")


def problems(count: int) -> list[Record]:
    return [Record(id=f"p{i}", prompt=f"{i}+2=", place=f"in.jsonl:{i + 1}") for i in range(count)]


def made(served: Served, count: int = 3, **options: Any) -> list[Record]:
    return list(stream(served, count, **options))


def stream(served: Served, count: int = 3, **options: Any) -> Iterator[Record]:
    end = Endpoint(served.url, patience=options.pop("patience", 20.0))
    options = {"template": "none", "sampling": SHORT, "engine": SERVER, "endpoint": end, **options}
    records = options.pop("records", None)
    records = problems(count) if records is None else records
    given = beside(options)
    return generate.run(records, generate.Settings(model="m", **options), **given)


def once(trouble: Callable[[], tuple[int, Any]]) -> Callable[[dict[str, Any]], tuple[int, Any]]:
    """The first request fails so, the others do not."""
    left = iter([trouble])
    return lambda body: next(left, lambda: repeats(body))()


# What is asked.


def test_a_text_is_continued_and_each_sample_is_a_request_with_a_seed(served: Served) -> None:
    records = made(served, 3, samples=4, sampling=replace(SHORT, temperature=0.7, stop=("x",)))
    assert [r["id"] for r in records] == [f"p{i}#{k}" for i in range(3) for k in range(4)]
    assert len({body["seed"] for body in served.asked}) == 12
    assert served.paths == ["/v1/models"] + ["/v1/completions"] * 12
    body = next(body for body in served.asked if body["prompt"] == "0+2=")
    wanted = {"model": "m", "max_tokens": 20, "temperature": 0.7, "top_p": 1.0, "stop": ["x"]}
    assert body | wanted == body
    assert body["top_k"] == 0, "the model's own settings do not change what is drawn"
    assert {(r["finish"], r["meta"]["generate"]["tokens"]) for r in records} == {("stop", 3)}
    assert records[5]["completion"].startswith(" 1+2= ")
    assert "prompt_ids" not in records[0]
    again = made(served, 3, samples=4, sampling=replace(SHORT, temperature=0.7, stop=("x",)))
    assert again == records


def test_messages_are_answered_and_a_prefill_begins_the_answer(served: Served) -> None:
    served.reply = lambda body: (
        200, {**says("so</think>6")[1], "prompt_text": "User: 4+2=\nAssistant: <think>\n"},
    )  # fmt: skip
    (record,) = made(served, 1, template="r1")
    assert served.paths[1:] == ["/v1/chat/completions"]
    [body] = served.asked
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"]
    assert body["messages"][-1]["content"] == "<think>\n"
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert (record["prefill"], record["completion"]) == ("<think>\n", "so</think>6")


@pytest.mark.parametrize(
    ("template", "shown", "prefill"),
    [("chat", "A: <think>\n", "<think>\n"), ("chat", "A:", ""), ("r1", "A: <think>", "<think>")],
)
def test_the_prefill_is_what_the_chat_template_made_of_it(
    served: Served, template: str, shown: str, prefill: str
) -> None:
    served.reply = lambda body: (200, {**says("6")[1], "prompt_text": shown})
    assert made(served, 1, template=template)[0]["prefill"] == prefill


def test_a_chat_template_that_drops_the_prefill_is_named(served: Served) -> None:
    served.reply = lambda body: (200, {**says("6")[1], "prompt_text": "A: "})
    with pytest.raises(BadInput, match=r"in\.jsonl:1: the chat template"):
        made(served, 1, template="r1")


def test_a_server_that_is_not_vllm_gets_no_more_than_the_protocol(served: Served) -> None:
    served.models = (200, {"data": [{"id": "m", "owned_by": "llamacpp"}]})
    served.reply = lambda body: goes_on(" <answer> 6 </answer> User: 7", finish="length")
    notes = Notes()
    (record,) = made(served, 1, template="r1-zero", report=notes)
    assert record["completion"] == " <answer> 6 </answer>", "the closer ends it, here"
    assert set(served.asked[0]) == {"model", "prompt", "max_tokens", "temperature", "top_p", "seed"}
    assert "seeds" in notes.said[0]
    with pytest.raises(UsageError, match="use a template that begins none"):
        made(served, 1, template="r1")
    made(served, 1, template="r1", prefill="", sampling=SHORT)
    with pytest.raises(UsageError, match="--top-k"):
        made(served, 1, sampling=replace(SHORT, top_k=5))
    with pytest.raises(Unavailable, match="--tokens"):
        made(served, 1, tokens=True)


def test_vllm_ends_at_the_closer_and_it_stays_in_the_text(served: Served) -> None:
    served.reply = lambda body: goes_on(" 6 ", stop_reason=body["stop"][-1])
    (record,) = made(served, 1, template="r1-zero", sampling=replace(SHORT, stop=("User:",)))
    assert served.asked[0]["stop"] == ["User:", "</answer>"]
    assert record["completion"] == " 6 </answer>"
    served.reply = lambda body: goes_on(" 6 ", stop_reason=body["stop"][0])
    (record,) = made(served, 1, template="r1-zero", sampling=replace(SHORT, stop=("User:",)))
    assert record["completion"] == " 6 "


def test_a_thinking_that_the_server_takes_out_is_put_back(served: Served) -> None:
    served.reply = lambda body: says("6", reasoning="\n4 and 2\n")
    notes = Notes()
    records = made(served, 2, template="chat", report=notes)
    assert records[0]["completion"] == "<think>\n4 and 2\n</think>\n\n6"
    assert sum("thinking" in said for said in notes.said) == 1
    served.reply = lambda body: says(None, "length", reasoning_content="4 and")
    assert made(served, 1, template="chat")[0]["completion"] == "<think>\n4 and"


def test_calls_that_the_server_takes_out_are_put_back(served: Served) -> None:
    calls = [{"type": "function", "function": {"name": "f", "arguments": said}} for said in ('{"a":1}', "{")]
    served.reply = lambda body: says(None, "tool_calls", tool_calls=calls[:1], reasoning="so")
    notes = Notes()
    (record,) = made(served, 1, template="chat", report=notes)
    put_back = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    assert record["completion"] == f"<think>\nso\n</think>\n\n{put_back}"
    assert record["finish"] == "stop"
    assert sum("<tool_call>" in said for said in notes.said) == 1
    served.reply = lambda body: says("I look.", "tool_calls", tool_calls=calls)
    (record,) = made(served, 1, template="chat")
    broken = '<tool_call>\n{"name": "f", "arguments": "{"}\n</tool_call>'
    assert record["completion"] == f"I look.\n{put_back}\n{broken}"
    for said in ([{}], [3], "f"):
        served.reply = lambda body, said=said: says(None, "tool_calls", tool_calls=said)
        with pytest.raises(Unavailable):
            made(served, 1, template="chat", patience=0.1)


def test_token_ids_and_log_probabilities_come_from_the_server(served: Served) -> None:
    ids = {"prompt_token_ids": [5, 6], "token_ids": [7, 8, 0]}
    served.reply = lambda body: goes_on("6", logprobs={"token_logprobs": [-1, -0.5, -2]}, **ids)
    (record,) = made(served, 1, tokens=True)
    assert (served.asked[0]["logprobs"], served.asked[0]["return_token_ids"]) == (0, True)
    assert (record["prompt_ids"], record["completion_ids"]) == ([5, 6], [7, 8, 0])
    assert record["logprobs"] == [-1.0, -0.5, -2.0]

    def chat(body: dict[str, Any]) -> tuple[int, Any]:
        content = [{"logprob": each} for each in (-1, -0.5, -2)]
        choice = {"message": {"content": "6"}, "finish_reason": "stop", "token_ids": [7, 8, 0]}
        page = says("6")[1] | {"prompt_token_ids": [5, 6]}
        return 200, page | {"choices": [choice | {"logprobs": {"content": content}}]}

    served.reply = chat
    (record,) = made(served, 1, tokens=True, template="chat")
    assert served.asked[-1]["logprobs"] is True
    assert (record["prompt_ids"], record["logprobs"]) == ([5, 6], [-1.0, -0.5, -2.0])

    served.reply = repeats
    with pytest.raises(Unavailable, match="no token ids"):
        made(served, 1, tokens=True)
    with pytest.raises(UsageError, match="before the temperature"):
        made(served, 1, tokens=True, sampling=replace(SHORT, temperature=0.7))


def test_further_fields_go_with_each_request_and_null_leaves_one_out(served: Served, tmp_path: Path) -> None:
    served.models = (200, {"data": [{"id": "m", "owned_by": "a company"}]})
    said = '{"max_completion_tokens": 512, "temperature": null, "seed": null, "reasoning_effort": "low"}'
    served.reply = lambda body: says("so 6")
    end = Endpoint(served.url, extra_body=said)
    journal = Journal(tmp_path / "j", resume=False)
    records = made(served, 2, template="chat", endpoint=end, journal=journal)
    assert set(served.asked[0]) == {"model", "messages", "top_p", "max_completion_tokens", "reasoning_effort"}
    origin = records[0]["meta"]["generate"]
    assert (origin["temperature"], origin["max_tokens"]) == (None, 512), "what was asked, not what was set"
    assert origin["extra_body"] == json.loads(said)
    made(
        served, 1, template="chat", endpoint=Endpoint(served.url, extra_body='{"max_completion_tokens":null}')
    )
    assert served.asked[-1]["max_tokens"] == SHORT.max_tokens, "a limit is replaced, and never lost"
    asked = len(served.asked)
    journal.close()
    again = Journal(tmp_path / "j", resume=True)
    taken = made(served, 2, template="chat", endpoint=end, journal=again)
    assert [each["completion"] for each in taken] == [each["completion"] for each in records]
    assert len(served.asked) == asked
    other = Endpoint(served.url, extra_body=said.replace("low", "high"))
    made(served, 2, template="chat", endpoint=other, journal=again)
    assert len(served.asked) == asked + 2, "other fields, other completions"
    again.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{'a': 1}", "--extra-body \"{'a': 1}\": Expecting property name"),
        ("[1]", "no JSON object; write such as"),
        ('{"top_p": NaN}', "JSON has no NaN"),
        ('{"n": 4}', "'n' is what r1 itself asks with"),
    ],
)
def test_fields_that_make_no_sense_are_refused_before_anything_is_asked(given: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint("http://127.0.0.1:1/v1", extra_body=given)
    assert said in str(caught.value)


def test_further_fields_bind_a_run_and_are_for_a_server_alone(served: Served) -> None:
    extra = Endpoint(served.url, extra_body='{"temperature": 0.7}')
    settings = distill.Settings(model="m", teacher="t", out=Path("new"), endpoint=extra)
    assert binding(settings)["endpoint"] == {"extra_body": '{"temperature": 0.7}'}
    with pytest.raises(UsageError, match=r"with a temperature of 0\.7"):
        made(served, 1, tokens=True, endpoint=extra)
    with pytest.raises(UsageError, match="--extra-body is for requests to a server: add --backend openai"):
        made(served, 1, engine=Engine(backend="transformers"), endpoint=replace(extra, base_url=None))
    one_seed = Endpoint(served.url, extra_body='{"seed": 7}')
    with pytest.raises(UsageError, match="with the seed 7 for each, all completions of a problem are equal"):
        made(served, 2, samples=2, endpoint=one_seed)
    with pytest.raises(UsageError, match="--extra-body: grpo draws"):
        check_settings(grpo.Settings(model="m", out=Path("new"), endpoint=extra), "")


# What fails, and what that costs.


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: (429, {"error": {"message": "slow down"}}),
        lambda: (500, {}),
        lambda: (503, {}),
        lambda: (0, None),
        lambda: (200, b'{"choices": [{"te'),
        lambda: (200, {"choices": []}),
        lambda: (200, [1]),
        lambda: (200, b"\xff"),
        lambda: goes_on("half", finish="abort"),
        lambda: goes_on("half", finish=None),
        lambda: (200, {"choices": [{"text": 6, "finish_reason": "stop"}], "usage": {}}),
    ],
)
def test_what_may_pass_is_asked_again(served: Served, trouble: Any) -> None:
    served.reply = once(trouble)
    notes = Notes()
    records = made(served, 3, samples=2, report=notes)
    assert len(records) == 6
    assert len(served.asked) == 7
    assert all(r["completion"].startswith(f" {r['prompt']}") for r in records)
    assert any("trying again" in said for said in notes.said)
    assert any("answers again" in said for said in notes.said)


def test_the_server_says_how_long_to_wait(served: Served) -> None:
    served.reply, served.headers = once(lambda: (429, {})), {"Retry-After": "1"}
    began = time.monotonic()
    made(served, 1)
    assert time.monotonic() - began >= 1


def test_lengths_are_told_from_ends_and_no_text_is_no_completion(served: Served) -> None:
    served.reply = lambda body: goes_on("6 and", finish="length")
    assert made(served, 1)[0]["finish"] == "length"
    served.reply = lambda body: goes_on("", finish="content_filter")
    with pytest.raises(BadInput, match=r"in\.jsonl:1: .*content_filter"):
        made(served, 1)
    for reply in (says("I cannot", refusal="no"), says(None), says(None, "tool_calls")):
        served.reply = lambda body, reply=reply: reply
        with pytest.raises(BadInput, match=r"in\.jsonl:1: the server gave no completion"):
            made(served, 1, template="chat")


def test_a_prompt_that_is_refused_is_named(served: Served) -> None:
    served.reply = lambda body: (
        (400, {"error": {"message": "too long"}}) if "4+" in body["prompt"] else repeats(body)
    )
    with pytest.raises(BadInput, match=r"in\.jsonl:5: the server refused it: 400 too long"):
        made(served, 9)


@pytest.mark.parametrize(
    ("status", "words"), [(401, "OPENAI_API_KEY"), (403, "so there"), (404, "refuses model m")]
)
def test_what_will_not_pass_ends_the_run_at_once(served: Served, status: int, words: str) -> None:
    served.reply = lambda body: (status, {"error": {"message": "so there"}})
    with pytest.raises(Unavailable, match=words):
        made(served, 1)
    assert len(served.asked) == 1


def test_a_model_that_is_not_served_and_a_page_that_is_not_there(served: Served) -> None:
    served.models = (200, {"data": [{"id": "a", "owned_by": "vllm"}, {"id": "b"}]})
    with pytest.raises(Unavailable, match="serves a, b, and not m"):
        made(served, 1)
    for status in (404, 501):
        served.models = (status, {})
        assert made(served, 1), "some servers have no such page"


def test_the_weights_behind_a_name_are_told_apart_where_their_directory_is_here(
    served: Served, tiny: Path, tmp_path: Path
) -> None:
    assert made(served, 1)[0]["meta"]["generate"]["revision"] == "m"
    journal = Journal(tmp_path / "journal", resume=False)
    for root, known in ((tiny, revision(str(tiny))), (tmp_path, revision(str(tmp_path)))):
        served.models = (200, {"data": [{"id": "m", "owned_by": "vllm", "root": str(root)}]})
        assert made(served, 1, journal=journal)[0]["meta"]["generate"]["revision"] == known
    journal.close()
    assert journal.taken == 0, "a completion of other weights under the same name is not taken over"


def test_what_no_server_does_is_refused_before_it_is_asked(served: Served) -> None:
    for wrong in (replace(SHORT, think_budget=4), replace(SHORT, think_extend=1), replace(SHORT, stop=("",))):
        with pytest.raises(UsageError, match=r"--think-budget|--stop"):
            made(served, 1, sampling=wrong)
    with pytest.raises(UsageError, match="--deterministic"):
        made(served, 1, engine=replace(SERVER, deterministic=True))
    with pytest.raises(UsageError, match="--base-url"):
        list(generate.run(problems(1), generate.Settings(model="m", engine=SERVER)))
    with pytest.raises(UsageError, match="add --backend openai"):
        made(served, 1, engine=Engine(backend="echo"))
    with pytest.raises(Unavailable, match="no address"):
        list(
            generate.run(
                problems(1), generate.Settings(model="m", engine=SERVER, endpoint=Endpoint("localhost"))
            )
        )
    assert not served.asked


def test_an_answer_that_does_not_come_ends_the_run_after_a_while(served: Served) -> None:
    served.reply = lambda body: time.sleep(60) or repeats(body)
    end = Endpoint(served.url, patience=0.1, request_timeout=0.3)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="timed out"):
        made(served, 1, endpoint=end)
    assert time.monotonic() - began < 30


def test_the_reason_is_that_of_the_last_attempt(served: Served) -> None:
    def last(body: dict[str, Any]) -> tuple[int, Any]:
        threading.Thread(target=served.stop).start()
        return 0, None

    left = iter([lambda body: (0, None), last])
    served.reply = lambda body: next(left)(body)
    with pytest.raises(Unavailable, match="Connection refused, and so for 1 s"):
        made(served, 1, patience=1)


def test_a_server_that_stops_and_starts_costs_nothing(served: Served) -> None:
    answered = Counter[str]()
    middle = threading.Event()

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.005)
        answered[f"{body['prompt']} {body['seed']}"] += 1
        if sum(answered.values()) == 60:
            middle.set()
        return repeats(body)

    def again() -> None:
        middle.wait(20)
        served.stop()
        time.sleep(0.5)
        served.start()

    served.reply = reply
    waiter = threading.Thread(target=again)
    waiter.start()
    notes = Notes()
    records = made(served, 50, samples=4, report=notes)
    waiter.join()
    assert [r["id"] for r in records] == [f"p{i}#{k}" for i in range(50) for k in range(4)]
    assert len({r["completion"] for r in records}) == 200
    assert all(r["completion"].startswith(f" {r['prompt']}") for r in records)
    assert any("trying again" in said for said in notes.said)
    assert any("answers again" in said for said in notes.said)


def test_a_server_that_stays_away_ends_the_run_and_resume_goes_on(
    served: Served, r1: R1, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(record) + "\n" for record in problems(30)))
    line = (
        "generate", source, "-o", out, "--backend", "openai", "--base-url", served.url, "-m", "m", "-t",
        "none",
        "-n", 2, "--batch-size", 4, "--patience", 1.5, "--max-tokens", 20,
    )  # fmt: skip
    good = iter(range(24))
    served.reply = lambda body: (503, {}) if next(good, None) is None else repeats(body)
    done = r1(*line, env={"OPENAI_API_KEY": "s3cret"})
    assert done.returncode == 69, done.stderr
    assert b"is the server up?" in done.stderr
    assert b"add --resume" in done.stderr
    assert served.keys[0] == "Bearer s3cret"
    before = len(served.asked)
    served.reply = repeats
    done = r1(*line, "--resume")
    assert done.returncode == 0, done.stderr
    names = [json.loads(text)["id"] for text in out.read_text().splitlines()]
    assert names == [f"p{i}#{k}" for i in range(30) for k in range(2)]
    assert len(served.asked) - before == 60 - 24, "what was made is not made again"


def test_the_key_is_in_no_record_and_no_message(served: Served, r1: R1, tmp_path: Path) -> None:
    line = ("generate", "--backend", "openai", "--base-url", served.url, "-m", "m", "-t", "none")
    key = {"OPENAI_API_KEY": "s3cret"}
    given = json.dumps(problems(1)[0]).encode() + b"\n"
    done = r1(*line, "-v", input=given, env=key)
    assert done.returncode == 0, done.stderr
    assert b"s3cret" not in done.stdout + done.stderr
    served.reply = lambda body: (401, {"error": {"message": "no such key: s3cret"}})
    done = r1(*line, input=given, env=key)
    assert done.returncode == 69
    assert b"s3cret" not in done.stderr


# How the work is done: order, bounds, connections.


def test_so_many_requests_at_once_over_so_many_connections(served: Served) -> None:
    now = most = begun = 0
    lock = threading.Lock()
    eight = threading.Barrier(8, timeout=30)

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        nonlocal now, most, begun
        with lock:
            now, begun = now + 1, begun + 1
            most, early = max(most, now), begun <= 8
        if early:
            eight.wait()
        with lock:
            now -= 1
        return repeats(body)

    served.reply = reply
    made(served, 20, samples=5)
    assert most == 8
    assert served.accepted <= 1 + 8, "connections are kept open"


def test_the_proxy_of_the_environment_is_used(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", served.url.removesuffix("/v1"))
    made(served, 1, endpoint=Endpoint("http://model.invalid/v1"))
    assert served.paths == [f"http://model.invalid/v1/{page}" for page in ("models", "completions")]


def slow_first(body: dict[str, Any]) -> tuple[int, Any]:
    time.sleep(0.3 if body["prompt"] == "0+2=" else 0)
    return repeats(body)


def test_order_is_that_of_the_input_unless_it_is_let_go_of(served: Served) -> None:
    served.reply = slow_first
    ordered = made(served, 6)
    assert [r["id"] for r in ordered] == [f"p{i}#0" for i in range(6)]
    loose = made(served, 6, unordered=True)
    assert loose[-1]["id"] == "p0#0"
    assert sorted(loose, key=lambda r: str(r["id"])) == ordered


def test_without_order_what_a_journal_holds_is_taken_over(served: Served, tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal", resume=False)
    begun = stream(served, 10, samples=3, unordered=True, journal=first)
    for _ in range(6):
        next(begun)
    begun.close()
    first.close()
    second = Journal(tmp_path / "journal", resume=True)
    held = len(second)
    records = made(served, 10, samples=3, unordered=True, journal=second)
    second.close()
    assert second.taken == held >= 6, "what was made is not made again"
    assert sorted(str(r["id"]) for r in records) == sorted(f"p{i}#{k}" for i in range(10) for k in range(3))


def test_the_first_line_is_out_before_the_last_is_in(served: Served) -> None:
    first_out = threading.Event()

    def slowly() -> Iterator[Record]:
        yield problems(1)[0]
        assert first_out.wait(30), "the first completion waited for the second problem"
        yield problems(2)[1]

    records = stream(served, records=slowly())
    assert next(records)["id"] == "p0#0"
    first_out.set()
    assert [record["id"] for record in records] == ["p1#0"]


def test_who_stops_reading_does_not_wait_for_the_server(served: Served) -> None:
    served.reply = lambda body: time.sleep(0 if body["prompt"] == "0+2=" else 60) or repeats(body)
    records = stream(served, 5)
    assert next(records)["id"] == "p0#0"
    began = time.monotonic()
    records.close()
    assert time.monotonic() - began < 30


def test_eval_measures_what_a_server_serves(served: Served) -> None:
    served.reply = lambda body: says("The answer is 7")
    found = measure.run(
        [Record(id="a", prompt="3+4?", answer="7"), Record(id="b", prompt="3+5?", answer="8")],
        measure.Settings(model="m", samples=2, engine=SERVER, endpoint=Endpoint(served.url)),
    )
    assert found.records[0]["pass@1"] == 0.5
    assert served.paths[-1] == "/v1/chat/completions"


@pytest.mark.full
def test_distill_learns_from_a_teacher_behind_a_server(
    served: Served, r1: R1, tiny: Path, tmp_path: Path
) -> None:
    served.reply = lambda body: goes_on("The answer is 7")
    lines = [{"id": str(k), "prompt": f"{k}+{7 - k}=", "answer": "7"} for k in range(4)]
    done = r1(
        "distill", "-m", tiny, "--teacher", "m", "-o", tmp_path / "out", "-n", 2, "-t", "none", "--backend",
        "openai",
        "--base-url", served.url, "--max-tokens", 20, "--batch", 4, "--epochs", 1, "--threads", 1,
        input="".join(json.dumps(line) + "\n" for line in lines).encode(), timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(served.asked) == 8
    assert (tmp_path / "out" / "traces" / "kept.jsonl").exists()
