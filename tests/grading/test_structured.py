"""JSON and calls are judged as values: what is equal is equal, what is hostile costs and pays nothing."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from effort import grows

from stages.grading.structured import calls
from stages.grading.structured.answers import NoAnswer
from stages.grading.structured.formats import FORMATS, has_format
from stages.grading.structured.patterns import Pattern
from stages.grading.structured.schema import Schema
from stages.grading.structured.values import DEEPEST, canonical, read
from stages.records.record import Record
from stages.rewards.function_calls import WEATHER, function_calls
from stages.rewards.json_schema import json_schema

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "number"},
                "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}, {"$ref": "#/$defs/node"}]},
            },
            "required": ["value"],
        }
    },
}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 2}', "twice"), ("NaN", "no NaN"), ("[-Infinity]", "no -Infinity"),
        ("1e999", "too large"), ("9" * 310, "too large"), ("[" * 65 + "]" * 65, "deeper"),
        ("[" * 100_000, "deeper"), ("{'a': 1}", "no JSON"), ("[1,]", "no JSON"), ("01", "no JSON"),
        ('{"a": 1} x', "no JSON"), ("", "no JSON"), ('"\n"', "no JSON"), ("// a\n1", "no JSON"),
        ("True", "no JSON"), ("\ufeff1", "no JSON"),
    ],
)  # fmt: skip
def test_what_programs_read_differently_is_no_json(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(text)


def test_values_are_equal_where_their_canonical_texts_are() -> None:
    equal = [("1", "1.0"), ("1e2", "100"), ('{"a":1,"b":[2]}', '{"b":[2.0],"a":1}'), ("-0.0", "0"),
             ('"\\u0041"', '"A"')]  # fmt: skip
    other = [("1", "true"), ("0", "false"), ("1", '"1"'), ("null", '"null"'), ("[1,2]", "[2,1]"),
             ("9007199254740993", "9007199254740992.0"), ("{}", "[]"), ('"a"', '"A"')]  # fmt: skip
    for one, two in equal:
        assert canonical(read(one)) == canonical(read(two)), (one, two)
    for one, two in other:
        assert canonical(read(one)) != canonical(read(two)), (one, two)
    assert read("[" * DEEPEST + "]" * DEEPEST)


SOURCES = (
    "", "a", "^a", "a$", "^a$", "a|bc", "(?:a|b)*c", "^(ab)+$", "a{2}", "^a{2,}$", "^a{1,3}$", "[a-c]+d",
    "[^a-c]", r"\d+\.\d", r"^\w+@\w+$", r"\S\s\S", "a.c", "^$", "(a*)*b", "^(a|a?)+$", "x*", "[]a]|b"[3:],
    r"[\d-]+x", r"\u0041", r"\x41|\t", "a??b", "^[A-Z][a-z]*(?: [A-Z][a-z]*)*$", r"\{\}", "a-b", "[a-]",
    "^(?:a{2}){2}$", "(|a)b",
)  # fmt: skip


def test_a_pattern_finds_what_pythons_own_finds() -> None:
    drawn = random.Random(0)
    texts = ["", *("".join(drawn.choices("aabbcdx.@ 1A\t{}-", k=drawn.randint(1, 8))) for _ in range(300))]
    for source in SOURCES:
        theirs, ours = re.compile(source.replace("$", r"\Z"), re.ASCII), Pattern(source)
        for text in texts:
            assert ours.found(text) == bool(theirs.search(text)), (source, text)


@pytest.mark.parametrize(
    "source",
    ["(?=a)", "(?!a)", "(?<=a)b", r"(a)\1", "(", ")", "[a", "a**", "*", r"\p{L}", r"\bfoo", "a{9999}",
     "a{2,1}", "(a{90}){90}", "[z-a]", "^*", "\\", "a{", "(?P<n>a)", r"\u12", "(" * 3000],
)  # fmt: skip
def test_a_pattern_that_needs_turning_back_or_cannot_be_read_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        Pattern(source)


def test_repeats_of_nothing_end() -> None:
    assert Pattern("(((){2000}){2000}){2000}a").found("a")


def test_no_pattern_is_a_bomb() -> None:
    for source in ("(a+)+$", "^(a|aa)+$", "(a|b|ab)*c", "^(.*a){12}$", r"(\w*\s?)*!", "^[a-z]{0,200}$"):
        assert not grows(Pattern(source).found, lambda size: "a" * size + "\x00", 1000), source


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"typ": "object"}, "typ"), ({"type": "text"}, "one or several"), ({"properties": []}, "an object"),
        ({"$ref": "https://example.org/a.json"}, "nothing is fetched"), ({"$ref": "file:///etc/passwd"},
        "fetched"),
        ({"$ref": "other.json#/a"}, "fetched"), ({"$ref": "#/$defs/none"}, "no schema"), ({"$ref": "#a"},
        "leads"),
        ({"$ref": "#/required", "required": ["a"]}, "no schema"), ({"pattern": "(?=a)"}, "pattern"),
        ({"patternProperties": {"(a)\\1": True}}, "pattern"), ({"format": "regex"}, "are checked"),
        ({"items": [{}]}, "array"), ({"minLength": -1}, "minLength"), ({"exclusiveMinimum": True}, "number"),
        ({"multipleOf": 0}, "above 0"), ({"anyOf": []}, "not empty"), ({"required": "a"}, "names"),
        ({"$dynamicRef": "#"}, "not read"), ({"properties": {"a": {"$id": "b"}}}, "not read"), ("object",
        "string"),
        ({"unevaluatedProperties": False}, "not read"), (None, "null"), ({"enum": 1}, "list"),
        ({"uniqueItems": 1}, "true or false"), ({"dependentRequired": {"a": "b"}}, "names"),
    ],
)  # fmt: skip
def test_a_schema_that_is_not_wholly_understood_is_refused(schema: Any, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        Schema(schema)
    verdict = json_schema(Record(id="a", completion="{}", json_schema=schema))
    assert verdict.value is None


def test_a_reference_goes_round_with_the_value_and_not_without() -> None:
    node: dict[str, Any] = {"value": 0}
    for k in range(DEEPEST - 2):
        node = {"value": k, "left": node}
    assert not Schema(TREE).fault(node)  # two ways at each of 62 levels
    with pytest.raises(ValueError, match="leads back to itself"):
        Schema({"$ref": "#"}).fault(1)
    with pytest.raises(ValueError, match="leads back to itself"):
        Schema({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}},
                "$ref": "#/$defs/a"}).fault([])  # fmt: skip


def test_a_fault_says_where_it_is() -> None:
    schema = Schema({"properties": {"a": {"items": {"properties": {"b": {"type": "integer"}}}}}})
    assert schema.fault({"a": [{}, {"b": "x"}]}) == '$.a[1].b: is "x", not integer'


MEMBERS: dict[str, list[Any]] = {
    "type": ["object", "array", "string", "integer", ["number", "null"], "boolean"],
    "enum": [[1, "a", None], [[1], {"a": 1.0}]], "const": [1, "ab", [1]],
    "minimum": [1, 0.5], "maximum": [2], "exclusiveMinimum": [0], "exclusiveMaximum": [3],
    "multipleOf": [2, 0.5],
    "minLength": [1, 2], "maxLength": [1], "pattern": ["^a", "b$"], "minItems": [1], "maxItems": [1],
    "uniqueItems": [True], "minProperties": [1], "maxProperties": [1], "required": [["a"], ["a", "b"]],
    "dependentRequired": [{"a": ["b"]}],
}  # fmt: skip
VALUES = [None, True, False, 0, 1, 1.0, 2, 2.5, -1, "", "a", "ab", "b", [], [1], [1, 1.0], ["a", 2], [[1]],
          {}, {"a": 1}, {"a": "a", "b": 2}, {"b": None}, {"a": [1], "c": {}}, {"ab": "ab"}]  # fmt: skip


def drawn_schema(drawn: random.Random, level: int) -> Any:
    """A schema of a few keywords, with others within it down to `level`."""
    if drawn.random() < 0.08:
        return drawn.random() < 0.7
    made: dict[str, Any] = {}
    for word in drawn.sample(sorted(MEMBERS), drawn.randint(0, 2)):
        made[word] = drawn.choice(MEMBERS[word])
    if "const" in made:
        made.pop("enum", None)
    if not level:
        return made
    part = lambda: drawn_schema(drawn, level - 1)  # noqa: E731
    inner: dict[str, Any] = {
        "properties": lambda: {"a": part(), "b": part()}, "additionalProperties": part, "items": part,
        "patternProperties": lambda: {"b": part(), "^a": part()}, "propertyNames": part, "not": part,
        "allOf": lambda: [part(), part()], "anyOf": lambda: [part(), part()], "oneOf": lambda: [part(),
        part()],
        "prefixItems": lambda: [part()], "contains": part, "dependentSchemas": lambda: {"a": part()},
        "if": part, "then": part, "else": part, "$ref": lambda: "#/$defs/d",
    }  # fmt: skip
    for word in drawn.sample(sorted(inner), drawn.randint(1, 3)):
        made[word] = inner[word]()
    return made


def test_a_value_is_valid_where_the_library_jsonschema_says_so() -> None:
    library = pytest.importorskip("jsonschema")
    drawn = random.Random(1)
    valid = count = 0
    for _ in range(400):
        schema = drawn_schema(drawn, 2)
        if isinstance(schema, bool):
            continue
        schema = {"$defs": {"d": drawn_schema(drawn, 0)}, **schema}
        ours, theirs = Schema(schema), library.Draft202012Validator(schema)
        for value in VALUES:
            count += 1
            valid += (right := theirs.is_valid(value))
            assert (not ours.fault(value)) == right, (schema, value, ours.fault(value))
    assert 0.2 < valid / count < 0.8


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("date", "2024-02-29", "2023-02-29"), ("date", "1999-12-31", "99-12-31"),
        ("time", "23:59:60Z", "24:00:00Z"), ("time", "01:02:03.123456789+05:30", "01:02:03"),
        ("date-time", "2024-01-02T03:04:05Z", "2024-01-02"), ("email", "a.b@c.de", "a@b@c"),
        ("uri", "https://a.b/c?d=e", "/relative"), ("uuid", "123E4567-e89b-12d3-a456-426614174000", "{123}"),
        ("ipv4", "10.0.0.1", "10.0.0.256"), ("ipv6", "::1", "::1%eth0"),
    ],
)  # fmt: skip
def test_a_format_is_checked(name: str, right: str, wrong: str) -> None:
    assert name in FORMATS
    assert has_format(name, right)
    assert not has_format(name, wrong)


SAME = (
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
    '<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Rome\\", \\"days\\": 1.0}"}</tool_call>',
    '{"name": "weather", "parameters": {"city": "Rome", "days": 1}}',
    '[{"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}]',
    '{"tool_calls": [{"function": {"arguments": {"city": "Rome"}, "name": "weather"}}]}',
    'I look it up.\n```json\n{"name": "weather", "arguments": {"city": "Rome"}}\n```',
    'Since I do not know, I ask: {"name": "weather", "arguments": {"city": "Rome"}}',
    '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Rome"}}]',
    "<think>No. Oslo?</think><answer>"
    '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call></answer>',
    'Of {1, 2} and [x]: {"name": "weather", "arguments": {"city": "Rome", "days": null}} "',
)


@pytest.mark.parametrize("text", SAME)
def test_a_call_may_be_written_in_many_forms(text: str) -> None:
    verdict = function_calls({**WEATHER, "completion": text})
    assert verdict.value == 1, verdict.reason


def test_an_argument_counts_as_left_out_only_where_its_signature_says_so() -> None:
    call = {"name": "f", "arguments": {"a": 1}}
    for signature, required, beside, value in [
        ({"type": "integer", "default": 3}, [], 3.0, 1), ({"type": "integer", "default": 3}, [], 4, 0),
        ({"type": "integer", "default": 3}, ["b"], 3, 0), ({"type": "integer"}, [], None, 1),
        ({"type": ["integer", "null"]}, [], None, 0), ({"type": "integer", "default": 3}, [], None, 1),
        ({}, [], None, 0), ({"type": "boolean", "default": True}, [], 1, 0),
    ]:  # fmt: skip
        parameters = {"properties": {"a": {}, "b": signature}, "required": ["a", *required]}
        record = {"tools": [{"name": "f", "parameters": parameters}], "expected_calls": [call]}
        said = json.dumps({"name": "f", "arguments": {"b": beside, "a": 1}})
        assert function_calls({**record, "completion": said}).value == value, (signature, beside)
    said = json.dumps({"name": "f", "arguments": {"a": 1, "b": None}})
    assert function_calls({"expected_calls": [call], "completion": said}).value == 0  # no signature


def test_parallel_calls_may_come_in_any_order() -> None:
    one, two = ({"name": "f", "arguments": {"a": k}} for k in (1, 2))
    turn = {"role": "assistant", "content": None, "tool_calls": [two, one]}
    record = {"expected_calls": json.dumps([one, two]), "completion": [turn]}
    assert function_calls(record).value == 1
    assert function_calls(record, order="given").value == 0
    assert function_calls({**record, "expected_calls": [two, one]}, order="given").value == 1
    assert function_calls({**record, "expected_calls": [one, one]}).value == 0
    assert function_calls({**record, "expected_calls": [one]}, credit="fraction").value == 0.5


def test_a_call_that_cannot_be_read_is_no_call() -> None:
    for text in (
        "<tool_call>{</tool_call>",
        '<tool_call>{"name": "f"}',
        '{"name": "f", "arguments": [1]} {"name"',
        '{"name": "f", "arguments": {}, "arguments": {}}',
    ):
        with pytest.raises(NoAnswer):
            calls.written(text)
    assert calls.written('The person is {"name": "Ann", "age": 3}.') == []


def test_verdicts_take_time_in_proportion_to_the_text() -> None:
    plain = {"json_schema": TREE}
    one_or_other = {"anyOf": [{"uniqueItems": True}, {"$ref": "#/$defs/a"}]}
    deep = {"$defs": {"a": {"enum": [[]], "items": {"$ref": "#/$defs/a"}}}, "items": one_or_other}
    enumerated = {"json_schema": deep}
    pumps = ('{"name":', "[", '"', '\\"', "```json\n{}\n```\n", "<tool_call>", "[[1]],", "{}", '{"a":{}}',
             '<tool_call>{"name":"f","arguments":{}}</tool_call>no, ', '{"name":"f","arguments":{}} not ',
             "not ", '{"a\\', "`", "```json\n", "[{")  # fmt: skip
    one = {"expected_calls": [{"name": "f", "arguments": {}}] * 3}
    for judge, record in ((json_schema, plain), (json_schema, enumerated), (function_calls, one)):
        for pump in pumps:
            for before, after in (("", ""), ("[", "1]")):
                how = grows(
                    lambda text, judge=judge, record=record: judge({**record, "completion": text}),
                    lambda size, p=pump, b=before, a=after: b + p * (size // len(p)) + a,
                    1000,
                )
                assert not how, (judge.__name__, before, pump, how)
