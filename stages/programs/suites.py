"""The tests of a programming problem, out of whichever form its record is in.

| form | fields |
|---|---|
| HumanEval | `prompt`, `test` (a `check(candidate)`), `entry_point` |
| MBPP | `test_list` (asserts), `test_setup_code` or `test_imports` |
| OpenR1 | `verification_info` {language, test_cases: [{input, output, type, fn_name}]} |
| Codeforces | `official_tests` [{input, output}], `generated_checker`, `time_limit` (s), `memory_limit` (MB)
|
| LiveCodeBench | `public_test_cases`, `private_test_cases`, `metadata` {func_name} |
| APPS, TACO | `input_output` {inputs, outputs, fn_name} |
| plain | `tests`: [{input, output}], [assert, …], {inputs, outputs}, {functional: source}, or source |

Every form may have `checker`, `time_limit`, `memory_limit` and `language`.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import pickle
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from stages.records.templates import messages_of
from stages.settings.options import Range

FORMS = (
    "test_list", "verification_info", "official_tests", "public_test_cases", "private_test_cases",
    "input_output", "tests",
)  # fmt: skip
LANGUAGES = {
    "python": "python", "python3": "python", "py": "python", "py3": "python", "pypy": "python",
    "pypy3": "python",
    "cpp": "cpp", "c++": "cpp", "cxx": "cpp", "cc": "cpp", "c++17": "cpp", "c++20": "cpp", "cplusplus": "cpp",
}  # fmt: skip

LARGEST = 1 << 30  # bytes of private tests
SECONDS = Range(low=0.01, high=86400)
MEMORY = Range(low=16, high=1 << 20)  # MiB; an interpreter begins in no less


class Pair(NamedTuple):
    """What a program is given on standard input, and what it must print."""

    input: str
    output: str


class Suite(NamedTuple):
    """The tests of one problem: `pairs` for programs, `calls` for functions (see dialogue.py)."""

    pairs: Sequence[Pair] = ()
    calls: Sequence[Any] = ()
    before: str = ""  # source that the calls rely on
    entry: str | None = None
    prefix: str = ""  # what a completion may continue
    prelude: bool = False  # LeetCode's imports are there without asking
    language: str | None = None
    checker: str | None = None
    seconds: float | None = None
    memory: int | None = None  # MiB

    @property
    def size(self) -> int:
        """How many tests there are."""
        return len(self.pairs) or len(self.calls)


def has_tests(record: dict[str, Any]) -> bool:
    """Whether the record is in one of the forms, without reading it."""
    return (bool(record.get("entry_point")) and bool(record.get("test"))) or any(
        record.get(name) for name in FORMS
    )


def read(record: dict[str, Any]) -> Suite:
    """The tests of `record`. Raises ValueError where they cannot be read."""
    try:
        suite = _read(record)
    except (KeyError, TypeError, AttributeError, IndexError, SyntaxError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    checker = record.get("checker") or record.get("generated_checker") or suite.checker
    seconds = _number(record, "time_limit", SECONDS)
    memory = _number(record, "memory_limit", MEMORY)
    language = suite.language or record.get("language")
    return suite._replace(
        checker=checker,
        seconds=seconds,
        memory=None if memory is None else int(memory),
        language=_language(language) if language else None,
    )


def _number(record: dict[str, Any], name: str, bounds: Range) -> float | None:
    """A limit that the record sets, as a number or its text; None where it sets none."""
    value = record.get(name)
    if value is None:
        return None
    number = float(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number not in bounds:
        raise ValueError(f"{name} {value!r} must be {bounds}")
    return number


def _language(name: Any) -> str:
    known = LANGUAGES.get(str(name).lower())
    if known is None:
        raise ValueError(f"programs in {name!r} cannot be run")
    return known


def _read(record: dict[str, Any]) -> Suite:
    if record.get("entry_point") and record.get("test"):
        return _humaneval(record)
    if record.get("test_list"):
        setup = [record.get("test_setup_code") or "", *(record.get("test_imports") or [])]
        return Suite(calls=list(record["test_list"]), before="\n".join(setup))
    if record.get("verification_info"):
        info = _parsed(record["verification_info"])
        return _cases(info["test_cases"])._replace(language=info.get("language"))
    if record.get("official_tests"):
        return _cases(record["official_tests"])
    if record.get("public_test_cases") or record.get("private_test_cases"):
        cases = _parsed(record.get("public_test_cases") or "[]")
        name = _parsed(record.get("metadata") or "{}").get("func_name")
        return _cases([*cases, *_private(record.get("private_test_cases") or "[]")], name)
    if record.get("input_output"):
        return _columns(_parsed(record["input_output"]))
    return _plain(record["tests"])


def _humaneval(record: dict[str, Any]) -> Suite:
    prompt = record.get("prompt")
    text = prompt if isinstance(prompt, str) else messages_of(record)[-1]["content"]
    # A prompt that ends in its signature has no body yet.
    before = next((each for each in (text, f"{text.rstrip()}\n    pass\n") if _is_python(each)), "")
    entry = str(record["entry_point"]).rpartition(".")[2]
    source = f"{record['test']}\n\ncheck({entry})\n"
    return Suite(calls=[source], before=before, entry=entry, prefix=text if before else "")


def _plain(tests: Any) -> Suite:
    if isinstance(tests, str):
        try:
            tests = json.loads(tests)
        except ValueError:
            return Suite(calls=[tests], prelude=True)
    if isinstance(tests, dict) and "functional" in tests:
        return Suite(calls=[tests["functional"]], prelude=True)
    if isinstance(tests, dict):
        return _columns(tests)
    if all(isinstance(each, str) for each in tests):
        return Suite(calls=list(tests))
    return _cases(tests)


def _columns(tests: dict[str, Any]) -> Suite:
    """APPS: parallel lists. A function's expected value stands in a list of its own."""
    inputs, outputs, name = tests["inputs"], tests["outputs"], tests.get("fn_name")
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs, {len(outputs)} outputs")
    if not name:
        pairs = zip(inputs, outputs, strict=True)
        return Suite(pairs=[Pair(_text(given), _text(wanted)) for given, wanted in pairs])
    wrapped = all(isinstance(each, list) and len(each) == 1 for each in outputs)
    calls = [
        _call(name, _parsed(given), [each[0], each] if wrapped else [each])
        for given, each in zip(inputs, outputs, strict=True)
    ]
    return Suite(calls=calls, prelude=True)


def _cases(cases: list[dict[str, Any]], name: str | None = None) -> Suite:
    """A list of {input, output}, where a kind or a function's name tells calls from programs."""
    pairs, calls = [], []
    for case in cases:
        kind = str(case.get("type") or case.get("testtype") or "")
        function = case.get("fn_name") or name
        given = case["input"]
        wanted = case["output"] if "output" in case else case["expected_output"]
        if function and kind not in ("stdin", "stdin_stdout"):
            lines = given.strip().split("\n") if isinstance(given, str) else None
            args = [json.loads(line) for line in lines] if lines is not None else given
            expected = json.loads(wanted) if isinstance(wanted, str) else wanted
            calls.append(_call(function, args, [expected]))
        else:
            pairs.append(Pair(_text(given), _text(wanted)))
    if pairs and calls:
        raise ValueError("some tests are for a program and some for a function")
    return Suite(pairs=pairs, calls=calls, prelude=True)


def _call(name: Any, args: Any, expected: list[Any]) -> dict[str, Any]:
    if not isinstance(args, list) or not isinstance(name, str):
        raise TypeError(f"{name!r} cannot be called with {args!r}")
    return {"name": name, "args": args, "expected": expected}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if not isinstance(value, str):
        raise TypeError(f"a test's text is {value!r}")
    return value


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


class _TextOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise ValueError("private tests hold more than text")


def _private(value: Any) -> list[dict[str, Any]]:
    """LiveCodeBench hides its tests from search engines: pickled, compressed, in base64."""
    if not isinstance(value, str):
        return list(value)
    try:
        found = json.loads(value)
    except ValueError:
        try:
            packed = _unpacked(base64.b64decode(value))
            found = _parsed(_TextOnly(io.BytesIO(packed)).load())
        except (zlib.error, pickle.UnpicklingError, EOFError, OverflowError, MemoryError) as error:
            raise ValueError(f"private_test_cases: {error}") from None
    return list(found)


def _unpacked(packed: bytes) -> bytes:
    stream = zlib.decompressobj()
    text = stream.decompress(packed, LARGEST)
    if stream.unconsumed_tail:
        raise ValueError(f"private_test_cases: over {LARGEST >> 20} MiB unpacked")
    return text + stream.flush()


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
