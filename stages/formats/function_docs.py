"""Descriptions of functions as the Berkeley Function-Calling Leaderboard publishes them, for a model to read.

A description has `name`, `description` and `parameters`, whose types are those of Python, Java or JavaScript.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

Function = dict[str, Any]

PACKAGE = "bfcl_eval"
INSTALL = "pip install --no-deps bfcl-eval==2026.3.23"
# The simulated classes of its conversations, by the files that it has of each.
CLASSES = {
    "GorillaFileSystem": "gorilla_file_system", "MathAPI": "math_api", "MessageAPI": "message_api",
    "TwitterAPI": "posting_api", "TicketAPI": "ticket_api", "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking", "VehicleControlAPI": "vehicle_control",
}  # fmt: skip
SYNTAX = {"python": "Python 3", "java": "Java 8 SDK", "javascript": "JavaScript"}
CALLED = {"java": "Java", "javascript": "JavaScript"}
LISTS = ("ArrayList", "Array", "array")
# What OpenAI's form of tools calls each type; a type that stands nowhere here is a string.
OPENAI = {
    "integer": "integer", "number": "number", "float": "number", "string": "string", "boolean": "boolean",
    "bool": "boolean", "array": "array", "list": "array", "dict": "object", "object": "object",
    "tuple": "array", "any": "string", "byte": "integer", "short": "integer", "long": "integer",
    "double": "number", "char": "string", "ArrayList": "array", "Array": "array", "HashMap": "object",
    "Hashtable": "object", "Queue": "array", "Stack": "array", "Any": "string", "String": "string",
    "Bigint": "integer",
}  # fmt: skip
SYSTEM = """\
You are an expert in composing functions.You are given a question and a set of possible functions. Based on \
the question, you will need to make one or more function/tool calls to achieve the purpose. If none of \
the functions can be used, point it out. If the given question lacks the parameters required by the \
function, also point it out.

You should only return the function calls in your response.

If you decide to invoke any of the function(s), you MUST put it in the format of \
[func_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)].  You SHOULD NOT \
include any other text in the response.

At each turn, you should try your best to complete the tasks requested by the user within the current \
turn. Continue to output functions to call until you have fulfilled the user's request to the best of your \
ability. Once you have no more functions to call, the system will consider the current turn complete and \
proceed to the next turn or task.

Here is a list of functions in json format that you can invoke.
{functions}
"""


def system_prompt(functions: Iterable[Function]) -> str:
    """What the leaderboard tells a model without tools of its own, in its usual form."""
    return SYSTEM.replace("{functions}", json.dumps(list(functions), indent=4))


def hinted(functions: Iterable[Function], language: str) -> list[Function]:
    """The descriptions as a model gets them: with the language; arguments of Java and JavaScript are texts.

    Raises KeyError or TypeError for a description that is not in the published form.
    """
    made = copy.deepcopy(list(functions))
    for function in made:
        function["description"] += f" Note that the provided function is in {SYNTAX[language]} syntax."
        if language != "python":
            for described in function["parameters"]["properties"].values():
                _as_text(described, CALLED[language])
    return made


def _as_text(described: dict[str, Any], language: str) -> None:
    kind = described["type"]
    if kind == "any":
        hint = f" This parameter can be of any type of {language} object in string representation."
    else:
        hint = f" This is {language} {kind} type parameter in string representation."
    if kind in LISTS:
        of = described.pop("items")["type"]
        hint += f" The list elements are of type {of}; they are not in string representation."
    if language == "JavaScript" and kind == "dict" and "properties" in described:
        schema = json.dumps(described.pop("properties"))
        hint += (
            " The dictionary entries have the following schema; they are not in string representation. "
            f"{schema}"
        )
    described["description"] += hint
    described["type"] = "string"


def tools(functions: Iterable[Function]) -> list[dict[str, Any]]:
    """The descriptions as OpenAI's tools, their types those of JSON Schema, `_` for each dot of a name.

    Raises KeyError or TypeError for a description that is not in the published form.
    """
    made = copy.deepcopy(list(functions))
    for function in made:
        function["name"] = function["name"].replace(".", "_")
        parameters = function["parameters"]
        parameters["type"] = "object"
        _to_openai(parameters["properties"])
    return [{"type": "function", "function": function} for function in made]


def _to_openai(properties: dict[str, Any]) -> None:
    for described in properties.values():
        kind = described.get("type", "string")
        if kind == "float":
            described["format"] = "float"
            described["description"] += " This is a float type value."
        described["type"] = OPENAI.get(kind, "string")
        if described["type"] not in ("array", "object"):
            continue
        if "properties" in described:
            _to_openai(described["properties"])
        elif "items" in described:
            _items_to_openai(described["items"])


def _items_to_openai(items: dict[str, Any]) -> None:
    items["type"] = OPENAI[items["type"]]
    if items["type"] == "array" and "items" in items:
        items["items"]["type"] = OPENAI[items["items"]["type"]]
    elif items["type"] == "object" and "properties" in items:
        _to_openai(items["properties"])
