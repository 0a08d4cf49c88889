"""1 where an exercise of Aider's polyglot benchmark passes its tests after the completion's edits, else 0.

Python in a sandbox (docs/sandbox.md), the program beside its tests as in the benchmark's own program. Null
for other languages. `aider/first` is 1 where the first try was enough.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from stages.language.thinking import split_thinking
from stages.programs.edits import NoEdit, edited
from stages.programs.unit_tests import Tested, tested
from stages.records.record import Record, bad_record, need
from stages.records.turns import turns_of
from stages.records.verdict import Counts, Example, Verdict
from stages.runtime.text_file import INSIDE
from stages.sandbox.box import Limits, probed, shared
from stages.settings.options import Range

TWO = {
    "exercise": "two", "language": "python", "edit_format": "whole",
    "files": {"two.py": "def double(n):\n    pass\n"},
    "test_files": {"two_test.py": (
        "import unittest\nfrom two import double\n\nclass TwoTest(unittest.TestCase):\n"
        "    def test_double(self):\n        self.assertEqual(double(3), 6)\n")},
}  # fmt: skip
BLOCK = "two.py\n```\n<<<<<<< SEARCH\n    pass\n=======\n    return 2 * n\n>>>>>>> REPLACE\n```"
EXAMPLES: list[Example] = [
    ({**TWO, "completion": "two.py\n```python\ndef double(n):\n    return n + n\n```"}, {}, 1.0),
    ({**TWO, "completion": "two.py\n```python\ndef double(n):\n    return n\n```"}, {}, 0.0),
    ({**TWO, "completion": "<think>two.py\n```\ndef double(n):\n    return n + n\n```"}, {}, 0.0),
    ({**TWO, "edit_format": "diff", "completion": BLOCK}, {}, 1.0),
    ({**TWO, "edit_format": "diff", "completion": BLOCK.replace("pass", "raise")}, {}, 0.0),
    ({**TWO, "language": "rust", "completion": BLOCK}, {}, None),
    ({"completion": "two.py"}, {}, None),
]  # fmt: skip
MEMORY = 1 << 30
WHOLE = "take the problems of `r1 prompts aider`"
OTHER = (
    "{} is not judged here: its tests need packages from a network; Aider's own program runs them in Docker"
)
Seconds = Annotated[float, Range(above=0, high=1e5)]
Sandbox = Literal["kernel", "none"]


def aider(
    record: dict[str, Any], *, seconds: Seconds = 60.0, sandbox: Sandbox = "kernel"
) -> Verdict | Counts:
    """Null where the tests cannot be run. `seconds` are for all tests of an exercise.

    Raises BadInput for a record without a completion, Unavailable where programs cannot be isolated here.
    """
    verdict = quick(record, sandbox=sandbox)
    if verdict is not None:
        return verdict
    found = _tested(record, seconds, sandbox)
    value = None if found.passed is None else float(found.passed)
    first = 0.0 if record.get("tries_before") else value
    return Counts(value, found.why, {"first": first})


def quick(record: dict[str, Any], *, sandbox: Sandbox = "kernel", **_: Any) -> Verdict | None:
    """Null where there are no tests to run; the rest is for a worker, once it is known that it can be run."""
    need(record, "completion", str, "aider judges completions: run r1 generate first")
    language = record.get("language")
    if not _texts(record.get("files")) or not isinstance(language, str):
        return Verdict(None, "no exercise of Aider's: it needs `files`, `test_files` and `language`")
    if language != "python":
        return Verdict(None, OTHER.format(language))
    if not _texts(record.get("test_files")):
        return Verdict(None, "the exercise has no `test_files`")
    probed(sandbox)
    return None


def deadline(*, seconds: float = 60.0, **_: Any) -> float:
    """Seconds after which a worker is stuck, whatever --timeout says: the tests have their own limit."""
    return 4 * seconds + 60


def again(
    record: Record, *, seconds: Seconds = 60.0, sandbox: Sandbox = "kernel"
) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """What is asked after a judged completion: the fields of the next problem, and its prompt's turns.

    None where it is right or unjudged, or had as many tries as the record has.
    """
    before = record.get("tries_before") or []
    tries = record.get("tries", 1)
    rewards = record.get("rewards") or {}
    if rewards.get("aider") != 0 or not isinstance(tries, int) or len(before) + 1 >= tries:
        return None
    found = _tested(record, seconds, sandbox)
    if found.passed:  # now, as it may where it draws or measures time
        return None
    names = ", ".join(record["files"])
    said = (
        f"{found.output or found.why}\n\nThese are the errors of the tests. The tests are right: do not try "
        f"to change them. Mend the code in {names}, and answer in the same form."
    )
    asked = record.get("last_prompt") or record["prompt"]
    answer = split_thinking(record["completion"], str(record.get("prefill") or "")).answer.strip()
    turns = [
        *turns_of({"prompt": asked}),
        {"role": "assistant", "content": answer},
        {"role": "user", "content": said},
    ]
    return {"tries_before": [*before, record["completion"]]}, turns


def _tested(record: dict[str, Any], seconds: float, sandbox: Sandbox) -> Tested:
    files, form = record["files"], record.get("edit_format", "whole")
    if form not in ("whole", "diff"):
        raise bad_record(record, f"edit_format {form!r} is neither whole nor diff", WHOLE)
    before = record.get("tries_before") or []
    if not isinstance(before, list) or not all(isinstance(each, str) for each in before):
        raise bad_record(record, "field 'tries_before' is no list of texts", WHOLE)
    prefill = str(record.get("prefill") or "")
    for number, text in enumerate([*before, record["completion"]]):
        try:
            files = edited(split_thinking(text, prefill).answer, files, form)
        except NoEdit as error:
            if number == len(before):
                return Tested(False, str(error), f"The answer could not be read: {error}.")
    return tested(files, record["test_files"], shared(sandbox), Limits(seconds=seconds, memory=MEMORY))


def _texts(value: Any) -> bool:
    """Whether it has texts by the names of files."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(INSIDE.fullmatch(name) and isinstance(text, str) for name, text in value.items())
    )


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """An answer that edits nothing."""
    return [("</think>none", 0.0)]
