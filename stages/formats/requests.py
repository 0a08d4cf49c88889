"""Batches of requests: what OpenAI's batches and vLLM's batch runner read, and what they write.

A line of the input is a problem, called by its `custom_id`. A line of the output has completions and only
the name of its request, so the input, or the problems it was made of, must be given beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.formats.conversations import prompt_alone, split_turns, words_alone
from stages.records.notes import Notes
from stages.records.record import Record, bad_record, need, object_of
from stages.records.turns import Turn, turn_of

JOIN = "`r1 prompts FILE --requests INPUT` joins it with its input, or with the problems that it was made of"
RESPONSE = "a response of /v1/chat/completions, /v1/completions or /v1/responses"
COUNTS = {
    "completion_tokens": "tokens",
    "output_tokens": "tokens",
    "prompt_tokens": "prompt_tokens",
    "input_tokens": "prompt_tokens",
}
FINISHED = {"stop": "stop", "length": "length", "tool_calls": "stop", "completed": "stop"}


def request(fields: Record) -> Record:
    """A line of a batch's input as a problem; what else the request asks for stays in `request`."""
    body = Record(need(fields, "body", dict, "the body of a request"), place=fields.place)
    fields["id"] = str(fields.pop("custom_id"))
    for key in ("method", "url", "body"):
        fields.pop(key, None)
    asked = next((body.pop(key) for key in ("messages", "prompt", "input") if key in body), None)
    if isinstance(asked, list):
        if not asked:
            raise bad_record(fields, "a request without messages", "drop it")
        asked = prompt_alone([turn_of(turn, fields) for turn in asked])
    if not isinstance(asked, str | list):
        what = "a request without messages, prompt or input"
        raise bad_record(fields, what, "other requests have no completions")
    fields["prompt"] = asked
    instructions = body.pop("instructions", None)
    if instructions:
        turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        fields["prompt"] = [{"role": "system", "content": str(instructions)}, *turns]
    for key in ("tools", "chat_template_kwargs"):
        if body.get(key):
            fields[key] = body.pop(key)
    if body:
        fields["request"] = dict(body)
    return fields


def answers(fields: Record, requests: Mapping[str, Record] | None, notes: Notes) -> Iterator[Record]:
    """A line of a batch's output as completions of its request; a request that failed is noted.

    Raises BadInput where `requests` are not given or do not have it.
    """
    name = str(fields["custom_id"])
    if requests is None:
        what = f"the output of a batch names its request only ({name!r})"
        raise bad_record(fields, what, JOIN)
    if name not in requests:
        what = f"the request {name!r} is not in the file of requests"
        raise bad_record(fields, what, "give the input that this output was made of")
    response = object_of(fields.get("response"))
    status = response.get("status_code", 200)
    if fields.get("error") or not response.get("body") or (isinstance(status, int) and status >= 400):
        notes.add("the request failed and has no completion", fields)
        return
    problem = requests[name]
    one = Record(response, place=fields.place)
    body = Record(need(one, "body", dict, RESPONSE), place=fields.place)
    usage = object_of(body.get("usage"))
    made = list(_said(body))
    for k, (said, finish) in enumerate(made):
        origin = {"model": body.get("model", "?")}
        if len(made) == 1:
            origin |= {ours: usage[theirs] for theirs, ours in COUNTS.items() if theirs in usage}
        meta = {**object_of(problem.get("meta")), "generate": origin}
        record = problem.adding(id=f"{name}#{k}", group=name, sample=k, completion=said, meta=meta)
        record.place = fields.place
        if isinstance(finish, str) and finish in FINISHED:
            record["finish"] = FINISHED[finish]
        yield record


def _said(body: Record) -> Iterator[tuple[str | list[Turn], Any]]:
    """What a response says, in each of its choices, and why it ended."""
    if "output" in body:  # /v1/responses
        items = [object_of(item) for item in need(body, "output", list, RESPONSE)]
        parts = [item.get("content") for item in items if item.get("type") == "message"]
        texts = [object_of(part).get("text") for each in parts if isinstance(each, list) for part in each]
        ended = object_of(body.get("incomplete_details")).get("reason")
        finish = "length" if ended == "max_output_tokens" else body.get("status")
        yield "".join(text for text in texts if isinstance(text, str)), finish
        return
    for each in need(body, "choices", list, RESPONSE):
        choice = Record(object_of(each), place=body.place)
        message = choice.get("message")
        if isinstance(message, dict):
            yield words_alone([turn_of(_message(message), body)]), choice.get("finish_reason")
        else:
            yield need(choice, "text", str, RESPONSE), choice.get("finish_reason")


def _message(message: dict[str, Any]) -> Turn:
    """An answer without what a server fills up; vLLM's `reasoning` is `reasoning_content` here."""
    turn = {key: value for key, value in message.items() if value not in (None, [], {})}
    if "reasoning" in turn:
        turn.setdefault("reasoning_content", turn["reasoning"])
        del turn["reasoning"]
    if "content" not in turn and not (turn.get("tool_calls") or turn.get("reasoning_content")):
        turn["content"] = turn.get("refusal") or ""
    turn.pop("refusal", None)
    return turn


def preferred(fields: Record) -> Record:
    """OpenAI's preference fine-tuning: `input`, `preferred_output` and `non_preferred_output`."""
    asked = need(fields, "input", dict, "{messages}")
    del fields["input"]
    for ours, theirs in (("chosen", "preferred_output"), ("rejected", "non_preferred_output")):
        fields[ours] = need(fields, theirs, list, "the messages of an answer")
        del fields[theirs]
    for key in ("tools", "parallel_tool_calls"):
        if asked.get(key):
            fields[key] = asked[key]
    return split_turns(fields, asked.get("messages"))
