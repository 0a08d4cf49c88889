"""Codeforces: problems of its contests, each with its rating, run against open-r1's tests and checkers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.formats.sources import rows_of
from stages.records.record import Record, bad_record, need, object_of
from stages.runtime.errors import UsageError

SPLITS = ("test", "train")
REWARDS = ("code",)
SAMPLES = 16
WHOLE = "take the published file"
LANGUAGES = {"cpp": ("C++17", "cpp"), "python": ("Python 3", "python")}
ASKED = (
    "You will be given a competitive programming problem. Write a complete program in {0} that solves it "
    "within the limits. It must read from standard input and write to standard output, and print nothing "
    "besides. Put the program into a single code block:\n```{1}\n<your code here>\n```\n"
)


def problems(
    *, split: str = "test", data: Path | None = None, language: str = "cpp", contest: str = ""
) -> Iterator[Record]:
    """Records of the problems that a program can judge, of one `contest` or of all. Under CC BY 4.0.

    `rating`, `contest_id` and `index` are what `r1 rank --by elo` goes by, `time_limit` (s) and
    `memory_limit` (MB) the problem's. A row that has a prompt, as those of the configuration
    verifiable-prompts have, keeps it. Raises UsageError for a language that is none.
    """
    if language not in LANGUAGES:
        raise UsageError(f"language={language}: choose {' or '.join(LANGUAGES)}")
    return _posed(split, data, language, contest)


def _posed(split: str, data: Path | None, language: str, contest: str) -> Iterator[Record]:
    hub = ("open-r1/codeforces", "verifiable", split)
    for row in rows_of(file=f"code/codeforces_{split}.jsonl", hub=hub, data=data):
        number = row.get("contest_id")
        if isinstance(number, bool) or not isinstance(number, (str, int)):
            raise bad_record(row, "field 'contest_id' is no name of a contest", WHOLE)
        if contest not in ("", str(number)) or not row.get("official_tests"):
            continue
        given = row.get("prompt")
        spoken = row.get("language", language)
        if given and spoken != language:
            continue
        yield row.adding(
            id=f"codeforces-{number}{need(row, 'index', str, WHOLE)}",
            prompt=given or _prompt(row, language),
            contest_id=str(number),
            language=language,
            lang="en",
        )


def _prompt(row: Record, language: str) -> str:
    parts = [ASKED.format(*LANGUAGES[language]), f"# {need(row, 'title', str, WHOLE)}"]
    parts.append(need(row, "description", str, WHOLE).strip())
    limits = (("Time", "time_limit", "seconds"), ("Memory", "memory_limit", "megabytes"))
    said = [f"- {what} limit: {row[name]:g} {unit}" for what, name, unit in limits if _number(row.get(name))]
    if said:
        parts.append("\n".join(said))
    for title, name in (("Input", "input_format"), ("Output", "output_format")):
        if row.get(name):
            parts.append(f"## {title}\n\n{need(row, name, str, WHOLE).strip()}")
    for each in row.get("examples") or []:
        example = object_of(each)
        parts.append(
            f"## Example\n\n```input\n{str(example.get('input', '')).rstrip()}\n```\n"
            f"```output\n{str(example.get('output', '')).rstrip()}\n```"
        )
    if row.get("note"):
        parts.append(f"## Note\n\n{need(row, 'note', str, WHOLE).strip()}")
    return "\n\n".join(parts)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
