"""JSON Schema: what of draft 2020-12 data sets use, and a loud no to the rest.

A keyword that is not known here makes the whole schema unreadable, as one that is passed over would let wrong
answers pass. `$ref` leads into the schema itself: nothing is fetched. Time is in proportion to the schema
times the value: what a place of the schema says of a place of the value is found once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple
from urllib.parse import unquote

from stages.grading.structured.formats import FORMATS, has_format
from stages.grading.structured.patterns import Pattern
from stages.grading.structured.values import DEEPEST, canonical, shown
from stages.records.record import kind_of

ONE = ("additionalProperties", "items", "contains", "propertyNames", "not", "if", "then", "else")
SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
COUNTS = (
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains",
    "maxContains",
)  # fmt: skip
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
NOTES = (
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema",
    "$comment", "$id",
)  # fmt: skip
OTHERS = (
    "type",
    "enum",
    "const",
    "pattern",
    "format",
    "required",
    "dependentRequired",
    "uniqueItems",
    "$ref",
)
KEYWORDS = frozenset([*ONE, *SEVERAL, *NAMED, *COUNTS, *NUMBERS, *NOTES, *OTHERS])
KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "number": (int, float), "integer": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
FALSE = "nothing may stand here"


class Fault(NamedTuple):
    """Where in a value something is wrong, from the outside in, and what."""

    path: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return f"${''.join(self.path)}: {self.why}"


class Schema:
    """A schema that values are held against. Raises ValueError for one that is not wholly understood."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self._at: dict[int, Any] = {}  # each place of the schema by its id
        self._patterns: dict[str, Pattern] = {}
        self._allowed: dict[int, frozenset[str]] = {}
        self._known: dict[tuple[int, int], Fault | None] = {}
        try:
            for place, part, level in _places(source):
                self._learn(place, part, level)
            for part in self._at.values():
                if isinstance(part, dict) and "$ref" in part:
                    self._target(part["$ref"])
        except RecursionError:
            raise ValueError(f"the schema is nested deeper than {DEEPEST} levels") from None

    def fault(self, value: Any) -> str:
        """Where `value` is not as the schema says, and why; "" where it is.

        Raises ValueError for a schema that leads back to itself without going on in the value.
        """
        self._known = {}
        try:
            found = self._judge(self.source, value)
        except RecursionError:
            raise ValueError("the schema's own nesting is too deep for this value") from None
        return "" if found is None else str(found)

    def _learn(self, place: str, part: Any, level: int) -> None:
        """Looks a place of the schema over, without what is below it."""
        if isinstance(part, bool):
            return
        if not isinstance(part, dict):
            raise ValueError(f"{place} is {kind_of(part)}: a schema is an object, true or false")
        if level > DEEPEST:
            raise ValueError(f"the schema is nested deeper than {DEEPEST} levels")
        for word, said in part.items():
            if word not in KEYWORDS or (word == "$id" and level):
                raise ValueError(f"{place}: the keyword {word[:40]!r} is not read here")
            if (wrong := _misused(word, said)) is not None:
                raise ValueError(f"{place}: {word} {wrong}")
        for source in [part["pattern"]] if "pattern" in part else []:
            self._patterns[source] = Pattern(source)
        for source in part.get("patternProperties", ()):
            self._patterns[source] = Pattern(source)
        if "enum" in part or "const" in part:
            values = [*part.get("enum", ()), *([part["const"]] if "const" in part else ())]
            self._allowed[id(part)] = frozenset(map(canonical, values))
        self._at[id(part)] = part

    def _target(self, reference: str) -> Any:
        """The place of the schema that a reference leads to."""
        if not reference.startswith("#"):
            raise ValueError(f"$ref {reference[:60]!r}: nothing is fetched; give #/$defs/NAME")
        found: Any = self.source
        for step in unquote(reference[1:]).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and len(key) < 6:
                found = found[int(key)] if int(key) < len(found) else None
            else:
                found = found.get(key) if isinstance(found, dict) else None
        if (reference != "#" and not reference.startswith("#/")) or not (
            isinstance(found, bool) or id(found) in self._at
        ):
            raise ValueError(f"$ref {reference[:60]!r} leads to no schema")
        return found

    def _judge(self, schema: Any, value: Any) -> Fault | None:
        if isinstance(schema, bool):
            return None if schema else Fault((), FALSE)
        key = (id(schema), id(value))
        if key in self._known:
            found = self._known[key]
            if found is PENDING:
                raise ValueError("a $ref leads back to itself")
            return found
        self._known[key] = PENDING
        found = self._known[key] = self._first(schema, value)
        return found

    def _first(self, schema: dict[str, Any], value: Any) -> Fault | None:
        """What is wrong first: with the value by itself, then with its parts, then by other schemas."""
        why = _kind(schema, value) or self._of_values(schema, value) or _sizes(schema, value)
        if why:
            return Fault((), why)
        for judged in (self._parts, self._contained, self._combined):
            found = judged(schema, value)
            if found is not None:
                return found
        return None

    def _of_values(self, schema: dict[str, Any], value: Any) -> str:
        if "enum" in schema and "const" in schema:
            return "" if canonical(value) == canonical(schema["const"]) else "another value is asked for"
        if id(schema) in self._allowed and canonical(value) not in self._allowed[id(schema)]:
            return f"{shown(value)} is none of the values that may stand here"
        if not isinstance(value, str):
            return ""
        if "pattern" in schema and not self._patterns[schema["pattern"]].found(value):
            return f"{shown(value)} does not match {schema['pattern'][:60]}"
        if "format" in schema and not has_format(schema["format"], value):
            return f"{shown(value)} is no {schema['format']}"
        return ""

    def _parts(self, schema: dict[str, Any], value: Any) -> Fault | None:
        """What the members of an object, or the items of an array, have wrong."""
        if isinstance(value, dict):
            for key, each in value.items():
                for part in self._of_member(schema, key):
                    found = self._judge(part, each)
                    if found is not None:
                        return Fault((f".{key[:40]}", *found.path), found.why)
        if isinstance(value, list):
            first = schema.get("prefixItems", [])
            for k, each in enumerate(value):
                part = first[k] if k < len(first) else schema.get("items", True)
                found = self._judge(part, each)
                if found is not None:
                    return Fault((f"[{k}]", *found.path), found.why)
        return None

    def _of_member(self, schema: dict[str, Any], key: str) -> Iterator[Any]:
        """The schemas that hold for the member `key` of an object."""
        named = schema.get("properties", {})
        known = key in named
        if known:
            yield named[key]
        for source, part in schema.get("patternProperties", {}).items():
            if self._patterns[source].found(key):
                known = True
                yield part
        if not known and "additionalProperties" in schema:
            yield schema["additionalProperties"]

    def _contained(self, schema: dict[str, Any], value: Any) -> Fault | None:
        if isinstance(value, dict) and "propertyNames" in schema:
            for key in value:
                found = self._judge(schema["propertyNames"], key)
                if found is not None:
                    return Fault((), f"the name {shown(key)}: {found.why}")
        if isinstance(value, dict):
            for key, part in schema.get("dependentSchemas", {}).items():
                if key in value and (found := self._judge(part, value)) is not None:
                    return found
        if isinstance(value, list) and "contains" in schema:
            count = sum(self._judge(schema["contains"], each) is None for each in value)
            least, most = schema.get("minContains", 1), schema.get("maxContains", count)
            if not least <= count <= most:
                return Fault((), f"{count} items are of the kind that it must contain")
        return None

    def _combined(self, schema: dict[str, Any], value: Any) -> Fault | None:
        if "$ref" in schema and (found := self._judge(self._target(schema["$ref"]), value)) is not None:
            return found
        for part in schema.get("allOf", ()):
            if (found := self._judge(part, value)) is not None:
                return found
        if "anyOf" in schema:
            faults = [self._judge(part, value) for part in schema["anyOf"]]
            if None not in faults:
                return faults[0] if len(faults) == 1 else Fault((), "it is of none of the forms of anyOf")
        if "oneOf" in schema:
            count = sum(self._judge(part, value) is None for part in schema["oneOf"])
            if count != 1:
                return Fault((), f"it is of {count} of the forms of oneOf, and must be of one")
        if "not" in schema and self._judge(schema["not"], value) is None:
            return Fault((), "it is of a form that is ruled out")
        if "if" in schema:
            branch = "then" if self._judge(schema["if"], value) is None else "else"
            return self._judge(schema.get(branch, True), value)
        return None


PENDING = Fault((), "")


def _places(source: Any) -> Iterator[tuple[str, Any, int]]:
    """Each schema within a schema: its place, itself, and how deep it stands."""
    waiting = [("#", source, 0)]
    while waiting:
        place, part, level = waiting.pop()
        yield place, part, level
        if isinstance(part, dict):
            for word, said in part.items():
                if word in ONE:
                    waiting.append((f"{place}/{word}", said, level + 1))
                elif word in SEVERAL and isinstance(said, list):
                    waiting += [(f"{place}/{word}/{k}", each, level + 1) for k, each in enumerate(said)]
                elif word in NAMED and isinstance(said, dict):
                    waiting += [(f"{place}/{word}/{key}", each, level + 1) for key, each in said.items()]


def _misused(word: str, said: Any) -> str | None:
    """What is wrong with the argument of a keyword; None where nothing is."""
    number = isinstance(said, int | float) and not isinstance(said, bool)
    if word in SEVERAL and not (isinstance(said, list) and said):
        return "must be a list of schemas, not empty"
    if word in NAMED and not isinstance(said, dict):
        return "must be an object of schemas"
    if word in COUNTS and not (number and said >= 0 and said == int(said)):
        return "must be a whole number, not negative"
    if word in NUMBERS and not (number and (word != "multipleOf" or said > 0)):
        return "must be a number" + (" above 0" if word == "multipleOf" else "")
    match word:
        case "type":
            kinds = said if isinstance(said, list) and said else [said]
            known = all(isinstance(kind, str) and kind in KINDS for kind in kinds)
            return None if known else f"must be one or several of {', '.join(KINDS)}"
        case "enum":
            return None if isinstance(said, list) else "must be a list of values"
        case "format":
            known = isinstance(said, str) and said in FORMATS
            return None if known else f"is {shown(said)}, and {', '.join(FORMATS)} are checked"
        case "pattern" | "$ref":
            return None if isinstance(said, str) else "must be a string"
        case "required":
            return None if _names(said) else "must be a list of names"
        case "dependentRequired":
            fine = isinstance(said, dict) and all(map(_names, said.values()))
            return None if fine else "must be an object of lists of names"
        case "uniqueItems":
            return None if isinstance(said, bool) else "must be true or false"
    return None


def _names(said: Any) -> bool:
    return isinstance(said, list) and all(isinstance(each, str) for each in said)


def _kind(schema: dict[str, Any], value: Any) -> str:
    said = schema.get("type")
    if said is None:
        return ""
    kinds = said if isinstance(said, list) else [said]
    return "" if any(_is(kind, value) for kind in kinds) else f"is {shown(value)}, not {' or '.join(kinds)}"


def _is(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, KINDS[kind]) and (kind != "integer" or whole)


def _sizes(schema: dict[str, Any], value: Any) -> str:
    """What is wrong with a number, a length, or the names in an object."""
    if isinstance(value, dict):
        return _counted(schema, len(value), "Properties", "members") or _lacking(schema, value)
    if isinstance(value, list):
        twice = schema.get("uniqueItems") and len(set(map(canonical, value))) < len(value)
        return _counted(schema, len(value), "Items", "items") or ("an item stands twice" if twice else "")
    if isinstance(value, str):
        return _counted(schema, len(value), "Length", "characters")
    if isinstance(value, bool) or value is None:
        return ""
    broken = [
        (word, schema[word])
        for word, bad in (
            ("minimum", lambda end: value < end), ("maximum", lambda end: value > end),
            ("exclusiveMinimum", lambda end: value <= end), ("exclusiveMaximum", lambda end: value >= end),
            # As decimal fractions: 0.3 is a multiple of 0.1, which its double is not.
            ("multipleOf", lambda end: Fraction(str(value)) % Fraction(str(end))),
        )
        if word in schema and bad(schema[word])
    ]  # fmt: skip
    return f"{shown(value)} breaks {broken[0][0]} {broken[0][1]}" if broken else ""


def _counted(schema: dict[str, Any], count: int, of: str, what: str) -> str:
    if count < schema.get(f"min{of}", 0):
        return f"has {count} {what}, fewer than {schema[f'min{of}']}"
    if count > schema.get(f"max{of}", count):
        return f"has {count} {what}, more than {schema[f'max{of}']}"
    return ""


def _lacking(schema: dict[str, Any], value: dict[str, Any]) -> str:
    wanted = [*schema.get("required", ())]
    for key, names in schema.get("dependentRequired", {}).items():
        if key in value:
            wanted += names
    return next((f"{name[:40]!r} is missing" for name in wanted if name not in value), "")
