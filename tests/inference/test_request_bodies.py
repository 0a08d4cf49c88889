"""What a request to a server says."""

from __future__ import annotations

import json

from stages.inference.server.protocol import body_of
from stages.records.templates import Rendered
from stages.settings.groups import Sampling

GIVEN = {"city": "Oslo", "days": 2}
CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": GIVEN}}


def test_the_arguments_of_a_call_are_json_text_as_servers_want_them() -> None:
    messages = (
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "train": False},
        {"role": "tool", "content": "No.", "tool_call_id": "1"},
    )
    prompt = Rendered(None, messages, "", ())
    body = body_of("m", prompt, 0, Sampling(), vllm=False, tokens=False, extra={})
    (call,) = body["messages"][1].pop("tool_calls")
    assert json.loads(call["function"].pop("arguments")) == GIVEN
    assert call == {"id": "1", "type": "function", "function": {"name": "weather"}}
    assert body["messages"][1:] == [{"role": "assistant", "content": None}, messages[2]]
    assert messages[1]["tool_calls"] == [CALL]
